// Between the XDMA and the rest of a card's block design.
//
// The memory as the accelerator sees it, from byte address 0 on: the number of the port, in the middle of an address, becomes its
// highest bits, as around the accelerator. A burst stays within 4096 bytes, so that these are wires; an address beyond the memory stays one.
// And the interrupt, a level, goes over to the XDMA's clock; card.xdc has the path.
module @HOST@ (
    (* X_INTERFACE_INFO = "xilinx.com:signal:clock:1.0 aclk CLK" *)
    (* X_INTERFACE_PARAMETER = "ASSOCIATED_BUSIF s_axi:m_axi" *)
    input  wire         aclk,
    input  wire         irq,
    output wire         usr_irq,
@DECLARATIONS@
);

@BODY@

    (* ASYNC_REG = "TRUE" *) reg irq_first;
    (* ASYNC_REG = "TRUE" *) reg irq_second;
    always @(posedge aclk) begin
        irq_first <= irq;
        irq_second <= irq_first;
    end
    assign usr_irq = irq_second;

endmodule
