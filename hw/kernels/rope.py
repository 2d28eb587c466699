"""Rotary position embedding of one pair (Su et al., arXiv:2104.09864)."""

from rtlm.hw.hls import F32, kernel


@kernel
def rope(x0: F32, x1: F32, cos: F32, sin: F32) -> tuple[F32, F32]:
    """Rotate (x0, x1) by an angle given by its cosine and sine, unfused."""
    return x0 * cos - x1 * sin, x0 * sin + x1 * cos
