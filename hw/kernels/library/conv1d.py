"""One-dimensional convolution over several channels, with weights that come with the packet."""

from rtlm.hw.hls import Shared, SInt, Vec, Vector, dot, kernel, window, wrap

CHANNELS = 4
TAPS = 3


@kernel
def conv1d(x: Vec[SInt(8), CHANNELS], w: Shared[Vec[Vec[SInt(8), TAPS], CHANNELS]]) -> SInt(24):
    """``sum over channels c and taps n of w[c][n] * x[c][k - n]``; before a packet there are zeros."""
    total = Vector([dot(window(x[c], TAPS), w[c]) for c in range(CHANNELS)]).sum()
    return wrap(total, SInt(24))
