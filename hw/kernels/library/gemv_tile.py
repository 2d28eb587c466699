"""Matrix times vector as a region: columns meet several at a time, and the vector is kept for a tile of rows."""

from rtlm.hw.hls import SInt, Stream, Vec, dot, kernel, region, repeat, stream_sum, widen

COLUMNS = 16
"""That meet in a cycle."""
ROWS = 8
"""Of a tile."""


@kernel
def row(w: Vec[SInt(8), COLUMNS], x: Vec[SInt(8), COLUMNS]) -> SInt(32):
    """``sum(w[k] * x[k])`` over a packet."""
    return stream_sum(dot(w, x), SInt(32))


@region
def gemv_tile(w: Stream[Vec[SInt(8), COLUMNS]], x: Stream[SInt(8)]) -> Stream[SInt(32)]:
    """A packet of ``w`` is a row, one of ``x`` the vector of a tile; it comes an element a beat and is stored wide."""
    return row(w, repeat(widen(x, COLUMNS), ROWS, packets=True))
