"""Matrix product of weight blocks with activation blocks; docs/numerics.md, "Matrix product", has the whole."""

from functools import cache
from typing import NamedTuple

from rtlm.hw.common.layouts import SCALE_BITS
from rtlm.hw.hls import (
    Kernel,
    SInt,
    UInt,
    Vec,
    Vector,
    bits,
    clamp,
    constant,
    dot,
    kernel,
    pack,
    select,
    shift,
    stream_sum,
    wrap,
)
from rtlm.hw.kernels.scale import ACC_BITS, ACCUMULATOR_FRACTION

ROW_SUM_BITS = 17
"""Signed width of the sum of 32 products of a nibble and an activation."""
BLOCK_SUM_BITS = 21
"""Signed width of the sum of 32 products of an 8-bit weight and an activation."""
SUM_BITS = 13
"""Signed width of the sum of a block's activations."""
HALF_BITS = 16
"""Bits of an fp16."""

HALF_BIAS, SCALE_BIAS = 25, 134
"""An fp16 is ``significand * 2**(max(e, 1) - 25)``, a BF16 scale ``significand * 2**(e - 134)``."""
TERM_BIAS = HALF_BIAS + SCALE_BIAS - ACCUMULATOR_FRACTION
"""Exponents of both scales minus this say how far to the left a term goes."""
MAX_LEFT_SHIFT, MAX_RIGHT_SHIFT = 47, 45


class Sums(NamedTuple):
    """Dot products of two nibble rows with a block of activations."""

    low: SInt(ROW_SUM_BITS)
    high: SInt(ROW_SUM_BITS)


@cache
def row_pair_sums(positions: int, field_bits: int | None, terms: int, steps: int) -> Kernel:
    """Return the dot products of two nibble rows with a block of activations.

    Parameters
    ----------
    positions
        Products of each row in a beat.
    field_bits
        Distance of the two nibbles in the operand of a multiplier that serves both rows; None if each has its own.
    terms
        Products that are added before the two sums of a shared multiplier are told apart.
    steps
        Beats of a block; more than one are a packet.
    """

    @kernel
    def row_pair(low: Vec[UInt(4), positions], high: Vec[UInt(4), positions], a: Vec[SInt(8), positions]) -> Sums:
        if field_bits is None:
            sums = dot(low, a), dot(high, a)
        else:
            space = constant(0, UInt(field_bits - 4))
            products = Vector([pack(Vector([u0, space, u1])) for u0, u1 in zip(low, high, strict=True)]) * a
            groups = [products[n : n + terms].sum() for n in range(0, positions, terms)]
            # The upper sum has lost one where the lower one is negative.
            lower = Vector([wrap(group, SInt(field_bits)) for group in groups])
            upper = Vector([(group >> field_bits) + bits(group, field_bits - 1, field_bits) for group in groups])
            sums = lower.sum(), upper.sum()
        if steps > 1:
            return Sums(*(stream_sum(sum_, SInt(ROW_SUM_BITS)) for sum_ in sums))
        return Sums(*(wrap(sum_, SInt(ROW_SUM_BITS)) for sum_ in sums))

    return row_pair


class Parts(NamedTuple):
    """What an fp16 stands for."""

    significand: SInt(12)
    exponent: UInt(5)


class ScaleParts(NamedTuple):
    """What a BF16 scale stands for."""

    significand: UInt(8)
    exponent: UInt(8)


@kernel
def half_parts(d: UInt(HALF_BITS)) -> Parts:
    """Integer significand of an fp16, and its exponent, at least 1; exponent 31 is not special."""
    exponent = bits(d, 10, 15)
    normal = exponent != 0
    magnitude = pack(Vector([bits(d, 0, 10), normal]))
    return Parts(select(bits(d, 15, 16) == 1, -magnitude, magnitude), select(normal, exponent, 1))


@kernel
def scale_parts(s: UInt(SCALE_BITS)) -> ScaleParts:
    """Integer significand of a BF16 scale, whose exponent 0 is zero, and its exponent."""
    exponent = bits(s, 7, 15)
    return ScaleParts(select(exponent == 0, 0, pack(Vector([bits(s, 0, 7), constant(1, UInt(1))]))), exponent)


@kernel
def scaled(value: SInt(BLOCK_SUM_BITS), d: UInt(HALF_BITS), s: UInt(SCALE_BITS)) -> SInt(ACC_BITS):
    """What a block's sum adds to a row's accumulator: rounded half up to its unit, modulo its width."""
    weights, activations = half_parts(d), scale_parts(s)
    product = value * activations.significand * weights.significand
    left = clamp(weights.exponent + activations.exponent - TERM_BIAS, -MAX_RIGHT_SHIFT, MAX_LEFT_SHIFT)
    return shift(product, left, SInt(ACC_BITS), rounding="half_up")


@cache
def row_group(rows: int, columns: int) -> Kernel:
    """Return the accumulators of a row group: a beat is a block, a packet the blocks of the rows.

    With 8-bit weights (`eight`) a row is two nibble rows, and only the accumulators of the even ones count. `zero` says
    that codes have an offset. Where a format has no minima they are 0.
    """

    @kernel
    def row_group(
        sums: Vec[Vec[SInt(ROW_SUM_BITS), rows], columns],
        d: Vec[UInt(HALF_BITS), rows],
        m: Vec[UInt(HALF_BITS), rows],
        s: Vec[UInt(SCALE_BITS), columns],
        suma: Vec[SInt(SUM_BITS), columns],
        eight: UInt(1),
        zero: UInt(1),
    ) -> Vec[Vec[SInt(ACC_BITS), rows], columns]:
        accumulators = []
        for nibble_sums, scale_, total in zip(sums, s, suma, strict=True):
            # Codes have an offset of 8 or 128, of which the sum of the activations makes so much.
            offset = select(zero, select(eight, total << 7, total << 3), 0)
            wide = wrap(total, SInt(BLOCK_SUM_BITS))
            column = []
            for r, (row_sum, d_, m_) in enumerate(zip(nibble_sums, d, m, strict=True)):
                whole = row_sum if r % 2 else row_sum + select(eight, nibble_sums[r + 1] << 4, 0)
                both = scaled(wrap(whole - offset, SInt(BLOCK_SUM_BITS)), d_, scale_) + scaled(wide, m_, scale_)
                column.append(stream_sum(both, SInt(ACC_BITS)))
            accumulators.append(Vector(column))
        return Vector(accumulators)

    return row_group
