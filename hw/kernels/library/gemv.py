"""Matrix times vector: the vector waits in a memory, the matrix streams by, a row a packet."""

from rtlm.hw.hls import Ram, SInt, UInt, index, kernel, stream_sum

COLUMNS = 1024
"""Longest row."""


@kernel
def gemv(w: SInt(8), x: Ram[SInt(8), COLUMNS]) -> SInt(32):
    """``sum(w[k] * x[k])`` over a row; ``lanes`` is how many columns meet in a cycle."""
    return stream_sum(w * x[index(UInt(10))], SInt(32))
