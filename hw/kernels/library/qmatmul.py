"""Matrix product with weights in blocks of 4 bits (Q4_0 of GGUF): a block of a row each beat."""

from rtlm.hw.hls import F16, F32, Ram, SInt, UInt, Vec, convert, dot, index, kernel, stream_sum, to_float, to_int

BLOCK = 32
BLOCKS = 128
"""Blocks of the longest row."""
FRACTION = 24  # sums count in units of 2**-24


@kernel
def qmatmul(q: Vec[UInt(4), BLOCK], d: F16, x: Ram[Vec[SInt(8), BLOCK], BLOCKS], s: Ram[F32, BLOCKS]) -> F32:
    """``sum over blocks of d * s * sum((q - 8) * x)`` for activations ``s * x`` in blocks of int8."""
    block = index(UInt(7))
    product = to_float(dot(q - 8, x[block])) * (convert(d, F32) * s[block])
    return to_float(stream_sum(to_int(product, SInt(48), FRACTION), SInt(56)), F32, FRACTION)
