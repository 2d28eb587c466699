"""Quantisation of a block to int8, or codes of 9 bits, with a BF16 scale, and back."""

from typing import NamedTuple

from rtlm.hw.common.layouts import CODE_BITS, CODE_FRACTION
from rtlm.hw.hls import (
    BF16,
    F16,
    F32,
    Shared,
    SInt,
    UInt,
    Value,
    bits,
    clamp,
    constant,
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
WIDE_LARGEST = (1 << CODE_BITS - 1) - 1


class Quantised(NamedTuple):
    """Code, and the scale of its block."""

    q: SInt(CODE_BITS)
    scale: BF16


def _codes(x: Value, factor: Value, wide: Value) -> Value:
    """Return ``x * factor`` as codes, or twice that where they are wide; for kernels."""
    units = to_int(ldexp(x, select(wide, CODE_FRACTION, constant(0, UInt(1)))) * factor, 16)
    return select(wide, clamp(units, -WIDE_LARGEST, WIDE_LARGEST), clamp(units, -LARGEST, LARGEST))


@kernel
def quantise(x: F32, wide: Shared[UInt(1)]) -> Quantised:
    """Scale ``max |x| / 127`` of the packet, and codes ``round(x / scale)`` or, where they are wide, of half the unit.

    Codes that memory holds are in -127 ... 127, wide ones in -255 ... 255.
    """
    scale = convert(stream_max(abs(x)) * (1 / LARGEST), BF16)
    return Quantised(_codes(x, recip_exact(scale), wide), scale)


@kernel
def quantise_head(
    x: F32,
    square: UInt(SQUARE_BITS),
    inv_n: Shared[F32],
    eps: Shared[F32],
    normed: Shared[UInt(1)],
    wide: Shared[UInt(1)],
) -> Quantised:
    """:func:`quantise` of ``x`` or, where the last beat says ``normed``, of ``x * r`` with ``r`` of a norm.

    ``r`` is :func:`norm_scalar` of the squares. It meets a packet's reciprocal instead of its elements, and the
    reciprocal is that of the normalised scale, so that codes make up for the rounding of the scale as ever.
    """
    r = select(stream_last(normed), norm_scalar(square, inv_n, eps), 1)
    scale = convert(stream_max(abs(x)) * (1 / LARGEST) * r, BF16)
    return Quantised(_codes(x, recip_exact(scale) * r, wide), scale)


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
