"""What a unit is made of, counted from its parameters: the terms that the fitted coefficients multiply."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from rtlm.gen.area.memories import TABLE_MUX, Memory

BYTE_BITS, FLOAT_BITS = 8, 32


@dataclass(frozen=True, kw_only=True)
class KernelUse:
    """A kernel's pipelines in a unit.

    Parameters
    ----------
    name, lanes
        Kernel of `rtlm.hw.kernels`, and its lanes.
    tag_bits, max_length, keys
        Bits that accompany each beat, beats of the longest packet, packets that interleave.
    interval
        Cycles between beats, for which operators are shared; with 1 they are not.
    chain
        Share of a cycle up to which operators follow each other within it, as of `rtlm.hw.hls.Directives`.
    copies
        How often it is there.
    arguments, term
        Of a function that makes a kernel: its arguments, and the term of the unit to which its registers belong. Its
        tables are among the unit's own.
    """

    name: str
    lanes: int = 1
    tag_bits: int = 0
    max_length: int = 0
    keys: int = 1
    interval: int = 1
    chain: float | None = None
    copies: int = 1
    arguments: tuple[Any, ...] = ()
    term: str = ""

    @property
    def ii(self) -> int | None:
        """The interval as a directive."""
        return self.interval if self.interval > 1 else None


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Contents of a unit.

    Parameters
    ----------
    luts, ffs
        Tables and registers by what they belong to, as the source describes them; each is a term of the model.
    dsps
        Multipliers of 27 x 18 bits outside of kernels.
    kernels
        Pipelines.
    memories
        Memories.
    """

    luts: dict[str, float] = field(default_factory=dict)
    ffs: dict[str, float] = field(default_factory=dict)
    dsps: int = 0
    kernels: tuple[KernelUse, ...] = ()
    memories: tuple[Memory, ...] = ()


def selection(bits: float, inputs: float) -> float:
    """Return the tables of a multiplexer with some inputs."""
    return bits * max(0.0, inputs - 1) / TABLE_MUX


def tree(width: int, terms: int, *, limit: int = 64) -> int:
    """Return the adder bits of a tree of sums.

    Parameters
    ----------
    width, terms
        Bits and number of what is added.
    limit
        Bits of the widest sum; each level adds one.
    """
    adders = 0
    while terms > 1:
        width, left = min(limit, width + 1), -(-terms // 2)
        adders += (terms - left) * width
        terms = left
    return adders


def total(values: Iterable[float]) -> float:
    """Return the sum of plain numbers as a float."""
    return float(sum(values))
