"""The block diagram of an accelerator: its units and what flows between them, read from the Amaranth components."""

import re
import textwrap
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Fragment, Signal, UnusedElaboratable, Value
from amaranth.hdl._ast import Assign
from amaranth.lib import wiring
from rtlm.gen.common.errors import RtlmError
from rtlm.gen.configuration.schema import Configuration
from rtlm.host.plots.diagram import Arrow, Box, diagram
from rtlm.hw.accelerator import Accelerator

SLICES = "_slice"
"""Submodules with this ending are registers on a stream, not units."""
GATES = "_clock_gate"
VALID = "__valid"
BANK_READ = ("read__data", "read__block")
"""Ports by which the matrix unit reads the activation banks, which are no streams."""


@dataclass(frozen=True, order=True, kw_only=True)
class Stream:
    """A stream between two units.

    Parameters
    ----------
    source, port
        Unit that sends, and the port's name there.
    sink
        Unit that receives.
    bits
        Width of the payload.
    sliced
        Whether a register slice lies between them.
    """

    source: str
    port: str
    sink: str
    bits: int
    sliced: bool = False


@dataclass(frozen=True, kw_only=True)
class Structure:
    """What an accelerator consists of.

    Parameters
    ----------
    parts
        Units by name, each with the names of its submodules.
    streams
        Streams between units, and reads of the activation banks.
    configured
        Units that read the registers of a step.
    """

    parts: dict[str, tuple[str, ...]]
    streams: tuple[Stream, ...]
    configured: tuple[str, ...]


def structure(config: Configuration) -> Structure:
    """Read the structure of a configuration's accelerator from its components."""
    top = Accelerator(config.to_params())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnusedElaboratable)
        fragment = Fragment.get(top, None)
    parts: dict[str, tuple[str, ...]] = {}
    ports = dict(_ports("", top))
    for part, name, _ in fragment.subfragments:
        component = next((each for each in part.origins or () if isinstance(each, wiring.Component)), None)
        if component is not None:
            parts[name] = tuple(inner for _, inner, _ in part.subfragments if inner and not inner.endswith(GATES))
            ports |= dict(_ports(name, component))
    copies = _copies(fragment.statements["comb"])
    wires = [(ports[source], ports[sink]) for source, sink in copies if source in ports and sink in ports]
    return Structure(
        parts={name: inner for name, inner in parts.items() if not name.endswith(SLICES)},
        streams=tuple(sorted(_streams(wires))),
        configured=tuple(sorted({sink.unit for source, sink in wires if source.unit == "registers" and sink.unit})),
    )


@dataclass(frozen=True, kw_only=True)
class _Port:
    """A signal of a port: whose it is, its name, and the bits, a stream's those of its payload."""

    unit: str
    name: str
    bits: int


def _ports(unit: str, component: wiring.Component) -> Iterator[tuple[int, _Port]]:
    """Yield the signals of a component's ports by their identity; the component keeps them."""
    values = {"__".join(map(str, path)): Value.cast(value) for path, _, value in component.signature.flatten(component)}
    for name, value in values.items():
        if isinstance(value, Signal):
            yield id(value), _Port(unit=unit, name=name, bits=len(values.get(name.replace(VALID, "__payload"), value)))


def _copies(statements: Sequence[Any]) -> Iterator[tuple[int, int]]:
    """Yield source and sink of each signal that is connected to another as it is."""
    for statement in statements:
        if isinstance(statement, Assign) and isinstance(statement.lhs, Signal) and isinstance(statement.rhs, Signal):
            yield id(statement.rhs), id(statement.lhs)


def _streams(wires: Sequence[tuple[_Port, _Port]]) -> Iterator[Stream]:
    """Yield the streams among connected ports; one through a slice goes to where that leads."""
    behind = {source.unit: sink.unit for source, sink in wires if source.unit.endswith(SLICES) and VALID in source.name}
    for source, sink in wires:
        inside = source.unit and sink.unit and source.unit != sink.unit and not source.unit.endswith(SLICES)
        if inside and (source.name.endswith(VALID) or source.name in BANK_READ):
            yield Stream(
                source=source.unit,
                port=source.name.removesuffix(VALID),
                sink=behind.get(sink.unit, sink.unit),
                bits=source.bits,
                sliced=sink.unit in behind,
            )


BOXES = {
    "registers": ("registers", (470, 110, 230, 62)),
    "reader": ("reader", (190, 110, 230, 62)),
    "writer": ("writer", (800, 110, 110, 62)),
    "sequencer": ("sequencer", (190, 250, 590, 58)),
    "banks": ("activation banks", (20, 400, 150, 78)),
    "matmul": ("matrix unit", (250, 400, 180, 78)),
    "attention": ("attention unit", (470, 400, 190, 78)),
    "vector": ("vector engine", (20, 566, 890, 62)),
}
"""What the units are called, and where they stand: left, top, width, height."""
WITHIN_REGISTERS = ("counters", "step_check")

ROUTES = {
    ("reader", "o_words", "sequencer"): ("words", ((215, 172), (215, 250))),
    ("reader", "o_program", "sequencer"): ("program", ((277, 172), (277, 250))),
    ("sequencer", "o_segments", "reader"): ("segments", ((355, 250), (355, 172))),
    ("sequencer", "o_matmul_words", "matmul"): ("words", ((270, 308), (270, 400))),
    ("sequencer", "o_matmul", "matmul"): ("command", ((345, 308), (345, 400))),
    ("sequencer", "o_attention_words", "attention"): ("words", ((490, 308), (490, 400))),
    ("sequencer", "o_attention", "attention"): ("command", ((565, 308), (565, 400))),
    ("sequencer", "o_vector_words", "vector"): ("words", ((690, 308), (690, 566))),
    ("sequencer", "o_vector", "vector"): ("command", ((756, 308), (756, 566))),
    ("matmul", "read__block", "banks"): ("", ((250, 452), (170, 452))),
    ("banks", "read__data", "matmul"): ("blocks", ((170, 430), (250, 430))),
    ("matmul", "o", "vector"): ("results", ((345, 478), (345, 566))),
    ("attention", "o", "vector"): ("results", ((490, 478), (490, 566))),
    ("vector", "o_local", "attention"): ("queries, keys,", ((570, 566), (570, 478))),
    ("vector", "o_bank", "banks"): ("blocks", ((45, 566), (45, 478))),
    ("vector", "o_scale", "banks"): ("scales", ((115, 566), (115, 478))),
    ("vector", "o_writes", "writer"): ("KV, logits", ((845, 566), (845, 172))),
}
"""How each stream is called, and its corners."""
LABELS = {"read__data": (180, 396)}
"""Where the label stands that would lie on a box."""

LETTER = 7.4
"""Width of a letter of small text at most, in pixels, with some room."""


def architecture_svg(config: Configuration) -> str:
    """Draw a configuration's accelerator."""
    return drawn(config, structure(config))


def drawn(config: Configuration, found: Structure) -> str:
    """Draw an accelerator whose structure is known.

    Raises
    ------
    RtlmError
        It has a unit or stream that has no place in the picture, or lacks one that has.
    """
    streams = {(each.source, each.port, each.sink): each for each in found.streams}
    differing = sorted(map(str, (streams.keys() ^ ROUTES.keys()) | (found.parts.keys() ^ {*BOXES, *WITHIN_REGISTERS})))
    if differing:
        raise RtlmError(f"host/plots/architecture.py and the accelerator differ in {', '.join(differing)}")
    ports = f"{config.memory.ports} ports, {config.memory.port_bits} bit each"
    outside = (
        Box(name="AXI4 reads", x=190, y=20, width=230, height=46, lines=(ports,), outside=True),
        Box(name="AXI4-Lite", x=470, y=20, width=230, height=46, lines=("32 bit",), outside=True),
        Box(name="AXI4 writes", x=800, y=20, width=110, height=46, lines=("on the same",), outside=True),
    )
    inner = {name: _counted(parts) for name, parts in found.parts.items()} | {"registers": "counters, step check"}
    boxes = [
        Box(name=title, x=x, y=y, width=width, height=height, lines=_lines(inner[name], width))
        for name, (title, (x, y, width, height)) in BOXES.items()
    ]
    others = ", ".join(BOXES[name][0] for name in found.configured if name in BOXES and name != "sequencer")
    arrows = [
        Arrow(points=((305, 66), (305, 110))),
        Arrow(points=((855, 110), (855, 66))),
        Arrow(points=((560, 66), (560, 110))),
        Arrow(points=((610, 110), (610, 66))),
        Arrow(points=((560, 172), (560, 250)), label=("a step's registers; also to", *_lines(others, 230))),
    ]
    for key, stream in streams.items():
        name, points = ROUTES[key]
        label = (name, f"{stream.bits} bit") if name else ()
        if stream.port == "o_local":
            label = (name, f"values {stream.bits} bit")
        arrows.append(Arrow(points=points, label=label, label_at=LABELS.get(stream.port), slice=stream.sliced))
    title = (
        f"Units of the accelerator {config.name} and the streams between them, with their bits; "
        "a bar across an arrow is a register slice"
    )
    return diagram(930, 648, title, [*outside, *boxes, *arrows])


def _counted(parts: Sequence[str]) -> str:
    """Return the names of a unit's parts; those that differ in a number are counted."""
    kinds = Counter(re.sub(r"_?\d+$", "", name).replace("_", " ") for name in parts)
    return ", ".join(name if count == 1 else f"{count} {name}s" for name, count in kinds.items())


def _lines(text: str, width: float) -> tuple[str, ...]:
    return tuple(textwrap.wrap(text, int(width / LETTER)))
