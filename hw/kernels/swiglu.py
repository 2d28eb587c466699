"""SwiGLU: the gated activation between the two halves of a feed-forward layer (Shazeer, arXiv:2002.05202)."""

from rtlm.hw.hls import F32, exp2, kernel, recip

LOG2_E = 1.4426950408889634


@kernel
def swiglu(gate: F32, up: F32) -> F32:
    """``(gate * sigmoid(gate)) * up``."""
    return gate * recip(1 + exp2(gate * -LOG2_E)) * up
