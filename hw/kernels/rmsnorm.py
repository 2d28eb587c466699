"""RMSNorm (Zhang, Sennrich, arXiv:1910.07467): in parts around a matrix product, and whole."""

from typing import NamedTuple

from rtlm.hw.hls import F32, Shared, UInt, clamp, kernel, rsqrt, stream_last, stream_sum, to_float, to_int

SQUARE_BITS = 63
"""Width of a square."""
SQUARE_FRACTION = 24  # unit of a square: 2**-24
SQUARE_LIMIT = 1 << 62


class NormInput(NamedTuple):
    """Weighted element and fixed-point square."""

    z: F32
    square: UInt(SQUARE_BITS)


@kernel
def norm_input(x: F32, w: F32) -> NormInput:
    """``x * w`` for the quantiser and ``x**2`` for the sum (unit 2**-24, saturating at 2**62)."""
    return NormInput(x * w, clamp(to_int(x * x, UInt(SQUARE_BITS), SQUARE_FRACTION), 0, SQUARE_LIMIT))


@kernel
def rms_scale(ss: UInt(64), inv_n: F32, eps: F32) -> F32:
    """``1 / sqrt(mean of squares + eps)`` from the sum of squares (unit 2**-24) and ``1 / n``."""
    return rsqrt(to_float(ss, F32, SQUARE_FRACTION) * inv_n + eps)


@kernel
def norm_scalar(square: UInt(SQUARE_BITS), inv_n: Shared[F32], eps: Shared[F32]) -> F32:
    """:func:`rms_scale` of a packet, from the squares that :func:`norm_input` gives."""
    ss = stream_sum(square, UInt(64), saturate=True)
    return rms_scale(ss, stream_last(inv_n), stream_last(eps))


@kernel
def rmsnorm(x: F32, w: F32, inv_n: Shared[F32], eps: Shared[F32]) -> F32:
    """``x * r * w`` over a packet, ``r`` as in :func:`rms_scale`."""
    ss = stream_sum(norm_input(x, w).square, UInt(64), saturate=True)
    return x * rms_scale(ss, inv_n, eps) * w
