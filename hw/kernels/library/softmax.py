"""Softmax over packets of several columns side by side."""

from rtlm.hw.hls import F32, Vec, kernel
from rtlm.hw.kernels.softmax import softmax

COLUMNS = 4


@kernel
def softmax_columns(s: Vec[F32, COLUMNS]) -> Vec[F32, COLUMNS]:
    """Softmax of each column of a packet."""
    return s.map(softmax)
