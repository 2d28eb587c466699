"""A multiplier with the sum of its products: where the technology has a block for that, it becomes exactly one."""

from amaranth.hdl import ClockSignal, Instance, Value, ValueLike

MODULE = "rtlm_mac"

BLOCK_MACRO = "RTLM_DSP48E2"
"""Verilog macro that makes each instance one DSP48E2."""

VERILOG = f"""
// p is the product of b and a or d, or such products added up; all operands are unsigned, all registers have enables.
// AMD UltraScale and UltraScale+: define {BLOCK_MACRO} to make each instance one DSP48E2 with all of its registers.
module {MODULE} #(
  parameter A_BITS = 8,   // at most 26
  parameter B_BITS = 8,   // at most 17
  parameter D_BITS = 16,  // at most 26
  parameter P_BITS = 48   // at most 48
) (
  input clk,
  input ce_a, input [A_BITS-1:0] a,
  input ce_d, input [D_BITS-1:0] d,
  input ce_b, input [B_BITS-1:0] b, input use_d,  // the product is d * b, otherwise a * b
  input ce_m, input add,                          // the product is added to p, otherwise it takes p's place
  input ce_p, output [P_BITS-1:0] p
);
`ifdef {BLOCK_MACRO}
  wire [47:0] sum;
  assign p = sum[P_BITS-1:0];
  // The pre-adder adds zero to a or to d, INMODE says to which.
  DSP48E2 #(
    .AMULTSEL("AD"), .PREADDINSEL("A"), .AREG(1), .ACASCREG(1), .DREG(1), .ADREG(0), .BREG(1), .BCASCREG(1),
    .INMODEREG(1), .MREG(1), .OPMODEREG(1), .PREG(1), .CREG(1), .ALUMODEREG(0), .CARRYINREG(0), .CARRYINSELREG(0)
  ) block (
    .CLK(clk),
    .CEA1(1'b0), .CEA2(ce_a), .A({{{{(30-A_BITS){{1'b0}}}}, a}}),
    .CED(ce_d), .CEAD(1'b0), .D({{{{(27-D_BITS){{1'b0}}}}, d}}),
    .CEB1(1'b0), .CEB2(ce_b), .B({{{{(18-B_BITS){{1'b0}}}}, b}}),
    .CEINMODE(ce_b), .INMODE({{2'b00, use_d, use_d, 1'b0}}),
    .CEM(ce_m), .CECTRL(ce_m), .OPMODE({{3'b000, add, 5'b00101}}),
    .CEP(ce_p), .P(sum),
    .C({{48{{1'b1}}}}), .CEC(1'b0), .ALUMODE(4'd0), .CEALUMODE(1'b0),
    .CARRYIN(1'b0), .CECARRYIN(1'b0), .CARRYINSEL(3'd0),
    .ACIN(30'd0), .BCIN(18'd0), .PCIN(48'd0), .CARRYCASCIN(1'b0), .MULTSIGNIN(1'b0),
    .RSTA(1'b0), .RSTALLCARRYIN(1'b0), .RSTALUMODE(1'b0), .RSTB(1'b0), .RSTC(1'b0), .RSTCTRL(1'b0), .RSTD(1'b0),
    .RSTINMODE(1'b0), .RSTM(1'b0), .RSTP(1'b0)
  );
`else
  localparam AD_BITS = A_BITS > D_BITS ? A_BITS : D_BITS;
  reg [A_BITS-1:0] a_held;
  reg [B_BITS-1:0] b_held;
  reg [D_BITS-1:0] d_held;
  reg use_d_held, add_held;
  reg [AD_BITS+B_BITS-1:0] product;
  reg [P_BITS-1:0] sum;
  assign p = sum;
  always @(posedge clk) begin
    if (ce_a) a_held <= a;
    if (ce_d) d_held <= d;
    if (ce_b) b_held <= b;
    if (ce_b) use_d_held <= use_d;
    if (ce_m) product <= (use_d_held ? d_held : a_held) * b_held;
    if (ce_m) add_held <= add;
    if (ce_p) sum <= (add_held ? sum : 0) + product;
  end
`endif
endmodule
"""
"""Verilog of the module, once for all instances; docs/synthesis.md says on what its two bodies are compared."""


def mac(
    *,
    a: Value,
    load_a: ValueLike,
    d: Value,
    load_d: ValueLike,
    b: Value,
    load_b: ValueLike,
    use_d: ValueLike,
    multiply: ValueLike,
    add: ValueLike,
    take: ValueLike,
    p: Value,
) -> Instance:
    """Return a multiplier whose products add up, in the clock domain ``sync``.

    Latency: three cycles, operand, product and sum, each of which moves with its own enable.

    Parameters
    ----------
    a, d, b
        Operands, unsigned: at most 26, 26 and 17 bits.
    load_a, load_d, load_b
        Each operand's register takes it.
    use_d
        Comes with `b`: the product is ``d * b``, otherwise ``a * b``.
    multiply, add
        The operands' product goes into its register; `add` says what is to become of it.
    take
        The product goes into the sum: it is added, or replaces it.
    p
        The sum, modulo its width, which is at most 48 bits.
    """
    widths = {"A": len(a), "B": len(b), "D": len(d), "P": len(p)}
    return Instance(
        MODULE,
        **{f"p_{name}_BITS": bits for name, bits in widths.items()},
        i_clk=ClockSignal(),
        i_ce_a=load_a,
        i_a=a,
        i_ce_d=load_d,
        i_d=d,
        i_ce_b=load_b,
        i_b=b,
        i_use_d=use_d,
        i_ce_m=multiply,
        i_add=add,
        i_ce_p=take,
        o_p=p,
    )
