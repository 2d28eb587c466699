"""The gate of SwiGLU or, as a beat says, of GeGLU (Shazeer, arXiv:2002.05202)."""

import math

from rtlm.hw.hls import F32, Shared, UInt, exp2, kernel, recip, select
from rtlm.hw.kernels.swiglu import LOG2_E

LINEAR = -2 * math.sqrt(2 / math.pi) * LOG2_E
CUBIC = 0.044715 * LINEAR
"""GELU is ``gate * sigmoid(2 * u)`` with ``u = sqrt(2 / pi) * (gate + 0.044715 * gate**3)``, as ``(1 + tanh(u)) / 2 =
sigmoid(2 * u)`` (Hendrycks and Gimpel, arXiv:1606.08415): these are the factors of its exponent of two."""


@kernel
def gated(gate: F32, up: F32, gelu: Shared[UInt(1)]) -> F32:
    """``GELU(gate) * up`` where `gelu` is 1; otherwise SwiGLU, bit for bit."""
    slope = select(gelu, LINEAR + CUBIC * (gate * gate), -LOG2_E)
    return gate * recip(1 + exp2(gate * slope)) * up
