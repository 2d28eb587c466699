"""The timing graph of a mapped netlist, and the longest path through it.

A node is a net. An arc leads from an input of a cell to one of its outputs: first the wire to the input, then the cell.
Paths begin where a clock or a port drives a net, and end where a pin has a set-up time, or at a port.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rtlm.gen.common.errors import NEGATIVE, GenerateError, RtlmError
from rtlm.gen.synthesis.timing.mapped import Mapped
from rtlm.gen.synthesis.timing.technology import Dedicated, Delays, Kind, Wires

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


Row = tuple[int, int, int, float, float, int]
"""What `Arcs` has of an arc."""


class LoopError(RtlmError):
    """The netlist has a combinational loop, so it has no longest path."""

    exit_code = NEGATIVE


@dataclass(frozen=True, kw_only=True)
class Arcs:
    """Connections from a net to a cell's pin, and through the cell or into its set-up.

    Parameters
    ----------
    source
        Net that the wire comes from.
    target
        Net that the cell drives; -1 where the path ends.
    cell
        Number of the cell; -1 at a port.
    cell_ns
        Delay in the cell, or its set-up time.
    dedicated_ns
        Delay of the wire if it is a dedicated one, else NaN.
    blocks
        How many of the wire's ends are at a block that stands in a column of its own.
    """

    source: Ints
    target: Ints
    cell: Ints
    cell_ns: Floats
    dedicated_ns: Floats
    blocks: Ints

    def take(self, index: Ints) -> "Arcs":
        """Return some of them."""
        return Arcs(
            source=self.source[index],
            target=self.target[index],
            cell=self.cell[index],
            cell_ns=self.cell_ns[index],
            dedicated_ns=self.dedicated_ns[index],
            blocks=self.blocks[index],
        )


@dataclass(frozen=True, kw_only=True)
class Graph:
    """What decides the clock of a netlist.

    Parameters
    ----------
    netlist
        Its cells and names.
    arcs
        Through cells, sorted by the level of what they drive.
    levels
        First arc of each level, and the number of arcs.
    ends
        Into registers, memories and ports.
    start_ns
        For each net clock to output of what drives it, 0 at a port, and minus infinity where logic drives it.
    drivers
        Cell that drives each net, -1 at a port.
    sinks
        Data pins on each net.
    """

    netlist: Mapped
    arcs: Arcs
    levels: Ints
    ends: Arcs
    start_ns: Floats
    drivers: Ints
    sinks: Ints

    def wire_ns(self, arcs: Arcs, wires: Wires) -> Floats:
        """Return the delay of the wire of each arc."""
        routed = wires.delay(self.sinks[arcs.source], arcs.blocks)
        return np.where(np.isnan(arcs.dedicated_ns), routed, arcs.dedicated_ns)


@dataclass(frozen=True, kw_only=True)
class Times:
    """Arrival times.

    Parameters
    ----------
    arrival_ns
        Of each net, at the pin that drives it; minus infinity where no path leads.
    end_ns
        Of each end, set-up included: the shortest period for which it is met.
    """

    arrival_ns: Floats
    end_ns: Floats

    @property
    def period_ns(self) -> float:
        """The shortest period that meets all ends."""
        return float(self.end_ns.max())


def build(netlist: Mapped, delays: Delays) -> Graph:
    """Build the graph of a netlist.

    Raises
    ------
    GenerateError
        If a cell has no delays, or no path ends anywhere.
    LoopError
        If there is a combinational loop; the message names a part of it.
    """
    unknown = sorted({cell.kind for cell in netlist.cells} - set(delays.kinds))
    if unknown:
        raise GenerateError(f"There are no delays for cells of type {', '.join(unknown)} on {delays.device}.")
    kinds = [delays.kinds[cell.kind] for cell in netlist.cells]
    wire = _Wiring(netlist, kinds, delays.dedicated)
    size = wire.nets
    start_ns, drivers = np.full(size, -np.inf), np.full(size, -1, dtype=np.int64)
    through: list[Row] = []
    ends: list[Row] = []
    for bits in netlist.inputs.values():
        for bit in bits:
            start_ns[bit] = 0.0
    for number, (cell, kind) in enumerate(zip(netlist.cells, kinds, strict=True)):
        outputs: dict[str, list[int]] = defaultdict(list)
        for port in cell.outputs & cell.pins.keys():
            driven = [bit for bit in cell.pins[port] if isinstance(bit, int)]
            outputs[wire.pin(kind, port)] += driven
            drivers[driven] = number
        for pin, ns in kind.clock_to_output.items():
            for bit in outputs.get(pin, ()):
                start_ns[bit] = max(start_ns[bit], ns)
        for port, bits in cell.pins.items():
            if port in cell.outputs:
                continue
            pin = wire.pin(kind, port)
            targets, setup = kind.through.get(pin, {}), kind.setup.get(pin)
            for bit in bits:
                if not isinstance(bit, int):
                    continue
                direct = wire.dedicated_ns(bit, kind.name, pin), wire.at_block(bit) + kind.block
                if setup is not None:
                    ends.append((bit, -1, number, setup, *direct))
                for output, ns in targets.items():
                    through += [(bit, net, number, ns, *direct) for net in outputs.get(output, ())]
    for bits in netlist.outputs.values():
        ends += [(bit, -1, -1, 0.0, np.nan, wire.at_block(bit)) for bit in bits if isinstance(bit, int)]
    if not ends:
        raise GenerateError(f"{netlist.top} has no register, memory or port that a path could end at.")
    arcs, levels = _in_order(_arcs(through), start_ns, netlist)
    return Graph(
        netlist=netlist,
        arcs=arcs,
        levels=levels,
        ends=_arcs(ends),
        start_ns=start_ns,
        drivers=drivers,
        sinks=wire.sinks,
    )


def arrive(graph: Graph, wires: Wires) -> Times:
    """Return the arrival times with the delays of some wires."""
    arrival = graph.start_ns.copy()
    cost = graph.wire_ns(graph.arcs, wires) + graph.arcs.cell_ns
    for first, last in zip(graph.levels[:-1], graph.levels[1:], strict=True):
        here = slice(first, last)
        np.maximum.at(arrival, graph.arcs.target[here], arrival[graph.arcs.source[here]] + cost[here])
    ends = arrival[graph.ends.source] + graph.wire_ns(graph.ends, wires) + graph.ends.cell_ns
    return Times(arrival_ns=arrival, end_ns=ends + wires.path_ns)


class _Wiring:
    """Who drives a net, and what hangs on it."""

    def __init__(self, netlist: Mapped, kinds: list[Kind], rules: tuple[Dedicated, ...]):
        self._blocks: set[int] = set()
        self._known: dict[tuple[str, str], str] = {}
        driver: dict[int, tuple[str, str]] = {}
        sinks: dict[int, list[tuple[str, str]]] = defaultdict(list)
        for cell, kind in zip(netlist.cells, kinds, strict=True):
            for port, bits in cell.pins.items():
                pin = self.pin(kind, port)
                if pin in kind.clocks:
                    continue
                for bit in bits:
                    if not isinstance(bit, int):
                        continue
                    if port in cell.outputs:
                        driver[bit] = (kind.name, pin)
                        if kind.block:
                            self._blocks.add(bit)
                    else:
                        sinks[bit].append((kind.name, pin))
        for bits in netlist.outputs.values():
            for bit in bits:
                if isinstance(bit, int):
                    sinks[bit].append(("port", ""))
        every = [*driver, *sinks, *(bit for bits in netlist.inputs.values() for bit in bits if isinstance(bit, int))]
        self.nets = max(every, default=0) + 1
        self.sinks = np.zeros(self.nets, dtype=np.int64)
        for bit, pins in sinks.items():
            self.sinks[bit] = len(pins)
        self._driver, self._pins = driver, sinks
        self._rules: Mapping[tuple[tuple[str, str], tuple[str, str]], Dedicated] = {
            (rule.source, rule.sink): rule for rule in rules
        }

    def pin(self, kind: Kind, port: str) -> str:
        """Return `Kind.pin`, remembered."""
        key = (kind.name, port)
        if key not in self._known:
            self._known[key] = kind.pin(port)
        return self._known[key]

    def at_block(self, bit: int) -> bool:
        """Return whether a block drives a net."""
        return bit in self._blocks

    def dedicated_ns(self, bit: int, kind: str, pin: str) -> float:
        """Return the delay of the connection of a net with a pin if it is a dedicated one, else NaN."""
        source = self._driver.get(bit)
        rule = self._rules.get((source, (kind, pin))) if source else None
        if rule is None or (rule.alone and any((source, other) not in self._rules for other in self._pins[bit])):
            return np.nan
        return rule.ns


def _arcs(rows: list[Row]) -> Arcs:
    source, target, cell, cell_ns, dedicated, blocks = zip(*rows, strict=True) if rows else ((), (), (), (), (), ())
    return Arcs(
        source=np.array(source, dtype=np.int64),
        target=np.array(target, dtype=np.int64),
        cell=np.array(cell, dtype=np.int64),
        cell_ns=np.array(cell_ns, dtype=np.float64),
        dedicated_ns=np.array(dedicated, dtype=np.float64),
        blocks=np.array(blocks, dtype=np.int64),
    )


def _in_order(arcs: Arcs, start_ns: Floats, netlist: Mapped) -> tuple[Arcs, Ints]:
    """Sort arcs by the level of what they drive: the longest chain of cells before it."""
    size = len(start_ns)
    waiting = np.bincount(arcs.target, minlength=size)
    by_source = np.argsort(arcs.source, kind="stable")
    first = np.searchsorted(arcs.source[by_source], np.arange(size + 1))
    level = np.zeros(len(arcs.source), dtype=np.int64)
    ready = np.flatnonzero(waiting == 0)
    depth, done = 0, 0
    while len(ready):
        counts = first[ready + 1] - first[ready]
        offsets = np.repeat(first[ready] - np.concatenate(([0], np.cumsum(counts)[:-1])), counts)
        leaving = by_source[offsets + np.arange(counts.sum())] if counts.sum() else np.zeros(0, dtype=np.int64)
        level[leaving] = depth
        done += len(leaving)
        targets = arcs.target[leaving]
        np.subtract.at(waiting, targets, 1)
        touched = np.unique(targets)
        ready = touched[waiting[touched] == 0]
        depth += 1
    if done < len(arcs.source):
        raise LoopError(_loop(arcs, waiting, netlist))
    # An arc is due when its target is: after the last of the arcs into it, which has the highest level.
    due = np.zeros(size, dtype=np.int64)
    np.maximum.at(due, arcs.target, level)
    order = np.argsort(due[arcs.target], kind="stable")
    bounds = np.searchsorted(due[arcs.target][order], np.arange(depth + 1))
    return arcs.take(order), bounds


def _loop(arcs: Arcs, waiting: Ints, netlist: Mapped) -> str:
    """Follow arcs backwards among what never became ready until a net comes again."""
    stuck = waiting > 0
    before = {int(t): int(s) for s, t in zip(arcs.source, arcs.target, strict=True) if stuck[s] and stuck[t]}
    net = next(t for t in before)
    seen: list[int] = []
    while net not in seen:
        seen.append(net)
        net = before[net]
    around = list(dict.fromkeys(netlist.names.get(n, str(n)) for n in reversed(seen[seen.index(net) :])))
    shown = ", ".join(around[:6]) + (f" and {len(around) - 6} more" if len(around) > 6 else "")
    return f"{netlist.top} has a combinational loop, so it has no longest path; it runs through {shown}."
