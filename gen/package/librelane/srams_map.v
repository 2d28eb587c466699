// For yosys' techmap: a memory with one write port and one clocked read port becomes an instance of rtlm_sram.
(* techmap_celltype = "$mem_v2" *)
module rtlm_memory_to_sram (RD_CLK, RD_EN, RD_ARST, RD_SRST, RD_ADDR, RD_DATA, WR_CLK, WR_EN, WR_ADDR, WR_DATA);
  parameter MEMID = "";
  parameter signed SIZE = 4, OFFSET = 0, ABITS = 2, WIDTH = 8, INIT = 1'bx;
  parameter signed RD_PORTS = 1, WR_PORTS = 1;
  parameter RD_CLK_ENABLE = 1, RD_CLK_POLARITY = 1, RD_TRANSPARENCY_MASK = 0, RD_COLLISION_X_MASK = 0;
  parameter RD_WIDE_CONTINUATION = 0, RD_CE_OVER_SRST = 0, RD_ARST_VALUE = 0, RD_SRST_VALUE = 0, RD_INIT_VALUE = 0;
  parameter WR_CLK_ENABLE = 1, WR_CLK_POLARITY = 1, WR_PRIORITY_MASK = 0, WR_WIDE_CONTINUATION = 0;
  input [RD_PORTS-1:0] RD_CLK, RD_EN, RD_ARST, RD_SRST;
  input [RD_PORTS*ABITS-1:0] RD_ADDR;
  output [RD_PORTS*WIDTH-1:0] RD_DATA;
  input [WR_PORTS-1:0] WR_CLK;
  input [WR_PORTS*WIDTH-1:0] WR_EN, WR_DATA;
  input [WR_PORTS*ABITS-1:0] WR_ADDR;

  // Others stay as they are.
  wire _TECHMAP_FAIL_ = RD_PORTS != 1 || WR_PORTS != 1 || RD_CLK_ENABLE != 1 || RD_CLK_POLARITY != 1
                        || RD_TRANSPARENCY_MASK != 0 || WR_CLK_ENABLE != 1 || WR_CLK_POLARITY != 1 || OFFSET != 0;

  rtlm_sram #(.WIDTH(WIDTH), .WORDS(SIZE), .ADDRESS_BITS(ABITS)) _TECHMAP_REPLACE_ (
    .read_clk(RD_CLK), .read_enable(RD_EN), .read_address(RD_ADDR), .read_data(RD_DATA),
    .write_clk(WR_CLK), .write_mask(WR_EN), .write_address(WR_ADDR), .write_data(WR_DATA)
  );
endmodule
