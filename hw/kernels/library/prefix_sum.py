"""Running sum."""

from rtlm.hw.hls import SInt, constant, kernel, scan, wrap


@kernel
def prefix_sum(x: SInt(16)) -> SInt(32):
    """Sum of the packet's elements up to and with this one."""
    return scan(lambda total, x: wrap(total + x, SInt(32)), constant(0, SInt(32)), x)
