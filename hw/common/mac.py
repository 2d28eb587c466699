"""A multiplier with the sum of its products: where the technology has a block for that, it becomes exactly one."""

from amaranth.hdl import ClockSignal, Instance, Value, ValueLike

MODULE = "rtlm_mac"

BLOCK_MACRO = "RTLM_DSP48E2"
"""Verilog macro that makes each instance one DSP48E2."""

CHAIN = 4
"""Multipliers that add up their products, each a cycle after the one before it. With more there are fewer adders behind
them, and more registers in which operands wait."""
CASCADE_BITS = 48
"""Width of `pcin` and `pcout`."""

VERILOG = f"""
// p is the product of b and a or d, or such products added up; all operands are signed, all registers have enables.
// AMD UltraScale and UltraScale+: define {BLOCK_MACRO} to make each instance one DSP48E2 with all of its registers.
module {MODULE} #(
  parameter A_BITS = 9,   // at most 27
  parameter B_BITS = 8,   // at most 18
  parameter D_BITS = 17,  // at most 27
  parameter P_BITS = 48   // at most 48
) (
  input clk,
  input ce_a, input [A_BITS-1:0] a,
  input ce_d, input [D_BITS-1:0] d,
  input ce_b, input [B_BITS-1:0] b, input use_d,  // the product is d * b, otherwise a * b
  input ce_m, input add, input chain,             // p is to take up itself, pcin, neither,
  input with_product,                             // and the product
  input ce_p, output [P_BITS-1:0] p,
  input [47:0] pcin, output [47:0] pcout          // p of the block before, and this one's: wires between neighbours
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
    .CEA1(1'b0), .CEA2(ce_a), .A({{{{(30-A_BITS){{a[A_BITS-1]}}}}, a}}),
    .CED(ce_d), .CEAD(1'b0), .D({{{{(28-D_BITS){{d[D_BITS-1]}}}}, d[D_BITS-2:0]}}),
    .CEB1(1'b0), .CEB2(ce_b), .B({{{{(19-B_BITS){{b[B_BITS-1]}}}}, b[B_BITS-2:0]}}),
    .CEINMODE(ce_b), .INMODE({{2'b00, use_d, use_d, 1'b0}}),
    .CEM(ce_m), .CECTRL(ce_m), .OPMODE({{3'b000, add, chain, 1'b0, with_product, 1'b0, with_product}}),
    .CEP(ce_p), .P(sum), .PCOUT(pcout),
    .C({{48{{1'b1}}}}), .CEC(1'b0), .ALUMODE(4'd0), .CEALUMODE(1'b0),
    .CARRYIN(1'b0), .CECARRYIN(1'b0), .CARRYINSEL(3'd0),
    .ACIN(30'd0), .BCIN(18'd0), .PCIN(pcin), .CARRYCASCIN(1'b0), .MULTSIGNIN(1'b0),
    .RSTA(1'b0), .RSTALLCARRYIN(1'b0), .RSTALUMODE(1'b0), .RSTB(1'b0), .RSTC(1'b0), .RSTCTRL(1'b0), .RSTD(1'b0),
    .RSTINMODE(1'b0), .RSTM(1'b0), .RSTP(1'b0)
  );
`else
  localparam AD_BITS = A_BITS > D_BITS ? A_BITS : D_BITS;
  reg signed [A_BITS-1:0] a_held;
  reg signed [B_BITS-1:0] b_held;
  reg signed [D_BITS-1:0] d_held;
  reg use_d_held, add_held, chain_held, with_product_held;
  reg signed [AD_BITS+B_BITS-1:0] product;
  reg signed [P_BITS-1:0] sum;
  wire signed [AD_BITS-1:0] multiplicand = use_d_held ? d_held : a_held;
  wire signed [P_BITS-1:0] base = add_held ? sum : chain_held ? $signed(pcin[P_BITS-1:0]) : 0;
  assign p = sum;
  assign pcout = sum;
  always @(posedge clk) begin
    if (ce_a) a_held <= a;
    if (ce_d) d_held <= d;
    if (ce_b) b_held <= b;
    if (ce_b) use_d_held <= use_d;
    if (ce_m) product <= multiplicand * b_held;
    if (ce_m) add_held <= add;
    if (ce_m) chain_held <= chain;
    if (ce_m) with_product_held <= with_product;
    if (ce_p) sum <= with_product_held ? base + product : base;
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
    chain: ValueLike,
    with_product: ValueLike,
    take: ValueLike,
    p: Value,
    pcin: ValueLike,
    pcout: Value,
) -> Instance:
    """Return a multiplier whose products add up, in the clock domain ``sync``.

    Latency: three cycles, operand, product and sum, each of which moves with its own enable.

    Parameters
    ----------
    a, d, b
        Operands, signed: at most 27, 27 and 18 bits.
    load_a, load_d, load_b
        Each operand's register takes it.
    use_d
        Comes with `b`: the product is ``d * b``, otherwise ``a * b``.
    multiply, add, chain, with_product
        The operands' product goes into its register; the others say what the sum is then to take: itself or `pcin` or
        neither, and the product.
    take
        The sum takes it.
    p
        The sum, modulo its width, which is at most 48 bits.
    pcin, pcout
        The sum of the block before, and this one's for the block behind: 48 bits, on wires that lead nowhere else.
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
        i_chain=chain,
        i_with_product=with_product,
        i_ce_p=take,
        o_p=p,
        i_pcin=pcin,
        o_pcout=pcout,
    )
