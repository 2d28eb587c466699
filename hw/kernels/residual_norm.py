"""Residual connection, and the first half of the norm behind it."""

from typing import NamedTuple

from rtlm.hw.hls import F32, UInt, kernel
from rtlm.hw.kernels.residual import residual
from rtlm.hw.kernels.rmsnorm import SQUARE_BITS, norm_input


class NewResidual(NamedTuple):
    """New residual value, the quantiser's input, the fixed-point square."""

    x: F32
    z: F32
    square: UInt(SQUARE_BITS)


@kernel
def residual_norm(x: F32, y: F32, w: F32) -> NewResidual:
    """Add to the residual and prepare the norm that follows it."""
    total = residual(x, y)
    prepared = norm_input(total, w)
    return NewResidual(total, prepared.z, prepared.square)
