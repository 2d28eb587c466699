"""Finite impulse response filter with constant taps."""

from rtlm.hw.hls import SInt, Vector, kernel, window, wrap

TAPS = (-1, 0, 9, 16, 9, 0, -1)
"""Half-band interpolator of Deslauriers and Dubuc, times 32."""


@kernel
def fir(x: SInt(16)) -> SInt(24):
    """``sum(TAPS[n] * x[k - n])``; before a packet there are zeros."""
    past = window(x, len(TAPS))
    return wrap(Vector([tap * old for tap, old in zip(TAPS, past, strict=True) if tap]).sum(), SInt(24))
