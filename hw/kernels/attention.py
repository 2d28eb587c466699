"""The float32 side of attention over an int8 KV cache; docs/numerics.md has the whole."""

from typing import NamedTuple

from rtlm.hw.hls import BF16, F32, Shared, SInt, UInt, convert, exp2, kernel, ldexp, recip, to_float, to_int

FRACTION = 24  # probabilities count in units of 2**-24
WEIGHT_BIAS = 141  # a weight p * sv * 2**(141 - e) is at most 2**15


class Weight(NamedTuple):
    """Probability for the denominator, and weight of a value vector."""

    p: UInt(25)
    w: UInt(16)


@kernel
def score(dot: SInt(24), kq: F32) -> F32:
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
def position_score(dot: SInt(24), sq_c0: F32, sk: BF16) -> F32:
    """Score of one position for one query head."""
    return score(dot, score_scale(sq_c0, sk))


@kernel
def position_weight(s: F32, m: F32, sv: BF16, e: Shared[UInt(8)]) -> Weight:
    """Probability and value weight of one position for one query head."""
    return softmax_weight(s, m, sv, e)


@kernel
def head_output(acc: SInt(40), k: Shared[F32]) -> F32:
    """One element of a head's output."""
    return attention_output(acc, k)
