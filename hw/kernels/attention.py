"""Scores, softmax and output of attention over a quantised KV cache; docs/numerics.md has the whole."""

from functools import cache
from typing import Any, NamedTuple

from rtlm.hw.common.layouts import CODE_BITS, CODE_FRACTION, SCALE_BITS, STORED_BITS
from rtlm.hw.hls import (
    BF16,
    F32,
    Kernel,
    Shared,
    SInt,
    UInt,
    Value,
    Vec,
    Vector,
    bits,
    clamp,
    constant,
    exponent_field,
    kernel,
    ldexp,
    maximum,
    pack,
    recip,
    select,
    stream_max,
    stream_sum,
    table,
    to_float,
    wrap,
)

FRACTION = 24  # probabilities count in units of 2**-24
WEIGHT_BIAS = 141  # a weight p * sv * 2**(141 - e) is at most 2**15

SCORE_BITS = 18
"""Signed width of a score; a block memory of 2,048 rows has as many bits."""
SCORE_FRACTION = 9
"""Scores are exponents of two, in units of 2^-9."""
SCORE = SInt(SCORE_BITS)

SCORE_DROPPED = 8
"""Bits that products of significands lose, to 17 bits: with a sign they fill a DSP block's port."""
SCALE_FRACTION = 2
"""A value's scale beside the largest one has 17 bits too, two of them below the unit of the weights."""
MOST_PLACES = 31
"""Places of the longest shift."""
SCORE_BIAS = 2 * 127 + 16 + 7 - 8 + CODE_FRACTION - SCORE_FRACTION - SCORE_DROPPED
"""Places to the right, plus both exponents: significands of 17 and 8 bits, and what both products have lost."""

POWER_FRACTION = 12
POWERS = tuple(round(2.0 ** (POWER_FRACTION - n / (1 << SCORE_FRACTION))) for n in range(1 << SCORE_FRACTION))
"""Two to the power of minus a score's fraction, in units of 2^-12."""

PROBABILITY_BITS = FRACTION + 1
"""Width of a probability, which may be 1."""
PROBABILITY_SUM_BITS = 40
"""Width of the sum of 2^16 probabilities."""

DOT_BITS = 24
"""Signed width of a query's product with a key."""
QUERY_PRODUCT_BITS = CODE_BITS + STORED_BITS
"""Width of an element's product of a query and a key."""


def _significand(fraction: Value) -> Any:
    """Significand with its leading one. There is none of zero: what has a scale of 0 consists of zeros."""
    return pack(Vector([fraction, constant(1, UInt(1))]))


@cache
def key_dots(heads: int, length: int, steps: int, summed: int = 1) -> Kernel:
    """Return the dot products of a key with several queries.

    Parameters
    ----------
    heads
        Queries that meet the key.
    length
        Values of the key in a beat.
    steps
        Beats of a key; more than one are a packet.
    summed
        Products that come as their sum.
    """
    largest = 1 << QUERY_PRODUCT_BITS - 2
    # As wide as it needs: bits that repeat the sign would only look like a loop to who reads the Verilog.
    dot = SInt(1 + (length * steps * largest).bit_length())
    product = SInt(1 + (summed * largest).bit_length())

    @kernel
    def key_dots(products: Vec[Vec[product, length // summed], heads]) -> Vec[dot, heads]:
        sums = products.map(lambda row: row.sum())
        return stream_sum(sums, dot) if steps > 1 else wrap(sums, dot)

    return key_dots


class Weight(NamedTuple):
    """Probability for the denominator, and weight of a value vector."""

    p: UInt(PROBABILITY_BITS)
    w: UInt(16)


@kernel
def attention_norm(l: UInt(40), e: UInt(8)) -> F32:  # noqa: E741
    """Factor of the output: reciprocal of the denominator, and the scaling of the weights undone."""
    return ldexp(recip(to_float(l, F32, FRACTION)), e - WEIGHT_BIAS)


@kernel
def attention_output(acc: SInt(40), k: F32) -> F32:
    """One element of the output."""
    return to_float(acc) * k


@kernel
def position_score(dot: SInt(DOT_BITS), sq_c0: UInt(32), sk: UInt(SCALE_BITS)) -> SCORE:
    """Score of one position for one query head; ``sq_c0`` as bits of an F32, ``sk`` as those of a BF16."""
    significand = (_significand(bits(sq_c0, 7, 23)) * _significand(bits(sk, 0, 7))) >> SCORE_DROPPED
    places = clamp(SCORE_BIAS - bits(sq_c0, 23, 31) - bits(sk, 7, 15), 0, MOST_PLACES)
    return clamp((dot * significand >> SCORE_DROPPED) >> places, SCORE.low, SCORE.high)


@kernel
def largest_score(s: SCORE, exists: UInt(1)) -> SCORE:
    """Largest score of a packet's positions."""
    return stream_max(select(exists, s, SCORE.low))


@kernel
def value_exponent(sv: BF16, exists: UInt(1)) -> UInt(8):
    """Largest exponent field among the scales of a packet's values, at least 1."""
    return maximum(stream_max(select(exists, exponent_field(sv), 0)), 1)


@kernel
def position_weight(s: SCORE, m: SCORE, sv: UInt(SCALE_BITS), e: Shared[UInt(8)], exists: UInt(1)) -> Weight:
    """Probability and value weight of one position for one query head; none of a position that does not exist."""
    below = wrap(m - s, UInt(SCORE_BITS))
    power = table(bits(below, 0, SCORE_FRACTION), POWERS, UInt(POWER_FRACTION + 1)) << (FRACTION - POWER_FRACTION)
    places = clamp(bits(below, SCORE_FRACTION, SCORE_BITS), 0, MOST_PLACES)
    p = power >> select(exists, places, MOST_PLACES)
    scale = (_significand(bits(sv, 0, 7)) << SCALE_FRACTION + 7) >> clamp(e - bits(sv, 7, 15), 0, MOST_PLACES)
    w = (p * scale + (1 << FRACTION + SCALE_FRACTION - 1)) >> (FRACTION + SCALE_FRACTION)
    return Weight(p, wrap(w, UInt(16)))


@kernel
def probability_sum(p: UInt(PROBABILITY_BITS)) -> UInt(PROBABILITY_SUM_BITS):
    """Denominator of the softmax: the sum over a packet's positions."""
    return stream_sum(p, UInt(PROBABILITY_SUM_BITS))


@kernel
def head_output(acc: SInt(40), k: Shared[F32]) -> F32:
    """One element of a head's output."""
    return attention_output(acc, k)
