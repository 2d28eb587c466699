"""Energies of standard cells from their liberty tables, at the slew and load of a typical net.

The tables hold what a transition takes inside a cell, beyond charging the net that it drives. Where they depend on the
load they are read at its mean over the netlist's nets; the slew is what the mean cell makes of that load. Energies in a
liberty file are in its unit of capacitance times the square of its unit of voltage; here they are pJ, times ns, loads
pF and leakage nW.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rtlm.gen.common.errors import ToolError
from rtlm.gen.synthesis.liberty import Group, parse_liberty, read_table

TIMES_NS = {"1ps": 1e-3, "10ps": 1e-2, "100ps": 0.1, "1ns": 1.0}
VOLTS = {"1V": 1.0, "1mV": 1e-3}
POWERS_NW = {"1pW": 1e-3, "10pW": 1e-2, "100pW": 0.1, "1nW": 1.0, "1uW": 1e3, "1mW": 1e6}
FARADS_PF = {"pf": 1.0, "ff": 1e-3}
"""Units that a library may have."""
POWER, TRANSITION = ("rise_power", "fall_power"), ("rise_transition", "fall_transition")
"""Tables of an arc."""
LOAD = "total_output_net_capacitance"
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


@dataclass(frozen=True, kw_only=True)
class Scale:
    """What a library's figures have to be multiplied by."""

    ns: float
    volt: float
    nw: float
    pf: float

    @property
    def pj(self) -> float:
        """Of energies."""
        return self.pf * self.volt**2


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
        If it is no liberty file, has units or tables that are not known, or lacks a cell.
    """
    library = parse_liberty(text)
    found = {cell.name: cell for cell in library.all("cell")}
    if missing := sorted(set(counts) - set(found)):
        raise ToolError(f"the library has no cell {missing[0]}; its cells are {', '.join(sorted(found))}.")
    reader = Reader(library)
    used = {name: found[name] for name, count in sorted(counts.items()) if count}
    load = _mean_load(reader, used, counts, wire_pf)
    slew = settled_slew(reader, used, counts, load)
    return Energies(
        volt=library.number("nom_voltage") * reader.scale.volt,
        slew_ns=slew,
        load_pf=load,
        cells={name: _energy(reader, cell, slew, load) for name, cell in sorted(found.items())},
    )


class Reader:
    """Reads a library's figures in ns, pF, nW and pJ."""

    def __init__(self, library: Group):
        self.scale = _scale(library)
        templates = (*library.all("lu_table_template"), *library.all("power_lut_template"))
        self._templates = {each.name: each for each in templates}

    def at(self, group: Group, slew_ns: float, load_pf: float) -> float:
        """Return what a table says, in the library's unit of its values."""
        template = self._templates.get(group.name)
        table = read_table(group, template)
        where = {2: [slew_ns / self.scale.ns, load_pf / self.scale.pf], 1: [slew_ns / self.scale.ns], 0: []}
        first = template.attributes.get("variable_1", "") if template else ""
        if len(table.axes) == 2 and first == LOAD:
            return table.at(*reversed(where[2]))
        if len(table.axes) == 1 and first == LOAD:
            return table.at(load_pf / self.scale.pf)
        return table.at(*where[len(table.axes)])


def _scale(library: Group) -> Scale:
    def unit(name: str, known: Mapping[str, float]) -> float:
        text = library.attributes.get(name, "none")
        if text not in known:
            raise ToolError(f"{name} of the library must be one of {', '.join(known)}, got {text}.")
        return known[text]

    amount, _, farad = library.attributes.get("capacitive_load_unit", "none").partition(", ")
    try:
        pf = float(amount) * FARADS_PF[farad.lower()]
    except (ValueError, KeyError):
        raise ToolError(
            f"capacitive_load_unit of the library must be in pf or ff, got {amount}, {farad or 'none'}."
        ) from None
    return Scale(
        ns=unit("time_unit", TIMES_NS),
        volt=unit("voltage_unit", VOLTS),
        nw=unit("leakage_power_unit", POWERS_NW),
        pf=pf,
    )


def _mean_load(reader: Reader, cells: Mapping[str, Group], counts: Mapping[str, float], wire_pf: float) -> float:
    """Return what an output drives in the mean: all inputs with their wires, over all outputs."""
    sinks = sum(
        counts[name] * (pin.number("capacitance") * reader.scale.pf + wire_pf)
        for name in cells
        for pin in _inputs(cells[name])
    )
    outputs = sum(counts[name] * _outputs(cells[name]) for name in cells)
    if not outputs:
        raise ToolError("a netlist must have a cell with an output, got none.")
    return sinks / outputs


def settled_slew(reader: Reader, cells: Mapping[str, Group], counts: Mapping[str, float], load_pf: float) -> float:
    """Return the slew in ns that the mean cell makes of itself.

    Parameters
    ----------
    reader
        Of the library.
    cells, counts
        The cells, and how many of each.
    load_pf
        What each output drives.

    Raises
    ------
    ToolError
        If no cell has tables of transitions.
    """
    slew = FIRST_SLEW_NS
    for _ in range(SLEW_STEPS):
        made = {
            name: [value for pin in pins(cell, "output") for value in tables(reader, pin, TRANSITION, slew, load_pf)]
            for name, cell in cells.items()
        }
        slews = {name: values for name, values in made.items() if values}
        weight = sum(counts[name] for name in slews)
        if not weight:
            raise ToolError("the library must have tables of transitions, got none.")
        slew = sum(counts[name] * mean(values) for name, values in slews.items()) / weight * reader.scale.ns
    return slew


def _energy(reader: Reader, cell: Group, slew: float, load: float) -> CellEnergy:
    inputs, clocks, outputs = _inputs(cell), _clocks(cell), pins(cell, "output")
    scale = reader.scale

    def inside(pin: Group) -> float:
        return mean(list(tables(reader, pin, POWER, slew, load))) * scale.pj

    driven = sum(map(inside, outputs)) / max(1, len(outputs)) * _outputs(cell)
    return CellEnergy(
        area_um2=cell.number("area"),
        leakage_nw=_leakage(cell) * scale.nw,
        outputs=_outputs(cell),
        inputs=len(inputs),
        toggle_pj=driven + sum(map(inside, inputs)),
        input_pf=sum(pin.number("capacitance") for pin in inputs) * scale.pf,
        clocks=len(clocks),
        # A cycle is a rising and a falling edge.
        clock_pj=sum(2 * inside(pin) for pin in clocks),
        clock_pf=sum(pin.number("capacitance") for pin in clocks) * scale.pf,
    )


def _leakage(cell: Group) -> float:
    """Return the leakage of a cell: as stated, else the mean over its states."""
    if "cell_leakage_power" in cell.attributes:
        return cell.number("cell_leakage_power")
    return mean([state.number("value") for state in cell.all("leakage_power")])


def _outputs(cell: Group) -> int:
    """Return how many outputs of a cell toggle by themselves: Q and its complement are one."""
    return min(1, len(pins(cell, "output"))) if is_register(cell) else len(pins(cell, "output"))


def is_register(cell: Group) -> bool:
    """Return whether a cell is a flip-flop."""
    return any(cell.all("ff"))


def pins(cell: Group, direction: str) -> list[Group]:
    """Return the inputs or the outputs of a cell."""
    return [pin for pin in cell.all("pin") if pin.attributes.get("direction") == direction]


def _clocks(cell: Group) -> list[Group]:
    return [pin for pin in pins(cell, "input") if pin.attributes.get("clock") == "true"]


def _inputs(cell: Group) -> list[Group]:
    return [pin for pin in pins(cell, "input") if pin.attributes.get("clock") != "true"]


def tables(reader: Reader, pin: Group, kinds: Sequence[str], slew_ns: float, load_pf: float) -> Iterator[float]:
    """Yield what the tables of some kinds say, those of each arc, in the library's unit of their values."""
    for arc in pin.groups:
        for kind in kinds:
            for group in arc.all(kind):
                yield reader.at(group, slew_ns, load_pf)


def mean(values: Sequence[float]) -> float:
    """Return the mean, 0 of none."""
    return sum(values) / len(values) if values else 0.0
