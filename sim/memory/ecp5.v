// Cells of an ECP5 for simulation. CLKI of the PLL is no 25 MHz here but a clock of ticks, four in a period of CLKOS2:
// at each tick all outputs change together, so that registers see each other's values of before.
module EHXPLLL(input CLKI, input RST, input STDBY, output reg CLKOP, output reg CLKOS, output reg CLKOS2, output reg LOCK);
    parameter FEEDBK_PATH = "", CLKI_DIV = 0, CLKFB_DIV = 0;
    parameter CLKOP_ENABLE = "", CLKOP_DIV = 0, CLKOP_CPHASE = 0, CLKOP_FPHASE = 0;
    parameter CLKOS_ENABLE = "", CLKOS_DIV = 0, CLKOS_CPHASE = 0, CLKOS_FPHASE = 0;
    parameter CLKOS2_ENABLE = "", CLKOS2_DIV = 0, CLKOS2_CPHASE = 0, CLKOS2_FPHASE = 0;
    reg [4:0] tick;
    initial begin tick = 0; CLKOP = 0; CLKOS = 0; CLKOS2 = 0; LOCK = 0; end
    always @(posedge CLKI) begin
        tick <= {tick[4] | &tick[3:0], tick[3:0] + 4'd1};
        CLKOP <= ~tick[0];
        CLKOS <= tick[0];
        CLKOS2 <= ~tick[1];
        LOCK <= tick[4];
    end
endmodule

module BB(input I, input T, output O, inout B);
    assign B = T ? 1'bz : I;
    assign O = B;
endmodule

module OFS1P3BX(input PD, input D, input SP, input SCLK, output reg Q);
    initial Q = 1;
    always @(posedge SCLK) Q <= PD | (SP ? D : Q);
endmodule

module IFS1P3BX(input PD, input D, input SP, input SCLK, output reg Q);
    initial Q = 1;
    always @(posedge SCLK) Q <= PD | (SP ? D : Q);
endmodule
