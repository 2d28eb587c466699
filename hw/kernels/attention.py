"""The float32 side of attention over an int8 KV cache; docs/numerics.md has the whole."""

import math
from functools import cache
from typing import NamedTuple

from rtlm.hw.hls import (
    BF16,
    F32,
    Kernel,
    Shared,
    SInt,
    UInt,
    Vec,
    convert,
    exp2,
    exponent_field,
    kernel,
    ldexp,
    maximum,
    recip,
    select,
    stream_max,
    stream_sum,
    to_float,
    to_int,
    wrap,
)

FRACTION = 24  # probabilities count in units of 2**-24
WEIGHT_BIAS = 141  # a weight p * sv * 2**(141 - e) is at most 2**15

PROBABILITY_SUM_BITS = 40
"""Width of the sum of 2^16 probabilities."""
WEIGHT_SUM_BITS = 32
"""Width of the sum of 2^16 weights."""

DOT_BITS = 24
"""Signed width of a query's product with a key."""
BYTE_OFFSET = 128
"""Queries, keys and values enter the multipliers as unsigned bytes, value + 128: no product needs a sign."""


@cache
def key_dots(heads: int, length: int, steps: int) -> Kernel:
    """Return the sums of products with a key, of which what the key's offset adds has been taken.

    Parameters
    ----------
    heads
        Queries that meet the key.
    length
        Bytes of the key in a beat.
    steps
        Beats of a key; more than one are a packet.
    """

    # As wide as it needs: bits that repeat the sign would only look like a loop to who reads the Verilog.
    dot = SInt(1 + (length * steps * 255 * BYTE_OFFSET).bit_length())

    @kernel
    def key_dots(products: Vec[Vec[UInt(16), length], heads], x: Vec[UInt(8), length]) -> Vec[dot, heads]:
        sums = products.map(lambda row: row.sum()) - BYTE_OFFSET * x.sum()
        return stream_sum(sums, dot) if steps > 1 else wrap(sums, dot)

    return key_dots


class Weight(NamedTuple):
    """Probability for the denominator, and weight of a value vector."""

    p: UInt(25)
    w: UInt(16)


class WeightSums(NamedTuple):
    """Denominator of the softmax, and what the values' offset is multiplied by."""

    p: UInt(PROBABILITY_SUM_BITS)
    w: UInt(WEIGHT_SUM_BITS)


@kernel
def score(dot: SInt(DOT_BITS), kq: F32) -> F32:
    """Score of one position from the integer product of query and key."""
    return to_float(dot) * kq


@kernel
def score_scale(sq_c0: F32, sk: BF16) -> F32:
    """Scale of a score: the query's (with log2(e)/sqrt(D)) times the key's."""
    return sq_c0 * convert(sk, F32)


@kernel
def softmax_weight(s: F32, m: F32, sv: BF16, e: UInt(8)) -> Weight:
    """``p = 2**(s - m)`` and the value weight ``p * sv * 2**(141 - e)``, both as integers."""
    p = exp2(s - m)
    return Weight(to_int(p, UInt(25), FRACTION), to_int(ldexp(p * convert(sv, F32), WEIGHT_BIAS - e), UInt(16)))


@kernel
def attention_norm(l: UInt(40), e: UInt(8)) -> F32:  # noqa: E741
    """Factor of the output: reciprocal of the denominator, and the scaling of the weights undone."""
    return ldexp(recip(to_float(l, F32, FRACTION)), e - WEIGHT_BIAS)


@kernel
def attention_output(acc: SInt(40), k: F32) -> F32:
    """One element of the output."""
    return to_float(acc) * k


@kernel
def position_score(dot: SInt(DOT_BITS), sq_c0: F32, sk: BF16) -> F32:
    """Score of one position for one query head."""
    return score(dot, score_scale(sq_c0, sk))


@kernel
def largest_score(s: F32, exists: UInt(1)) -> F32:
    """Largest score of a packet's positions."""
    return stream_max(select(exists, s, -math.inf))


@kernel
def value_exponent(sv: BF16, exists: UInt(1)) -> UInt(8):
    """Largest exponent field among the scales of a packet's values, at least 1."""
    return maximum(stream_max(select(exists, exponent_field(sv), 0)), 1)


@kernel
def position_weight(s: F32, m: F32, sv: BF16, e: Shared[UInt(8)], exists: UInt(1)) -> Weight:
    """Probability and value weight of one position for one query head; none of a position that does not exist."""
    weight = softmax_weight(s, m, sv, e)
    return Weight(select(exists, weight.p, 0), select(exists, weight.w, 0))


@kernel
def weight_sums(p: UInt(25), w: UInt(16)) -> WeightSums:
    """Sums over a packet's positions."""
    return WeightSums(stream_sum(p, UInt(PROBABILITY_SUM_BITS)), stream_sum(w, UInt(WEIGHT_SUM_BITS)))


@kernel
def head_output(acc: SInt(40), k: Shared[F32]) -> F32:
    """One element of a head's output."""
    return attention_output(acc, k)
