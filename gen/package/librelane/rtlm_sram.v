// The SRAM that a process has to provide: replace the body, for each size in memories.json, by instances of its macros.
//
// Read and write in the same cycle; a read of the word that is being written returns the old one. `write_mask` has a bit
// for each bit of a word. Contents need no initial value. The body is a model for simulation; synthesis takes the module
// as a black box.
module rtlm_sram #(
  parameter WIDTH = 8,
  parameter WORDS = 4,
  parameter ADDRESS_BITS = 2
) (
  input read_clk,
  input read_enable,
  input [ADDRESS_BITS-1:0] read_address,
  output reg [WIDTH-1:0] read_data,
  input write_clk,
  input [WIDTH-1:0] write_mask,
  input [ADDRESS_BITS-1:0] write_address,
  input [WIDTH-1:0] write_data
);
  reg [WIDTH-1:0] words [WORDS-1:0];
  always @(posedge read_clk)
    if (read_enable) read_data <= words[read_address];
  always @(posedge write_clk)
    if (write_mask != 0) words[write_address] <= (words[write_address] & ~write_mask) | (write_data & write_mask);
endmodule
