"""Quantisation of a block to int8 with a BF16 scale, and back."""

from typing import NamedTuple

from rtlm.hw.hls import (
    BF16,
    F16,
    F32,
    Shared,
    SInt,
    UInt,
    bits,
    clamp,
    convert,
    kernel,
    ldexp,
    maximum,
    recip_exact,
    select,
    stream_last,
    stream_max,
    to_float,
    to_int,
)
from rtlm.hw.kernels.rmsnorm import SQUARE_BITS, norm_scalar

LARGEST = 127


class Quantised(NamedTuple):
    """Integer in -127 ... 127, and the scale of its block."""

    q: SInt(8)
    scale: BF16


@kernel
def quantise(x: F32) -> Quantised:
    """Scale ``max |x| / 127`` of the packet and ``round(x / scale)``."""
    scale = convert(stream_max(abs(x)) * (1 / LARGEST), BF16)
    return Quantised(clamp(to_int(x * recip_exact(scale), 16), -LARGEST, LARGEST), scale)


@kernel
def quantise_head(
    x: F32, square: UInt(SQUARE_BITS), inv_n: Shared[F32], eps: Shared[F32], normed: Shared[UInt(1)]
) -> Quantised:
    """:func:`quantise` of ``x`` or, where the last beat says ``normed``, of ``x * r`` with ``r`` of a norm.

    ``r`` is :func:`norm_scalar` of the squares. It meets a packet's reciprocal instead of its elements, and the
    reciprocal is that of the normalised scale, so that codes make up for the rounding of the scale as ever.
    """
    r = select(stream_last(normed), norm_scalar(square, inv_n, eps), 1)
    scale = convert(stream_max(abs(x)) * (1 / LARGEST) * r, BF16)
    return Quantised(clamp(to_int(x * (recip_exact(scale) * r), 16), -LARGEST, LARGEST), scale)


@kernel
def dequantise(q: SInt(8), d: F16) -> F32:
    """``q * d``; a subnormal ``d`` counts as zero."""
    return to_float(q) * convert(d, F32)


@kernel
def dequantise_half(q: SInt(9), d: UInt(16)) -> F32:
    """``q * d`` for the bits ``d`` of a GGUF scale: subnormal scales count, exponent 31 is no special case. Exact."""
    field = bits(d, 10, 15)
    significand = bits(d, 0, 10) + ((field != 0) << 10)
    signed = select(bits(d, 15, 16), -significand, significand)
    return ldexp(to_float(q * signed), maximum(field, 1) - 25)
