"""Histogram of a packet."""

from rtlm.hw.hls import UInt, Vec, constant, fold, kernel, wrap

BINS = 16


@kernel
def histogram(bin: UInt(4)) -> Vec[UInt(16), BINS]:
    """How many elements of the packet fell into each bin, modulo 2**16."""
    return fold(lambda count: wrap(count + 1, UInt(16)), constant(0, UInt(16)), key=bin, keys=BINS)
