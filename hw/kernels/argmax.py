"""Greedy choice of a token."""

from typing import NamedTuple

from rtlm.hw.hls import F32, UInt, kernel, stream_argmax


class Best(NamedTuple):
    """Largest logit and its token."""

    logit: F32
    index: UInt(20)


@kernel
def argmax(logit: F32, index: UInt(20)) -> Best:
    """Largest logit of a packet; the lowest index among equals."""
    return Best(*stream_argmax(logit, index))
