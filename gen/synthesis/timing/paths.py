"""The worst paths of a netlist, in terms of our source."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from rtlm.gen.synthesis.path_names import Owner, Share, owner, shares
from rtlm.gen.synthesis.place import Step, signal_name
from rtlm.gen.synthesis.timing.graph import Graph, Times
from rtlm.gen.synthesis.timing.technology import Wires


@dataclass(frozen=True, kw_only=True)
class Path:
    """A path between registers, memories or ports.

    Parameters
    ----------
    period_ns
        Its delay from clock edge to clock edge, set-up included.
    levels
        Cells of logic on it.
    ends
        What it leads from and to.
    parts
        What each operator or unit takes of it, in its order.
    steps
        Cell by cell, as of a placed design.
    """

    period_ns: float
    levels: int
    ends: tuple[Owner, Owner]
    parts: tuple[Share, ...]
    steps: tuple[Step, ...]

    @property
    def group(self) -> tuple[str, str]:
        """The instances at its ends: what paths are gathered by."""
        return self.ends[0].path, self.ends[1].path


def worst(graph: Graph, times: Times, wires: Wires, objects: Mapping[str, Any], top: str, count: int) -> list[Path]:
    """Return the slowest path of each pair of instances, the slowest pair first.

    Parameters
    ----------
    graph, times, wires
        A netlist, and its arrival times with those wires.
    objects, top
        What each module is, and the hierarchical name of the unit (`rtlm.gen.synthesis.path_names.owner`).
    count
        How many pairs.
    """
    tracer = _Tracer(graph, times, wires)

    def ends() -> Iterator[End]:
        for each in np.argsort(-times.end_ns, kind="stable"):
            if not np.isfinite(times.end_ns[each]):
                return
            end = int(each)
            names = tracer.start_name(end), tracer.end_name(end)
            yield End(float(times.end_ns[end]), *names, partial(tracer.steps, end))

    return of_pairs(ends(), objects, top, count)


class End(NamedTuple):
    """Where paths end: the period of the slowest, the signals it leads from and to, and what gives its steps."""

    period_ns: float
    source: str
    target: str
    steps: Callable[[], list[Step]]


def of_pairs(ends: Iterable[End], objects: Mapping[str, Any], top: str, count: int) -> list[Path]:
    """Return the first path of each pair of instances.

    Parameters
    ----------
    ends
        The slowest first. Most ends of one instance hang on the same late signal: steps are asked for only of the first
        from each start.
    objects, top, count
        As of `worst`.
    """
    found: dict[tuple[str, str], Path] = {}
    for end in ends:
        source, target = owner(end.source, top, objects), owner(end.target, top, objects)
        if (source.path, target.path) in found:
            continue
        steps = end.steps()
        found[source.path, target.path] = Path(
            period_ns=round(end.period_ns, 3),
            levels=sum(step.kind == "logic" for step in steps),
            ends=(source, target),
            parts=tuple(shares(steps, top, objects)),
            steps=tuple(steps),
        )
        if len(found) == count:
            break
    return list(found.values())


class _Tracer:
    """Follows the latest arrival backwards."""

    def __init__(self, graph: Graph, times: Times, wires: Wires):
        self.graph, self.times = graph, times
        self.wire_ns, self.end_wire_ns = graph.wire_ns(graph.arcs, wires), graph.wire_ns(graph.ends, wires)
        arcs = graph.arcs
        arrival = times.arrival_ns[arcs.source] + self.wire_ns + arcs.cell_ns
        late = np.flatnonzero(arrival >= times.arrival_ns[arcs.target] - 1e-9)
        # The arc that decides each net's arrival; none where the clock decides it.
        self.before = np.full(len(times.arrival_ns), -1, dtype=np.int64)
        self.before[arcs.target[late]] = late
        clocked = times.arrival_ns <= graph.start_ns + 1e-9
        self.before[clocked] = -1
        self.first = self._first()

    def _first(self) -> np.ndarray:
        """Return the net at which the path to each net begins."""
        first = np.arange(len(self.before))
        arcs = self.graph.arcs
        for arc in np.flatnonzero(self.before[arcs.target] == np.arange(len(arcs.target))):
            first[arcs.target[arc]] = first[arcs.source[arc]]
        return first

    def name(self, net: int) -> str:
        """Name a net, or where it has no name of ours the cell that drives it."""
        name, cell = self.graph.netlist.names.get(net, ""), int(self.graph.drivers[net])
        return signal_name(self.graph.netlist.cells[cell].name if name.startswith("$") and cell >= 0 else name)

    def start_name(self, end: int) -> str:
        net = int(self.first[self.graph.ends.source[end]])
        return self.name(net)

    def end_name(self, end: int) -> str:
        """Name what an end is at: the register by what it drives."""
        cell = int(self.graph.ends.cell[end])
        if cell < 0:
            return self.name(int(self.graph.ends.source[end]))
        pins, outputs = self.graph.netlist.cells[cell].pins, sorted(self.graph.netlist.cells[cell].outputs)
        driven = [bit for pin in outputs for bit in pins.get(pin, ()) if isinstance(bit, int)]
        return self.name(driven[0]) if driven else signal_name(self.graph.netlist.cells[cell].name)

    def steps(self, end: int) -> list[Step]:
        arcs, steps = self.graph.arcs, []
        net = int(self.graph.ends.source[end])
        steps.append(_step("setup", self.graph.ends.cell_ns[end], self.end_name(end)))
        steps.append(_step("routing", self.end_wire_ns[end], self.name(net)))
        while (arc := int(self.before[net])) >= 0:
            steps.append(_step("logic", arcs.cell_ns[arc], self.name(net)))
            net = int(arcs.source[arc])
            steps.append(_step("routing", self.wire_ns[arc], self.name(net)))
        steps.append(_step("clk-to-q", self.graph.start_ns[net], self.name(net)))
        return steps[::-1]


def _step(kind: str, ns: float, signal: str) -> Step:
    return Step(kind=kind, delay_ns=round(float(ns), 3), signal=signal)
