"""Packets for the benches of kernels: where they end, which beats read which load, and what the model says of them."""

from typing import Any

import numpy as np
from rtlm.hw.hls import Kernel


def bounded(last: np.ndarray, longest: int) -> np.ndarray:
    """Return flags of last beats with more of them, so that no packet is longer than so many beats."""
    last, run = last.copy(), 0
    for n in range(len(last)):
        run += 1
        last[n] |= run >= longest
        run = 0 if last[n] else run
    return last


def draw_ends(rng: np.random.Generator, beats: int, longest: int, *, chance: float) -> np.ndarray:
    """Draw where packets end: each beat with a chance, and the last one for sure."""
    last = bounded(rng.random(beats) < chance, longest)
    last[-1] = True
    return last


def load_spans(last: np.ndarray, loads: int) -> list[tuple[int, int]]:
    """Cut beats between packets into at most so many parts, each with loads of its own: first beat, and end."""
    ends = np.flatnonzero(last) + 1
    cuts = sorted({int(ends[len(ends) * n // loads - 1]) for n in range(1, loads + 1)})
    return list(zip([0, *cuts[:-1]], cuts, strict=True))


def model_of_beats(
    kernel: Kernel, fields: list[np.ndarray], contents: dict[str, list[np.ndarray]], last: np.ndarray
) -> list[Any]:
    """Evaluate a kernel on beats.

    Parameters
    ----------
    kernel
        The kernel.
    fields
        For each field of a beat an array of shape ``(beats, lanes)``, or ``(beats,)`` if all lanes share it.
    contents
        For each memory the words of each of its fields.
    last
        Flags of last beats, for a kernel that works on packets.
    """
    if kernel.graph.framed:
        return kernel.model_of_fields(fields, contents, last=last)
    return kernel.model_of_fields([f[:, None] if f.ndim == 1 else f for f in fields], contents)
