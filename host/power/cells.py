"""Power of standard cells: liberty energies x toggles, the clock's pins and wires, leakage, and SRAM by a model."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from math import sqrt
from pathlib import Path
from typing import Any

from rtlm.gen.synthesis.cell_counts import UnitCells, memory_size
from rtlm.gen.synthesis.cell_energy import CellEnergy, Energies
from rtlm.host.power.libraries import OSU018
from rtlm.host.power.result import Range
from rtlm.host.power.technology import Entry, Figure, Positive, TechnologyError, parse


class ClockBuffer(Entry):
    """Buffers of the clock tree.

    Parameters
    ----------
    cell, per_sink
        Which, and how many for each sink.
    """

    cell: str
    per_sink: Figure


class Sram(Entry):
    """Memories.

    Parameters
    ----------
    pj_per_bit
        Energy of an access for each bit of its width, times the root of the words, at `toggle_rate`.
    um2_per_bit, um2_per_column
        Area.
    leakage_nw_per_bit
        Leakage.
    """

    pj_per_bit: Figure
    toggle_rate: Positive
    um2_per_bit: Figure
    um2_per_column: Figure
    leakage_nw_per_bit: Figure


class CellConditions(Entry):
    """What power takes besides the liberty file: ``constraints/power-NAME.yaml``.

    Parameters
    ----------
    name, node_nm
        The library and its process.
    internal, wire, glitches, leakage
        Factors on energies inside cells, on the wire to a sink, on toggles, and on leakage.
    clock_buffer, sram
        Clock tree and memories.
    """

    name: str
    node_nm: Positive
    internal: Figure
    wire: Figure
    glitches: Figure
    leakage: Figure
    clock_buffer: ClockBuffer
    sram: Sram


@dataclass(frozen=True, kw_only=True)
class CellTechnology:
    """A library of standard cells.

    Parameters
    ----------
    conditions
        Ranges, clock tree and memories.
    energies
        Of its cells.
    wire_pf
        Capacitance of the wire to a sink.
    """

    conditions: CellConditions
    energies: Energies
    wire_pf: float


@dataclass(frozen=True, kw_only=True)
class UnitPower:
    """Power of a unit in watt, and its area.

    Parameters
    ----------
    internal, nets
        Toggles inside cells, and charging inputs and wires.
    clock
        Clock pins with their wires, and buffers.
    sram
        Accesses of its memories.
    leakage
        Of cells and memories.
    area_um2, sram_um2
        Area of the cells, and of the memories.
    """

    internal: Range
    nets: Range
    clock: Range
    sram: Range
    leakage: Range
    area_um2: float
    sram_um2: Range

    @property
    def total(self) -> Range:
        """Everything."""
        return total((self.internal, self.nets, self.clock, self.sram, self.leakage))


@cache
def cell_technology(library: str = OSU018) -> CellTechnology:
    """Return a library's energies as they were recorded, with their ranges.

    Parameters
    ----------
    library
        One of `rtlm.host.power.libraries.LIBRARIES`.
    """
    values = record(library)["energies"]
    return CellTechnology(
        conditions=parse(CellConditions, f"power-{library}.yaml"),
        energies=Energies(
            volt=values["volt"],
            slew_ns=values["slew_ns"],
            load_pf=values["load_pf"],
            cells={name: CellEnergy(**cell) for name, cell in values["cells"].items()},
        ),
        wire_pf=record(library)["wire_pf"],
    )


@cache
def record(library: str = OSU018) -> Mapping[str, Any]:
    """Return what was recorded of a library: energies of its cells, and the cells of a preset."""
    found: Mapping[str, Any] = json.loads(record_path(library).read_text(encoding="utf-8"))
    return found


def record_path(library: str) -> Path:
    """Return what ``python benchmarks/cell_power.py --record`` writes: libraries are no part of the project."""
    return Path(__file__).with_name(f"{library}.json")


def unit_power(technology: CellTechnology, unit: UnitCells, *, rate: float, busy: Range, clock_mhz: float) -> UnitPower:
    """Return the power of a unit.

    Parameters
    ----------
    technology
        Its cells.
    unit
        What it consists of.
    rate
        Toggles for each net bit and cycle.
    busy
        Share of the cycles in which its gated clocks run, from `running`.
    clock_mhz
        Clock.

    Raises
    ------
    TechnologyError
        If the library has no energies of one of its cells.
    """
    conditions, cells = technology.conditions, technology.energies.cells
    sram, buffer = conditions.sram, cells[conditions.clock_buffer.cell]
    square = technology.energies.volt**2
    watt = clock_mhz * 1e6 * 1e-12
    if missing := sorted(set(unit.cells) - set(cells)):
        raise TechnologyError(f"the cells must be among those of {conditions.name}, got {missing[0]}")
    known = [(cells[name], count) for name, count in unit.cells.items()]
    sinks = sum(cell.clocks * count for cell, count in known)
    running = fixed(1 - unit.gated) + busy * unit.gated
    wire = conditions.wire.as_range * technology.wire_pf
    toggles = conditions.glitches.as_range * rate
    inside = conditions.internal.as_range * sum(cell.toggle_pj * count for cell, count in known)
    pins = sum(cell.input_pf * count for cell, count in known)
    inputs = sum(cell.inputs * count for cell, count in known)
    # A toggle takes half of C V2 from the supply in the mean, a clock cycle has two.
    charged = (wire * inputs + fixed(pins)) * (square / 2)
    pin_pj = conditions.internal.as_range * sum(cell.clock_pj * count for cell, count in known)
    clock_pf = wire * sinks + fixed(sum(cell.clock_pf * count for cell, count in known))
    buffer_pj = conditions.internal.as_range * (2 * buffer.toggle_pj) + (wire + fixed(buffer.input_pf)) * square
    clock = pin_pj + clock_pf * square + times(buffer_pj, conditions.clock_buffer.per_sink.as_range) * sinks
    sizes = [(*memory_size(size), count) for size, count in unit.memories.items()]
    bits = sum(width * words * count for width, words, count in sizes)
    accesses = min(1.0, rate / sram.toggle_rate) * sum(width * sqrt(words) * count for width, words, count in sizes)
    leakage = fixed(sum(cell.leakage_nw * count for cell, count in known)) + sram.leakage_nw_per_bit.as_range * bits
    return UnitPower(
        internal=times(inside, toggles) * watt,
        nets=times(charged, toggles) * watt,
        clock=times(clock, running) * watt,
        sram=sram.pj_per_bit.as_range * (accesses * watt),
        leakage=times(leakage, conditions.leakage.as_range) * 1e-9,
        area_um2=sum(cell.area_um2 * count for cell, count in known),
        sram_um2=sram.um2_per_bit.as_range * bits
        + sram.um2_per_column.as_range * sum(width * count for width, _, count in sizes),
    )


def running(busy: float | None) -> Range:
    """Return the share of the cycles in which gated clocks run.

    Parameters
    ----------
    busy
        Share in which the unit is busy; None where that is not known. Clocks run on for some cycles after each activity
        (`rtlm.hw.common.clock_gate.LINGER_CYCLES`), at most always.
    """
    return Range(nominal=1.0, low=0.0, high=1.0) if busy is None else Range(nominal=busy, low=busy, high=1.0)


def fixed(value: float) -> Range:
    """Return a value without a range."""
    return Range(nominal=value, low=value, high=value)


def times(one: Range, other: Range) -> Range:
    """Multiply, low by low and high by high."""
    return Range(nominal=one.nominal * other.nominal, low=one.low * other.low, high=one.high * other.high)


def total(parts: Iterable[Range]) -> Range:
    """Add up."""
    return sum(parts, fixed(0.0))
