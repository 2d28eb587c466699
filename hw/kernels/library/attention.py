"""Attention of one query over a stream of keys and values, in one pass (Milakov, Gimelshein, arXiv:1805.02867)."""

from math import inf
from typing import Any

from rtlm.hw.hls import F32, Shared, SInt, Vec, constant, dot, exp2, fold, kernel, maximum, recip, to_float, zeros

HEAD = 8
"""Length of a head."""


def online_softmax(state: tuple, s: Any, v: Any) -> tuple:
    """Largest score, denominator and numerator with one more position; the old ones scaled to the new largest score."""
    largest, total, weighted = state
    new = maximum(largest, s)
    keep, p = exp2(largest - new), exp2(s - new)
    return new, total * keep + p, weighted * keep + to_float(v) * p


@kernel
def attention(
    k: Vec[SInt(8), HEAD], v: Vec[SInt(8), HEAD], q: Shared[Vec[SInt(8), HEAD]], scale: Shared[F32]
) -> Vec[F32, HEAD]:
    """``softmax(scale * q . k) . v`` over the positions of a packet; ``scale`` includes log2(e)."""
    start = (constant(-inf, F32), constant(0, F32), zeros(Vec[F32, HEAD]))
    _, total, weighted = fold(online_softmax, start, to_float(dot(q, k)) * scale, v)
    return weighted * recip(total)
