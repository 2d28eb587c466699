"""Products: in one or several multipliers, with the registers that these need, or in tables.

A multiplier of a device (a DSP block) has registers of its own, and is fast between them only. Where a product does not
fit a cycle with the way into a block and out of it, it gets a stage for itself: synthesis then makes the registers in
front of it and behind it those of the block. Where that is not enough either, it is cut into products that a block
holds; and where even the product of one block is too slow, a register separates it from the sum behind it.
"""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Signal, Value
from amaranth.hdl._ast import Concat, Operator, Slice
from rtlm.hw.hls.builder import Builder, Net
from rtlm.hw.hls.directives import PRODUCT_STYLES
from rtlm.hw.hls.technology import SUMMED

SMALLEST_CUT = {"": 9, "dsp": 9, "lut": 4}
"""Bits of both operands up to which a product is not cut any more, by what it is bound to."""
PARTIAL = 17
"""Bits that a partial product takes of the operand that is cut: what blocks of 18 bits hold without a sign."""


def multiply(b: Builder, x: Net, y: Net) -> Net:
    """Product, built as its operator is bound."""
    wide, narrow = sorted((x.width, y.width), reverse=True)
    style = b.style_of(f"multiply {wide}x{narrow}", "multiply")
    if not b.tech.block:
        return _product(b, x, y, style)
    zeros = low_zeros(x), low_zeros(y)  # a BF16 that became an F32 has a significand of 8 bits
    product = _product(b, _above(b, x, zeros[0]), _above(b, y, zeros[1]), style)
    return b.wire(lambda p: _as(p, Cat(Const(0, sum(zeros)), p)), product) if any(zeros) else product


def low_zeros(net: Net) -> int:
    """Return how many low bits of a net are known to be zero, through wires."""
    if net.is_const or net.function is None or net.delay > 0:
        return 0
    signals = [Signal(a.shape) for a in net.args]
    known = {id(signal): low_zeros(a) for signal, a in zip(signals, net.args, strict=True)}
    value = net.function(*(a.source if a.is_const else s for a, s in zip(net.args, signals, strict=True)))
    return _low_zeros(Value.cast(value), known)


def _low_zeros(value: Value, known: dict[int, int]) -> int:
    match value:
        case Const():
            return len(value) if value.value == 0 else (value.value & -value.value).bit_length() - 1
        case Slice():
            return min(len(value), max(0, _low_zeros(value.value, known) - value.start))
        case Operator() if value.operator in ("s", "u"):
            return _low_zeros(value.operands[0], known)
        case Concat():
            zeros = 0
            for part in value.parts:
                here = _low_zeros(part, known)
                zeros += here
                if here < len(part):
                    break
            return zeros
    return known.get(id(value), 0)


def _as(model: Value, value: Value) -> Value:
    """Return a value with the sign of another."""
    return value.as_signed() if model.shape().signed else value


def _above(b: Builder, net: Net, start: int) -> Net:
    return b.wire(lambda v: _as(v, v[start:]), net) if start else net


def _product(b: Builder, x: Net, y: Net, style: str) -> Net:
    tech, attribute = b.tech, PRODUCT_STYLES.get(style, "")
    # A block's operands have a sign; one of two bits enters none.
    widths = [v.width + (bool(tech.block) and not v.shape.signed and v.width > SUMMED) for v in (x, y)]

    def step(delay: float, *, alone: bool = False) -> Net:
        return b.step(lambda p, q: p * q, x, y, delay=delay, alone=alone, use_dsp=attribute)

    in_tables = style == "lut"
    delay = tech.multiply_in_tables(x.width, y.width) if in_tables else tech.multiply_among_logic(*widths)
    if delay <= b.period:
        return step(delay)
    block = None if in_tables else tech.block
    if block:
        if tech.multiply(*widths) <= b.period:
            return step(tech.multiply(*widths), alone=True)
        if block.holds(*widths):
            return b.step(lambda p: p, step(block.step_ns, alone=True), delay=block.step_ns, alone=True)
    elif max(x.width, y.width) <= SMALLEST_CUT[style]:
        return step(delay)
    return _in_parts(b, x, y, style)


def _in_parts(b: Builder, x: Net, y: Net, style: str) -> Net:
    """Sum of two products, each with a part of an operand: the wider one, or what leaves less beside a block."""
    if y.width > x.width:
        x, y = y, x
    block = None if style == "lut" else b.tech.block
    if block and y.width > PARTIAL and block.holds(x.width + 1, PARTIAL + 1):
        x, y = y, x
    cut = PARTIAL if x.width > PARTIAL and style != "lut" else x.width // 2
    low = _product(b, b.wire(lambda v: v[:cut], x), y, style)
    high = _product(b, b.wire(lambda v: _as(v, v[cut:]), x), y, style)
    width = x.width + y.width
    signed = x.shape.signed or y.shape.signed
    return b.step(
        lambda p, q: ((p + q.shift_left(cut))[:width]).as_signed() if signed else (p + q.shift_left(cut))[:width],
        low,
        high,
        delay=b.tech.add(width - cut),
    )
