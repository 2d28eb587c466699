"""Products: in one or several multipliers, with the registers that these need, or in tables.

A multiplier of a device (a DSP block) has registers of its own, and is fast between them only. Where a product does not
fit a cycle with the way into a block and out of it, it gets a stage for itself: synthesis then makes the registers in
front of it and behind it those of the block. Where that is not enough either, it is cut into products that a block
holds; and where even the product of one block is too slow, a register separates it from the sum behind it.
"""

from __future__ import annotations

from rtlm.hw.hls.builder import Builder, Net
from rtlm.hw.hls.directives import PRODUCT_STYLES

SMALLEST_CUT = {"": 9, "dsp": 9, "lut": 4}
"""Bits of both operands up to which a product is not cut any more, by what it is bound to."""
PARTIAL = 17
"""Bits that a partial product takes of the wider operand: what blocks of 18 bits hold without a sign."""


def multiply(b: Builder, x: Net, y: Net) -> Net:
    """Product, built as its operator is bound."""
    wide, narrow = sorted((x.width, y.width), reverse=True)
    return _product(b, x, y, b.style_of(f"multiply {wide}x{narrow}", "multiply"))


def _product(b: Builder, x: Net, y: Net, style: str) -> Net:
    tech, widths, attribute = b.tech, (x.width, y.width), PRODUCT_STYLES.get(style, "")

    def step(delay: float, *, alone: bool = False) -> Net:
        return b.step(lambda p, q: p * q, x, y, delay=delay, alone=alone, use_dsp=attribute)

    in_tables = style == "lut"
    delay = tech.multiply_in_tables(*widths) if in_tables else tech.multiply_among_logic(*widths)
    if delay <= b.period:
        return step(delay)
    block = None if in_tables else tech.block
    if block:
        if tech.multiply(*widths) <= b.period:
            return step(tech.multiply(*widths), alone=True)
        if block.holds(x.shape, y.shape):
            return b.step(lambda p: p, step(block.step_ns, alone=True), delay=block.step_ns, alone=True)
    elif max(widths) <= SMALLEST_CUT[style]:
        return step(delay)
    return _in_parts(b, x, y, style)


def _in_parts(b: Builder, x: Net, y: Net, style: str) -> Net:
    """Sum of two products, each with a part of the wider operand."""
    if y.width > x.width:
        x, y = y, x
    cut = PARTIAL if x.width > PARTIAL and style != "lut" else x.width // 2
    low = _product(b, b.wire(lambda v: v[:cut], x), y, style)
    high = _product(b, b.wire(lambda v: v[cut:].as_signed() if v.shape().signed else v[cut:], x), y, style)
    width = x.width + y.width
    signed = x.shape.signed or y.shape.signed
    return b.step(
        lambda p, q: ((p + q.shift_left(cut))[:width]).as_signed() if signed else (p + q.shift_left(cut))[:width],
        low,
        high,
        delay=b.tech.add(width - cut),
        alone=bool(b.tech.block) and style != "lut",
    )
