"""A mapped, flat netlist as yosys' ``write_json`` gives it: cells, their pins, and names of bits."""

import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rtlm.gen.common.errors import GenerateError

Bit = int | str
"""A net's number, or a constant: ``0``, ``1``, ``x``, ``z``."""


NO_CELLS = ("$scopeinfo",)
"""What yosys keeps among the cells to remember the hierarchy by."""


REGISTERED = {"DSP48E2": "PREG"}
"""Parameter of a primitive that says whether its output is a register; its kind then ends in the parameter's name."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """An instance of a primitive.

    Parameters
    ----------
    name, kind
        Its name in the flat netlist, and the primitive.
    pins
        The bits at each port, the lowest first.
    outputs
        Ports that drive.
    """

    name: str
    kind: str
    pins: Mapping[str, Sequence[Bit]]
    outputs: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class Mapped:
    """A netlist of primitives.

    Parameters
    ----------
    top
        Name of the module.
    cells
        All instances.
    inputs, outputs
        Nets at the ports, by port name and bit.
    names
        A name of each net: that of the register or signal of our source where it has one.
    """

    top: str
    cells: Sequence[Cell]
    inputs: Mapping[str, Sequence[Bit]]
    outputs: Mapping[str, Sequence[Bit]]
    names: Mapping[int, str] = field(default_factory=dict)


def read_mapped(path: Path, top: str) -> Mapped:
    """Read the file of ``write_json``.

    Parameters
    ----------
    path
        The file, packed by gzip if its name ends in ``.gz``.
    top
        Name of the flat module in it.

    Raises
    ------
    GenerateError
        If the module is not in it.
    """
    written = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    modules = json.loads(written)["modules"]
    if top not in modules:
        raise GenerateError(f"{path} has no module {top}; it has {', '.join(sorted(modules)[:5])}.")
    return mapped(modules[top], top)


def mapped(module: Mapping[str, Any], top: str) -> Mapped:
    """Return the netlist of a module of ``write_json``."""
    cells = [
        Cell(
            name=name,
            kind=_kind(cell),
            pins=cell["connections"],
            outputs=frozenset(pin for pin, way in cell["port_directions"].items() if way == "output"),
        )
        for name, cell in module["cells"].items()
        if cell["type"] not in NO_CELLS
    ]
    ports = module["ports"]
    return Mapped(
        top=top,
        cells=cells,
        inputs={name: port["bits"] for name, port in ports.items() if port["direction"] == "input"},
        outputs={name: port["bits"] for name, port in ports.items() if port["direction"] == "output"},
        names=_names(module["netnames"]),
    )


def _kind(cell: Mapping[str, Any]) -> str:
    parameter = REGISTERED.get(cell["type"], "")
    registered = int(str(cell.get("parameters", {}).get(parameter, "0")), 2)
    return f"{cell['type']}.{parameter}" if registered else cell["type"]


def _names(nets: Mapping[str, Mapping[str, Any]]) -> dict[int, str]:
    """Name each net: names that yosys made up come last, the shortest path in the hierarchy and the shortest first."""
    found: dict[int, str] = {}
    for name, net in sorted(nets.items(), key=lambda item: (_made_up(item[0], item[1]), item[0].count("."), item[0])):
        bits = net["bits"]
        for index, bit in enumerate(bits):
            if isinstance(bit, int) and bit not in found:
                found[bit] = name if len(bits) == 1 else f"{name}[{index}]"
    return found


def _made_up(name: str, net: Mapping[str, Any]) -> bool:
    return bool(net.get("hide_name")) or name.startswith("$")
