"""What a unit is made of, counted from its parameters: the terms that the fitted coefficients multiply."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from rtlm.gen.area.memories import TABLE_MUX, Memory


@dataclass(frozen=True, kw_only=True)
class KernelUse:
    """A kernel's pipeline in a unit.

    Parameters
    ----------
    name, lanes
        Kernel of `rtlm.hw.kernels`, and its lanes.
    tag_bits, max_length
        As of `rtlm.gen.area.pipelines.pipeline`.
    """

    name: str
    lanes: int
    tag_bits: int = 0
    max_length: int = 0


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


def tree(width: int, terms: int, *, radix: int = 2, grow: int = 1, limit: int = 64) -> tuple[int, int]:
    """Return adder bits and register bits of a tree of sums with registers behind each level.

    Parameters
    ----------
    width, terms
        Bits and number of what is added.
    radix
        Operands of a sum between two registers.
    grow, limit
        Bits that a level adds, up to a widest sum.
    """
    adders = registers = 0
    while terms > 1:
        width, left = min(limit, width + grow), -(-terms // radix)
        adders += (terms - left) * width
        registers += left * width
        terms = left
    return adders, registers


def total(values: Iterable[float]) -> float:
    """Return the sum of plain numbers as a float."""
    return float(sum(values))
