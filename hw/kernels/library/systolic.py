"""Tile of a systolic array: a 4 x 4 matrix product, results in place, operands handed on from cell to cell."""

from typing import Any

from rtlm.hw.hls import SInt, Vec, Vector, kernel, previous, stream_sum

SIDE = 4


@kernel
def systolic(a: Vec[SInt(8), SIDE], b: Vec[SInt(8), SIDE]) -> Vec[Vec[SInt(32), SIDE], SIDE]:
    """``A @ B`` of a column of A and a row of B a beat, and ``2 * (SIDE - 1)`` beats of zeros at the end.

    Cell (i, j) sees what entered i + j beats ago: operands step right and down through one register a cell.
    """

    def cell(i: int, j: int) -> Any:
        return stream_sum(previous(a[i], i + j) * previous(b[j], i + j), SInt(32))

    return Vector([Vector([cell(i, j) for j in range(SIDE)]) for i in range(SIDE)])
