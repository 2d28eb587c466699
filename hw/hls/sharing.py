"""Operators that take turns, where beats of a kernel are cycles apart."""

from dataclasses import replace

from rtlm.hw.hls.directives import Directives
from rtlm.hw.hls.kernel import Kernel


def shared_within(kernel: Kernel, alone: Directives, longest: int) -> Directives:
    """Return directives with the shortest interval, up to `longest` cycles, that saves most operators of a kernel.

    It is a power of two, so that beats of one kernel meet the turns of the next.

    Parameters
    ----------
    kernel
        The kernel.
    alone
        What it is built for where nothing is shared.
    longest
        Longest interval that it may have, a power of two.
    """
    if longest == 1:
        return alone
    turns = kernel.plan(alone).turns
    interval = min(longest, 1 << (turns - 1).bit_length())
    return replace(alone, ii=interval) if interval > 1 else alone
