"""Cells, memories and gated registers of an accelerator by unit, kept for estimates of its power in standard cells."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from rtlm.gen.configuration.schema import Configuration
from rtlm.gen.synthesis.asic import memories
from rtlm.gen.synthesis.elements import TOP
from rtlm.gen.synthesis.kept import keep, kept
from rtlm.gen.synthesis.netlist import modules
from rtlm.gen.synthesis.synthesise import SynthResult
from rtlm.gen.synthesis.targets import ASIC

KIND = "cells"
"""Of what is kept."""
_REGISTER = re.compile(
    r"^  cell \$dff \S+\n.*?parameter \\WIDTH (\d+)\n.*?connect \\CLK \\(\S+)", re.MULTILINE | re.DOTALL
)
_GATED = re.compile(r"^    connect \\gated \\(\S+)$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class UnitCells:
    """What a unit consists of.

    Parameters
    ----------
    cells
        How many of each cell.
    memories
        How many SRAMs of each size, as ``WIDTHxWORDS``.
    gated
        Share of its flip-flops whose clock stops while they rest.
    """

    cells: Mapping[str, float] = field(default_factory=dict)
    memories: Mapping[str, float] = field(default_factory=dict)
    gated: float = 0.0

    def scaled(self, logic: float, registers: float, memory: float) -> "UnitCells":
        """Return a unit with so many times the combinational cells, flip-flops and memories."""
        return UnitCells(
            cells={name: count * (registers if "DFF" in name else logic) for name, count in self.cells.items()},
            memories={size: count * memory for size, count in self.memories.items()},
            gated=self.gated,
        )

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "UnitCells":
        """Read what `dataclasses.asdict` wrote.

        Raises
        ------
        ValueError, TypeError, LookupError, AttributeError
            If it is something else.
        """
        cells = {str(name): float(count) for name, count in values["cells"].items()}
        sizes = {size: float(count) for size, count in values["memories"].items() if all(memory_size(size))}
        gated = float(values["gated"])
        amounts = [*cells.values(), *sizes.values(), gated]
        if not all(math.isfinite(each) and each >= 0 for each in amounts) or gated > 1:
            raise ValueError("counts must be numbers from 0")
        return cls(cells=cells, memories=sizes, gated=gated)


def memory_size(text: str) -> tuple[int, int]:
    """Return width and words of ``WIDTHxWORDS``."""
    width, words = text.split("x")
    return int(width), int(words)


def gated_shares(netlist: str, units: Iterable[str]) -> dict[str, float]:
    """Return the share of the registers' bits whose clock is the output of a clock gate.

    Parameters
    ----------
    netlist
        RTLIL of an accelerator.
    units
        Its units; `TOP` is what lies in none.
    """
    gated = set(_GATED.findall(netlist))
    still, whole = Counter[str](), Counter[str]()
    for name, text in modules(netlist).items():
        parts = name.split(".")
        unit = parts[1] if len(parts) > 1 else TOP
        for width, clock in _REGISTER.findall(text):
            whole[unit] += int(width)
            still[unit] += int(width) * (clock in gated)
    return {unit: still[unit] / whole[unit] if whole[unit] else 0.0 for unit in units}


def unit_cells(result: SynthResult, netlist: str) -> dict[str, UnitCells]:
    """Return what each unit consists of.

    Parameters
    ----------
    result
        Synthesis of a whole accelerator to standard cells, with its units told apart.
    netlist
        RTLIL that it is of.
    """
    cells: dict[str, Counter[str]] = {}
    for module in result.modules:
        mapped = {name: count for name, count in module.cells.items() if not name.startswith("$")}
        cells.setdefault(module.path.split(".")[0] or TOP, Counter()).update(mapped)
    sizes: dict[str, Counter[str]] = {unit: Counter() for unit in cells}
    for name, found in memories(netlist, [result.top, *(f"{result.top}.{unit}" for unit in cells)]).items():
        for (width, words), count in found.items():
            sizes[name.removeprefix(result.top).lstrip(".") or TOP][f"{width}x{words}"] += count
    gated = gated_shares(netlist, cells)
    return {unit: UnitCells(cells=dict(cells[unit]), memories=dict(sizes[unit]), gated=gated[unit]) for unit in cells}


def keep_cells(config: Configuration, result: SynthResult, netlist: str) -> None:
    """Keep what the units consist of; results of other targets, and those without a library, are passed over.

    Parameters
    ----------
    config
        What was synthesised.
    result, netlist
        As for `unit_cells`.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    if result.target == ASIC and result.total["area_um2"]:
        keep(KIND, config, {unit: asdict(each) for unit, each in unit_cells(result, netlist).items()})


def kept_cells(config: Configuration) -> Mapping[str, UnitCells] | None:
    """Return what each unit consists of by an earlier synthesis; None where there is none to be read."""
    return kept(KIND, config, lambda values: {str(unit): UnitCells.from_json(each) for unit, each in values.items()})
