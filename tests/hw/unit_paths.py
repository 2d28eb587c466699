"""Combinational paths of a netlist, by the units whose logic they go through."""

import json
from collections.abc import Collection, Iterator, Mapping
from graphlib import TopologicalSorter
from pathlib import Path
from typing import NamedTuple

from rtlm.gen.synthesis import yosys
from rtlm.gen.synthesis.timing.mapped import Bit, Cell, mapped
from rtlm.hw.common import mac

COMMANDS = (
    "read_rtlil netlist.il",
    "hierarchy -top {top}",
    "proc",
    "opt_expr",
    "opt_clean",
    "flatten",
    "opt_expr",
    "opt_clean -purge",
    "write_json netlist.json",
)

BITWISE = {"$not", "$pos", "$and", "$or", "$xor", "$xnor", "$mux"}
"""Cells each of whose output bits depends on one bit of each operand."""

REGISTERS = {"$dff", "$memwr_v2", "$meminit_v2", mac.MODULE}
"""Cells whose outputs follow no input within a cycle; read ports of memories say it themselves."""

BOUNDARY = "boundary"
"""In place of a unit, for what lies between two."""


class Crossing(NamedTuple):
    """A signal that enters a unit's logic from another unit's, with no register between them."""

    source: str
    sink: str
    signal: str


def crossings(
    rtlil: str, top: str, boundaries: Collection[str], folder: Path, parts: Collection[str] = ()
) -> set[Crossing]:
    """Return where a path from register to register goes through the logic of more than one unit.

    Parameters
    ----------
    rtlil
        Design.
    top
        Its module: the instances in it are the units, and its own logic is the unit ``""``.
    boundaries
        Instances that belong to no unit, as they are registers between two.
    folder
        Working directory.
    parts
        Instances at any depth that are told apart instead of the units; what is in none of them is no unit either.
    """
    (folder / "netlist.il").write_text(rtlil, encoding="utf-8")
    yosys.run([command.format(top=top) for command in COMMANDS], folder)
    module = json.loads((folder / "netlist.json").read_text(encoding="utf-8"))["modules"][top]
    netlist = mapped(module, top)
    names = netlist.names
    units = {name.split(".")[0] for name in names.values() if "." in name}

    nodes, ends = [], set()  # output bits that depend on the same input bits, these, and the unit; what is registered
    for cell in netlist.cells:
        path = cell.name.removeprefix("$flatten").replace("\\", "")
        first = path.split(".")[0]
        unit = first if first in units else ""
        if parts:
            unit = next((part for part in parts if path.startswith(f"{part}.")), BOUNDARY)
        if any(path.startswith(f"{part}.") for part in boundaries):
            unit = BOUNDARY
        follows = list(_dependences(cell, module["cells"][cell.name]["parameters"]))
        nodes += [(out, into, unit) for out, into in follows]
        if not follows:
            ends.update(_inputs(cell))
    driver = {bit: number for number, (out, _, _) in enumerate(nodes) for bit in out}
    before = [{driver[bit] for bit in into if bit in driver} for _, into, _ in nodes]
    registered = _upstream({driver[bit] for bit in ends if bit in driver}, before)

    found: set[Crossing] = set()
    through: dict[int, set[str]] = {}  # units whose logic a path that ends here has been through
    for number in TopologicalSorter({n: before[n] for n in registered}).static_order():
        _, into, own = nodes[number]
        earlier: set[str] = set()
        for bit in into:
            for unit in through.get(driver.get(bit, -1), ()):
                earlier.add(unit)
                if own not in (BOUNDARY, unit):
                    found.add(Crossing(unit, own, names.get(bit, str(bit))))
        through[number] = earlier if own == BOUNDARY else {own}
    return found


def _upstream(ends: set[int], before: list[set[int]]) -> set[int]:
    """Return these nodes and all before them."""
    seen, waiting = set(ends), list(ends)
    while waiting:
        new = before[waiting.pop()] - seen
        seen |= new
        waiting += new
    return seen


def _inputs(cell: Cell) -> list[Bit]:
    return [bit for pin, bits in cell.pins.items() if pin not in cell.outputs for bit in bits]


def _dependences(cell: Cell, parameters: Mapping[str, str]) -> Iterator[tuple[list[Bit], list[Bit]]]:
    """Yield output bits of a cell with the input bits that they follow within a cycle: nothing for a register."""
    if cell.kind in REGISTERS or (cell.kind == "$memrd_v2" and int(parameters["CLK_ENABLE"], 2)):
        return
    if cell.kind not in BITWISE:
        yield [bit for pin in cell.outputs for bit in cell.pins[pin]], _inputs(cell)
        return
    wide = [cell.pins[pin] for pin in ("A", "B") if pin in cell.pins]
    for place, bit in enumerate(cell.pins["Y"]):
        mine = [bits[min(place, len(bits) - 1)] for bits in wide]
        yield [bit], mine + list(cell.pins.get("S", ()))
