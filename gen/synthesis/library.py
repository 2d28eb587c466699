"""A library of standard cells that is given as a liberty file, and what mapping and timing take of it.

Nothing is asked for besides the file: the cell that stands for a gate equivalent is the smallest NAND with two inputs,
and what timing needs of wires and memories follows from the smallest inverter (`Inverter`).
"""

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from rtlm.gen.common.errors import ToolError
from rtlm.gen.synthesis.cell_energy import FIRST_SLEW_NS, SLEW_STEPS, Reader, is_register
from rtlm.gen.synthesis.liberty import Group, parse_liberty

FAN_OUT = 4
"""Inverters that an inverter drives where its delay is measured."""
_NAND = re.compile(r"NAND_?2(?![0-9])", re.IGNORECASE)
_INVERSION = re.compile(r"\(*(!\w+|\w+')\)*")


@dataclass(frozen=True, kw_only=True)
class Inverter:
    """The smallest inverter of a library.

    Parameters
    ----------
    name
        Which.
    input_pf
        Capacitance of its input.
    delay_ns
        Its delay where it drives four of itself, the slew that of such a chain.
    """

    name: str
    input_pf: float
    delay_ns: float


@dataclass(frozen=True, kw_only=True)
class Library:
    """A library.

    Parameters
    ----------
    path, sha256
        The liberty file, and the hash of its content.
    name, volt
        What the file calls it, and its supply.
    areas
        Area of each cell in square micrometres.
    registers
        Cells that are flip-flops.
    reference
        The cell whose area is one gate equivalent.
    """

    path: Path
    sha256: str
    name: str
    volt: float
    areas: dict[str, float]
    registers: frozenset[str]
    reference: str


@cache
def read_library(path: Path) -> Library:
    """Read a liberty file.

    Raises
    ------
    ToolError
        If it cannot be read, is no liberty file, or has no NAND with two inputs.
    """
    text = _text(path)
    group = parse_liberty(text)
    areas = {cell.name: cell.number("area") for cell in group.all("cell")}
    gates = sorted((area, name) for name, area in areas.items() if _NAND.search(name))
    if not gates:
        raise ToolError(f"{path} must have a cell whose name contains NAND2, to count gates by, got none.")
    return Library(
        path=path,
        sha256=hashlib.sha256(text.encode()).hexdigest(),
        name=group.name,
        volt=group.number("nom_voltage"),
        areas=areas,
        registers=frozenset(cell.name for cell in group.all("cell") if is_register(cell)),
        reference=gates[0][1],
    )


@cache
def smallest_inverter(path: Path) -> Inverter:
    """Return the smallest inverter of a library.

    Raises
    ------
    ToolError
        If it has none, or none with tables of its delay.
    """
    library = parse_liberty(_text(path))
    reader = Reader(library)
    found = sorted(
        (cell.number("area"), pins[0].number("capacitance"), cell.name, cell)
        for cell in library.all("cell")
        if len(pins := [pin for pin in cell.all("pin") if pin.attributes.get("direction") == "input"]) == 1
        and any(_INVERSION.fullmatch(pin.attributes.get("function", "").replace(" ", "")) for pin in cell.all("pin"))
    )
    if not found:
        raise ToolError(f"{path} must have a cell that inverts its one input, got none.")
    _, capacitance, name, cell = found[0]
    input_pf = capacitance * reader.scale.pf
    slew = FIRST_SLEW_NS
    for _ in range(SLEW_STEPS):
        slew = _mean_of(reader, cell, "transition", slew, FAN_OUT * input_pf)
    delay = (_mean_of(reader, cell, edge, slew, FAN_OUT * input_pf) for edge in ("rise", "fall"))
    return Inverter(name=name, input_pf=input_pf, delay_ns=sum(delay) / 2)


def _mean_of(reader: Reader, cell: Group, what: str, slew_ns: float, load_pf: float) -> float:
    """Return the mean of an output's tables in ns: of transitions, or of the delays of one edge."""
    tables = {"transition": ("rise_transition", "fall_transition"), "rise": ("cell_rise",), "fall": ("cell_fall",)}
    values = [
        reader.at(group, slew_ns, load_pf)
        for pin in cell.all("pin")
        for arc in pin.all("timing")
        for kind in tables[what]
        for group in arc.all(kind)
    ]
    if not values:
        raise ToolError(f"cell {cell.name} must have tables of its {what}, got none.")
    return sum(values) / len(values) * reader.scale.ns


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ToolError(f"The liberty file {path} cannot be read: {error}.") from None
