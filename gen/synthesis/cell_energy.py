"""Energies of standard cells from their liberty tables, at the slew and load of a typical net.

The tables hold what a transition takes inside a cell, beyond charging the net that it drives. Where they depend on the
load they are read at its mean over the netlist's nets; the slew is what the mean cell makes of that load. The units
are those of the library, which have to be ns, pF and V: energies are then pJ.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from rtlm.gen.common.errors import ToolError
from rtlm.gen.synthesis.liberty import Group, parse_liberty, read_table

UNITS = {"time_unit": "1ns", "voltage_unit": "1V", "leakage_power_unit": "1nW", "capacitive_load_unit": "1, pf"}
"""Units that a library must have."""
SLEW_STEPS = 20
"""Steps in which the slew settles."""
FIRST_SLEW_NS = 0.1


@dataclass(frozen=True, kw_only=True)
class CellEnergy:
    """A cell.

    Parameters
    ----------
    area_um2, leakage_nw
        Of the cell.
    outputs, inputs
        Its outputs, and its inputs but for the clock.
    toggle_pj
        Energy inside the cell when each of its outputs, and each input that takes energy of its own, toggles once.
    input_pf
        Capacitance of its inputs but for the clock.
    clocks, clock_pj, clock_pf
        Clock pins, the energy inside the cell of a clock cycle, and the capacitance of the clock pins.
    """

    area_um2: float
    leakage_nw: float
    outputs: int
    inputs: int
    toggle_pj: float
    input_pf: float
    clocks: int = 0
    clock_pj: float = 0.0
    clock_pf: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Energies:
    """Energies of the cells of a library.

    Parameters
    ----------
    volt
        Supply.
    slew_ns, load_pf
        Slew and load that the tables were read at.
    cells
        By name.
    """

    volt: float
    slew_ns: float
    load_pf: float
    cells: Mapping[str, CellEnergy]


def cell_energies(text: str, counts: Mapping[str, float], wire_pf: float) -> Energies:
    """Read the energies of a library's cells, in a netlist that consists of them.

    Parameters
    ----------
    text
        A liberty file.
    counts
        How many of each cell the netlist has.
    wire_pf
        Capacitance of the wire to a sink.

    Raises
    ------
    ToolError
        If it is no liberty file, has other units or tables, or lacks a cell.
    """
    library = parse_liberty(text)
    for name, unit in UNITS.items():
        if library.attributes.get(name) != unit:
            raise ToolError(f"{name} of the library must be {unit}, got {library.attributes.get(name, 'none')}.")
    for template in (*library.all("lu_table_template"), *library.all("power_lut_template")):
        if "capacitance" in template.attributes.get("variable_2", ""):
            raise ToolError(f"tables of the library must have the load first, got {template.name} with the slew first.")
    found = {cell.name: cell for cell in library.all("cell")}
    if missing := sorted(set(counts) - set(found)):
        raise ToolError(f"the library has no cell {missing[0]}; its cells are {', '.join(sorted(found))}.")
    used = {name: found[name] for name, count in sorted(counts.items()) if count}
    load = _mean_load(used, counts, wire_pf)
    slew = _settled_slew(used, counts, load)
    return Energies(
        volt=library.number("nom_voltage"),
        slew_ns=slew,
        load_pf=load,
        cells={name: _energy(cell, slew, load) for name, cell in sorted(found.items())},
    )


def _mean_load(cells: Mapping[str, Group], counts: Mapping[str, float], wire_pf: float) -> float:
    """Return what an output drives in the mean: all inputs with their wires, over all outputs."""
    sinks = sum(counts[name] * (pin.number("capacitance") + wire_pf) for name in cells for pin in _inputs(cells[name]))
    outputs = sum(counts[name] * len(_pins(cells[name], "output")) for name in cells)
    if not outputs:
        raise ToolError("a netlist must have a cell with an output, got none.")
    return sinks / outputs


def _settled_slew(cells: Mapping[str, Group], counts: Mapping[str, float], load: float) -> float:
    """Return the slew that the mean cell makes of itself."""
    slew = FIRST_SLEW_NS
    for _ in range(SLEW_STEPS):
        made = {name: list(_tables(cell, "timing", "transition", slew, load)) for name, cell in cells.items()}
        slews = {name: values for name, values in made.items() if values}
        weight = sum(counts[name] for name in slews)
        if not weight:
            raise ToolError("the library must have tables of transitions, got none.")
        slew = sum(counts[name] * _mean(values) for name, values in slews.items()) / weight
    return slew


def _energy(cell: Group, slew: float, load: float) -> CellEnergy:
    inputs, clocks, outputs = _inputs(cell), _clocks(cell), _pins(cell, "output")
    toggle = sum(_mean(list(_pin_tables(pin, "internal_power", "power", slew, load))) for pin in (*outputs, *inputs))
    # A cycle is a rising and a falling edge.
    clock = sum(2 * _mean(list(_pin_tables(pin, "internal_power", "power", slew, load))) for pin in clocks)
    return CellEnergy(
        area_um2=cell.number("area"),
        leakage_nw=cell.number("cell_leakage_power"),
        outputs=len(outputs),
        inputs=len(inputs),
        toggle_pj=toggle,
        input_pf=sum(pin.number("capacitance") for pin in inputs),
        clocks=len(clocks),
        clock_pj=clock,
        clock_pf=sum(pin.number("capacitance") for pin in clocks),
    )


def _pins(cell: Group, direction: str) -> list[Group]:
    return [pin for pin in cell.all("pin") if pin.attributes.get("direction") == direction]


def _clocks(cell: Group) -> list[Group]:
    return [pin for pin in _pins(cell, "input") if pin.attributes.get("clock") == "true"]


def _inputs(cell: Group) -> list[Group]:
    return [pin for pin in _pins(cell, "input") if pin.attributes.get("clock") != "true"]


def _tables(cell: Group, kind: str, suffix: str, slew: float, load: float) -> Iterator[float]:
    for pin in _pins(cell, "output"):
        yield from _pin_tables(pin, kind, suffix, slew, load)


def _pin_tables(pin: Group, kind: str, suffix: str, slew: float, load: float) -> Iterator[float]:
    """Yield what the tables for rising and falling say, those of each arc."""
    for arc in pin.all(kind):
        for edge in ("rise", "fall"):
            for group in arc.all(f"{edge}_{suffix}"):
                table = read_table(group)
                yield table.at(load, slew) if len(table.axes) == 2 else table.at(slew)


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0
