"""Kernels and regions to use and to learn from: what accelerators are made of, as mathematics and nothing else."""

from rtlm.hw.kernels.library.attention import attention
from rtlm.hw.kernels.library.conv1d import conv1d
from rtlm.hw.kernels.library.conv2d import conv2d
from rtlm.hw.kernels.library.fir import fir
from rtlm.hw.kernels.library.gemv import gemv
from rtlm.hw.kernels.library.gemv_tile import gemv_tile
from rtlm.hw.kernels.library.histogram import histogram
from rtlm.hw.kernels.library.layernorm import layernorm, layernorm_columns
from rtlm.hw.kernels.library.matmul import matmul
from rtlm.hw.kernels.library.prefix_sum import prefix_sum
from rtlm.hw.kernels.library.qmatmul import qmatmul
from rtlm.hw.kernels.library.softmax import softmax_columns
from rtlm.hw.kernels.library.systolic import systolic
from rtlm.hw.kernels.library.top_k import top_k
from rtlm.hw.kernels.softmax import softmax

__all__ = [
    "attention",
    "conv1d",
    "conv2d",
    "fir",
    "gemv",
    "gemv_tile",
    "histogram",
    "layernorm",
    "layernorm_columns",
    "matmul",
    "prefix_sum",
    "qmatmul",
    "softmax",
    "softmax_columns",
    "systolic",
    "top_k",
]
