"""Matrix product as a nest of loops: both operands wait in memories, a dot product is a packet."""

from rtlm.hw.hls import Ram, SInt, UInt, kernel, loop, stream_sum

SIDE = 32
"""Rows of the largest operand, and words from a row to the next: a power of two, so that lanes share an address."""


@kernel
def matmul(
    a: Ram[SInt(8), SIDE * SIDE], b: Ram[SInt(8), SIDE * SIDE], rows: UInt(6), columns: UInt(6), inner: UInt(6)
) -> SInt(32):
    """``a @ b``, row by row, for ``a`` in rows and ``b`` in columns."""
    for i in loop(rows):
        for j in loop(columns):
            for k in loop(inner):
                total = stream_sum(a[i * SIDE + k] * b[j * SIDE + k], SInt(32))
    return total
