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
from rtlm.gen.synthesis.cell_energy import Reader, is_register, mean, pins, settled_slew, tables
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
    group, sha256 = _parsed(path)
    areas = {cell.name: cell.number("area") for cell in group.all("cell")}
    gates = sorted((area, name) for name, area in areas.items() if _NAND.search(name))
    if not gates:
        raise ToolError(f"{path} must have a cell whose name contains NAND2, to count gates by, got none.")
    return Library(
        path=path,
        sha256=sha256,
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
    library, _ = _parsed(path)
    reader = Reader(library)
    found = sorted(
        (cell.number("area"), inputs[0].number("capacitance"), cell.name, cell)
        for cell in library.all("cell")
        if len(inputs := pins(cell, "input")) == 1
        and any(_INVERSION.fullmatch(pin.attributes.get("function", "").replace(" ", "")) for pin in cell.all("pin"))
    )
    if not found:
        raise ToolError(f"{path} must have a cell that inverts its one input, got none.")
    _, capacitance, name, cell = found[0]
    input_pf = capacitance * reader.scale.pf
    load_pf = FAN_OUT * input_pf
    slew_ns = settled_slew(reader, {name: cell}, {name: 1}, load_pf)
    edges = [
        [value for pin in pins(cell, "output") for value in tables(reader, pin, (kind,), slew_ns, load_pf)]
        for kind in ("cell_rise", "cell_fall")
    ]
    if not all(edges):
        raise ToolError(f"cell {name} must have tables of its delay for both edges, got none.")
    return Inverter(name=name, input_pf=input_pf, delay_ns=mean([mean(edge) for edge in edges]) * reader.scale.ns)


@cache
def _parsed(path: Path) -> tuple[Group, str]:
    """Return the library of a liberty file, and the hash of its content."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ToolError(f"The liberty file {path} cannot be read: {error}.") from None
    return parse_liberty(text), hashlib.sha256(text.encode()).hexdigest()
