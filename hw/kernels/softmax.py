"""Softmax of a packet, as a textbook has it."""

from rtlm.hw.hls import F32, UInt, exp, kernel, recip, stream_max, stream_sum, to_float, to_int

FRACTION = 24


@kernel
def softmax(s: F32) -> F32:
    """``exp(s - max s) / sum exp(s - max s)``; the sum is exact in units of 2**-24."""
    p = exp(s - stream_max(s))
    total = stream_sum(to_int(p, UInt(FRACTION + 1), FRACTION), UInt(48))
    return p * recip(to_float(total, F32, FRACTION))
