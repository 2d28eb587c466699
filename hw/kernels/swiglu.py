"""Gated activations between the two halves of a feed-forward layer (Shazeer, arXiv:2002.05202)."""

import math

from rtlm.hw.hls import F32, Shared, UInt, exp2, kernel, recip, select

LOG2_E = math.log2(math.e)
GELU_LINEAR = -2 * math.sqrt(2 / math.pi) * LOG2_E
GELU_CUBIC = 0.044715 * GELU_LINEAR


@kernel
def swiglu(gate: F32, up: F32) -> F32:
    """``(gate * sigmoid(gate)) * up``."""
    return gate * recip(1 + exp2(gate * -LOG2_E)) * up


@kernel
def gated(gate: F32, up: F32, gelu: Shared[UInt(1)]) -> F32:
    """:func:`swiglu`, or with `gelu` GeGLU: as ``(1 + tanh(u)) / 2 = sigmoid(2 * u)``, it has another exponent.

    ``u = sqrt(2 / pi) * (gate + 0.044715 * gate**3)`` (Hendrycks and Gimpel, arXiv:1606.08415).
    """
    slope = select(gelu, GELU_LINEAR + GELU_CUBIC * (gate * gate), -LOG2_E)
    return gate * recip(1 + exp2(gate * slope)) * up
