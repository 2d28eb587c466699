"""Matrix product of weight blocks with activation blocks; docs/numerics.md, "Matrix product", has the whole."""

from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

from amaranth.utils import exact_log2
from rtlm.hw.common.layouts import CODE_BITS, CODE_FRACTION, SCALE_BITS
from rtlm.hw.formats import BLOCK
from rtlm.hw.formats.description import HALF_BITS
from rtlm.hw.hls import (
    Kernel,
    SInt,
    UInt,
    Value,
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

ROW_SUM_BITS = 18
"""Signed width of the sum of 32 products of a nibble and an activation."""
BLOCK_SUM_BITS = 22
"""Signed width of the sum of 32 products of an 8-bit weight and an activation."""
SUM_BITS = 14
"""Signed width of the sum of a block's activations."""

HALF_BIAS, SCALE_BIAS = 25, 134 + CODE_FRACTION
"""An fp16 is ``significand * 2**(max(e, 1) - 25)``, a code's unit ``significand * 2**(e - 135)`` with a BF16 scale."""
TERM_BIAS = HALF_BIAS + SCALE_BIAS - ACCUMULATOR_FRACTION
"""Exponents of both scales minus this say how far to the left a term goes."""
MAX_LEFT_SHIFT, MAX_RIGHT_SHIFT = 47, 45

MIN_ELEMENT_BITS = 4
"""Bits of the weights that an array multiplies at least; a code of 8 bits is two nibbles."""
FACTOR_BITS = 8
"""Signed width of what multiplies the scale of a super-block."""
MAX_FACTORED_RIGHT_SHIFT = MAX_RIGHT_SHIFT + FACTOR_BITS - 1
HALF_SUM_BITS = SUM_BITS - 1
"""Signed width of the sum of half a block's activations."""
PAIR_SUM_BITS = 15
"""Signed width of the sum of 16 products of a code of 2 bits and an activation."""
ZERO_BITS = 3
"""Bits of the number of an array's zero."""


def row_sum_bits(element_bits: int) -> int:
    """Return the signed width of the sum of 32 products of an element and an activation."""
    return ROW_SUM_BITS + element_bits - MIN_ELEMENT_BITS


@cache
def row_pair_sums(
    positions: int, field_bits: int | None, terms: int, steps: int, element_bits: int = MIN_ELEMENT_BITS
) -> Kernel:
    """Return the dot products of two rows of elements with a block of activations.

    Parameters
    ----------
    positions
        Products of each row in a beat.
    field_bits
        Distance of the two elements in the operand of a multiplier that serves both rows; None if each has its own.
    terms
        Products that are added before the two sums of a shared multiplier are told apart.
    steps
        Beats of a block; more than one are a packet.
    element_bits
        Bits of an element: a nibble, or what a format with more bits or a table has.
    """
    sum_ = SInt(row_sum_bits(element_bits))

    class Sums(NamedTuple):
        low: sum_
        high: sum_

    @kernel
    def row_pair(
        low: Vec[UInt(element_bits), positions],
        high: Vec[UInt(element_bits), positions],
        a: Vec[SInt(CODE_BITS), positions],
    ) -> Sums:
        return Sums(*_whole(_row_products(low, high, a, field_bits, terms), sum_, steps))

    return row_pair


@cache
def packed_pair_sums(positions: int, field_bits: int, terms: int, steps: int, element_bits: int, summed: int) -> Kernel:
    """Return the dot products of two rows of elements from products of multipliers that serve both.

    Parameters as of `row_pair_sums`; `summed` products come as their sum.
    """
    sum_ = SInt(row_sum_bits(element_bits))
    product = SInt(packed_product_bits(element_bits, field_bits, summed))

    class PackedSums(NamedTuple):
        low: sum_
        high: sum_

    @kernel
    def packed_pair(products: Vec[product, positions // summed]) -> PackedSums:
        return PackedSums(*_whole(_told_apart(products, field_bits, terms // summed), sum_, steps))

    return packed_pair


def packed_product_bits(element_bits: int, field_bits: int, summed: int) -> int:
    """Return the signed width of the sum of products of an activation with two elements, `field_bits` apart."""
    return field_bits + row_sum_bits(element_bits) - exact_log2(BLOCK // summed)


@cache
def row_pair_half_sums(positions: int, field_bits: int | None, terms: int, steps: int, element_bits: int) -> Kernel:
    """Return the dot products of two rows with each half of a block of activations, and the first half's sum.

    Parameters as of `row_pair_sums`. With several steps, `second` says that a beat belongs to the second half.
    """
    sum_, half = SInt(row_sum_bits(element_bits)), SInt(HALF_SUM_BITS)

    class HalfSums(NamedTuple):
        low: sum_
        high: sum_
        low_second: sum_
        high_second: sum_
        a_first: half

    @kernel
    def row_pair_halves(
        low: Vec[UInt(element_bits), positions],
        high: Vec[UInt(element_bits), positions],
        a: Vec[SInt(CODE_BITS), positions],
        second: UInt(1),
    ) -> HalfSums:
        if steps > 1:
            both = _row_products(low, high, a, field_bits, terms)
            halves = [*(select(second, 0, each) for each in both), *(select(second, each, 0) for each in both)]
            first = stream_sum(select(second, 0, a.sum()), half)
            return HalfSums(*(stream_sum(each, sum_) for each in halves), first)
        middle = positions // 2
        halves = [
            *_row_products(low[:middle], high[:middle], a[:middle], field_bits, min(terms, middle)),
            *_row_products(low[middle:], high[middle:], a[middle:], field_bits, min(terms, middle)),
        ]
        return HalfSums(*(wrap(each, sum_) for each in halves), wrap(a[:middle].sum(), half))

    return row_pair_halves


def _row_products(low: Vector, high: Vector, a: Vector, field_bits: int | None, terms: int) -> tuple[Value, Value]:
    """Return the dot products of two rows of elements with activations; for kernels."""
    if field_bits is None:
        return dot(low, a), dot(high, a)
    space = constant(0, UInt(field_bits - low[0].type.width))
    return _told_apart(
        Vector([pack(Vector([u0, space, u1])) for u0, u1 in zip(low, high, strict=True)]) * a, field_bits, terms
    )


def _whole(sums: Iterable[Value], sum_: SInt, steps: int) -> list[Value]:
    """Return the sums of a block, from those of a beat; for kernels."""
    return [stream_sum(each, sum_) if steps > 1 else wrap(each, sum_) for each in sums]


def _told_apart(products: Vector, field_bits: int, terms: int) -> tuple[Value, Value]:
    """Return the sums of the lower and of the upper fields of products; for kernels."""
    groups = [products[n : n + terms].sum() for n in range(0, len(products), terms)]
    # The upper sum has lost one where the lower one is negative.
    lower = Vector([wrap(group, SInt(field_bits)) for group in groups])
    upper = Vector([(group >> field_bits) + bits(group, field_bits - 1, field_bits) for group in groups])
    return lower.sum(), upper.sum()


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


@kernel
def factored(value: SInt(BLOCK_SUM_BITS), d: UInt(HALF_BITS), factor: SInt(FACTOR_BITS), s: UInt(SCALE_BITS)) -> SInt(
    ACC_BITS
):
    """As `scaled`, with a scale that is multiplied with an integer; with 1 they are the same."""
    weights, activations = half_parts(d), scale_parts(s)
    product = value * activations.significand * (weights.significand * factor)
    left = clamp(weights.exponent + activations.exponent - TERM_BIAS, -MAX_FACTORED_RIGHT_SHIFT, MAX_LEFT_SHIFT)
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


@cache
def general_row_group(
    rows: int,
    columns: int,
    element_bits: int,
    zeros: tuple[int, ...],
    factors: bool,
    halves: bool,
    weights: bool,
) -> Kernel:
    """Return the accumulators of a row group for other formats than those of `row_group`.

    Parameters
    ----------
    rows, columns, element_bits
        Size of the array.
    zeros
        Codes that stand for zero, in ascending order; `zero` is the place of a block's.
    factors
        Whether there are formats with super-blocks: `d` and `m` are multiplied with `f` and `g`. Otherwise those are
        not used.
    halves
        Whether there are formats whose halves of a block have a factor each (`halved`): what `d` and `f` scale are the
        sums of the first half, what `m` and `g` scale those of the second. `sums` are always those of the first half
        then, `seconds` those of the second, `half` the sums of the first half's activations. Otherwise `sums` are whole
        and the others are not used.
    weights
        Whether there are formats of 2 bits in which integers multiply the sums of halves (`weighed`): those of codes 4
        bits each of `f`, those of activations, whose sign changes, of `g`.
    """
    sum_ = SInt(row_sum_bits(element_bits))

    @kernel
    def general_row_group(
        sums: Vec[Vec[sum_, rows], columns],
        seconds: Vec[Vec[sum_, rows], columns],
        half: Vec[SInt(HALF_SUM_BITS), columns],
        d: Vec[UInt(HALF_BITS), rows],
        m: Vec[UInt(HALF_BITS), rows],
        f: Vec[SInt(FACTOR_BITS), rows],
        g: Vec[SInt(FACTOR_BITS), rows],
        s: Vec[UInt(SCALE_BITS), columns],
        suma: Vec[SInt(SUM_BITS), columns],
        eight: UInt(1),
        zero: UInt(ZERO_BITS),
        halved: UInt(1),
        weighed: UInt(1),
    ) -> Vec[Vec[SInt(ACC_BITS), rows], columns]:
        accumulators = []
        for first, second, half_, scale_, total in zip(sums, seconds, half, s, suma, strict=True):
            rest = total - half_
            offset = _offset(select(halved, half_, total) if halves else total, zero, zeros)
            column = []
            for r in range(rows):
                whole = [first[n] + second[n] if halves else first[n] for n in (r, min(r + 1, rows - 1))]
                value = whole[0] if r % 2 else whole[0] + select(eight, whole[1] << 4, 0)
                other = total
                if halves:
                    value = select(halved, first[r], value)
                    other = select(halved, second[r] - _offset(rest, zero, zeros), total)
                value, factor, other_factor = value - offset, f[r], g[r]
                if weights:
                    narrow = [wrap(each[r], SInt(PAIR_SUM_BITS)) for each in (first, second)]
                    value = select(weighed, _weighed_sum(narrow, f[r]), value)
                    other = select(weighed, 0 - _weighed_sum([half_, wrap(rest, SInt(HALF_SUM_BITS))], g[r]), other)
                    factor, other_factor = (select(weighed, 1, each) for each in (factor, other_factor))
                terms = [(value, d[r], factor), (other, m[r], other_factor)]
                blocks = [
                    (wrap(sum_of, SInt(BLOCK_SUM_BITS)), half_scale, factor) for sum_of, half_scale, factor in terms
                ]
                added = [
                    factored(block, half_scale, factor, scale_) if factors else scaled(block, half_scale, scale_)
                    for block, half_scale, factor in blocks
                ]
                column.append(stream_sum(added[0] + added[1], SInt(ACC_BITS)))
            accumulators.append(Vector(column))
        return Vector(accumulators)

    return general_row_group


def _weighed_sum(halves: list[Value], weights: Value) -> Value:
    """Return the sum of the sums of two halves, each multiplied with 4 bits of `weights`; for kernels."""
    return halves[0] * bits(weights, 0, 4) + halves[1] * bits(weights, 4, 8)


def _offset(total: Value, zero: Value, zeros: tuple[int, ...]) -> Value | int:
    """Return what codes that stand for zero make of the sum of activations; for kernels."""
    shifted = [total << each.bit_length() - 1 if each else 0 for each in zeros]
    offset = shifted[0]
    for place, other in enumerate(shifted[1:], 1):
        offset = select(zero == place, other, offset)
    return offset
