"""From a traced region to kernels with their directives and FIFOs of the least depth for the best throughput."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

from rtlm.hw.hls.directives import LONGEST_INTERVAL, Directives
from rtlm.hw.hls.plan import Plan
from rtlm.hw.hls.regions import streams as s
from rtlm.hw.hls.regions.graph import RegionGraph, distinct
from rtlm.hw.hls.regions.parts import PARTS, SHALLOW, Keep, Part, Pipe, Queue, Sink, Source, of_kernel
from rtlm.hw.hls.regions.rates import Flow, Unknown
from rtlm.hw.hls.regions.schedule import Fifo, RegionSchedule
from rtlm.hw.hls.regions.timing import Link, Network
from rtlm.hw.hls.schedule import Buffer

SHORTEST_LOOK = 16
"""Beats at least after which the simulation looks whether its state recurs."""
ENDLESS = 1 << 40
"""Depth of a FIFO that is never full."""
DOUBLINGS = 8
"""Times that FIFOs are made twice as deep in search of the best interval."""


@dataclass(frozen=True, eq=False)
class Edge:
    """A connection of two nodes.

    Parameters
    ----------
    producer, port, consumer, input
        From which output of which node to which input of which node.
    columns
        Places in the producer's beat that the consumer reads.
    framed
        Whether `last` goes along: not where another edge brings it.
    """

    producer: s.Node
    port: int
    consumer: s.Node
    input: int
    columns: tuple[int, ...]
    framed: bool

    @property
    def width(self) -> int:
        """Bits of a beat."""
        return sum(self.producer.outputs[self.port][place].width for place in self.columns) + self.framed


class RegionPlan:
    """A region, scheduled: see :meth:`.region.Region.schedule`."""

    def __init__(
        self,
        name: str,
        graph: RegionGraph,
        directives: Directives,
        max_length: int | None,
    ):
        self.name, self.graph, self.directives = name, graph, directives
        if directives.lanes != 1:
            raise ValueError(
                f"Region {name} has an element a beat, and widen makes beats of several: lanes must be 1, got "
                f"{directives.lanes}."
            )
        for word, given in (("bind", directives.bind), ("partition", directives.partition)):
            if given:
                raise ValueError(
                    f"Region {name} takes no {word}, got {min(given)}: memories and products of its kernels are left "
                    "to synthesis."
                )
        if graph.framed and (max_length is None or max_length < 1):
            raise ValueError(
                f"Region {name} works on packets: give max_length, the longest packet of an input in beats, as a "
                f"positive number, not {max_length}."
            )
        self.first = graph.inputs[0]
        self.max_length = max_length
        self.lengths = self._lengths()
        self.kernels = {node: self._kernel(node) for node in graph.nodes if isinstance(node, s.Call)}
        self.edges = list(self._edges())
        names = distinct([f"{edge.producer.name}_to_{edge.consumer.name}" for edge in self.edges])
        self.names = dict(zip(self.edges, names, strict=True))
        self.interval, self.depths = self._sized()
        self.schedule = self._schedule()

    def _ports(self) -> Iterator[tuple[s.Node, int]]:
        for node in self.graph.nodes:
            for port in range(len(node.outputs)):
                yield node, port

    def _lengths(self) -> dict[tuple[s.Node, int], int]:
        """Beats of a packet of each stream, for the longest packets; of a look at it in a region without packets."""
        ratios = {(node, port): node.flows[port].beats.settled() for node, port in self._ports()}
        self.units: dict[Unknown, int] = {}
        """For each unknown, what its value has to be a multiple of."""
        self.largest: dict[Unknown, int] = {}
        """For each unknown, its largest value."""
        self.filling = self._filling()
        """For each unknown that is the length of loads, the largest that memories hold."""
        for unknown in {ratio.of for ratio in ratios.values() if ratio.of}:
            unit = math.lcm(*(ratio.factor.denominator for ratio in ratios.values() if ratio.of is unknown))
            self.units[unknown] = unit
            if not self.graph.framed:
                self.largest[unknown] = unit * -(-SHORTEST_LOOK // unit)
                continue
            assert self.max_length is not None, "a region that works on packets has a longest one"
            longest = max(ratios[node, 0].factor for node in self.graph.inputs if ratios[node, 0].of is unknown)
            if unknown in self.filling and unknown is not self.first.flows[0].beats.settled().of:
                self.largest[unknown] = min(self.max_length // longest, self.filling[unknown]) // unit * unit
                continue
            value = self.max_length / longest
            if value.denominator != 1 or value % unit:
                raise ValueError(
                    f"Packets of {unknown.name} are multiples of {unit} beats in region {self.name}: max_length must "
                    f"be a multiple of {unit * longest}, got {self.max_length}."
                )
            self.largest[unknown] = int(value)
        return {key: int(ratio.factor * (self.largest[ratio.of] if ratio.of else 1)) for key, ratio in ratios.items()}

    def _filling(self) -> dict[Unknown, int]:
        found: dict[Unknown, int] = {}
        for node in (node for node in self.graph.nodes if isinstance(node, s.Call)):
            for number, name in enumerate(node.memories, 1):
                rate = self._rate_in(node, number).beats.settled()
                if rate.of is not None:
                    words = int(node.kernel.memories[name].depth / rate.factor)
                    found[rate.of] = min(words, found.get(rate.of, words))
        return found

    @staticmethod
    def _column(node: s.Node, number: int) -> s.Column:
        """First column of an input of a node that is a stream's; all of an input have one rate."""
        return next(c for c in node.inputs[number] if isinstance(c, s.Column))

    def _rate_in(self, node: s.Node, number: int) -> Flow:
        column = self._column(node, number)
        return column.node.flows[column.port]

    def packets(self, node: s.Node, port: int) -> Fraction:
        """Packets of a stream for each of the first input."""
        return node.flows[port].packets.settled().factor / self.first.flows[0].packets.settled().factor

    @property
    def rounds(self) -> int:
        """Packets of the first input behind which every stream has whole packets."""
        return math.lcm(*(self.packets(node, port).denominator for node, port in self._ports()))

    def beats(self, node: s.Node, port: int) -> Fraction:
        """Beats of a stream for each of the first input."""
        return self.packets(node, port) * self.lengths[node, port] / self.lengths[self.first, 0]

    def beats_in(self, node: s.Node, number: int) -> Fraction:
        """Beats into an input of a node for each of the first input."""
        column = self._column(node, number)
        return self.beats(column.node, column.port)

    def _kernel(self, node: s.Call) -> Plan:
        """A kernel with as many cycles for a beat as its rate leaves."""
        for number, name in enumerate(node.memories, 1):
            longest, depth = self.length_in(node, number), node.kernel.memories[name].depth
            if longest > depth:
                raise ValueError(
                    f"Memory {name} of kernel {node.kernel.name} has {depth} words, but a packet of region {self.name} "
                    f"loads up to {longest}."
                )
        beats, ii = self.beats_in(node, 0), self.directives.ii
        if ii is not None:
            ii = max(1, min(int(ii / beats), LONGEST_INTERVAL))
        return Plan(node.kernel, replace(self.directives, ii=ii))

    def length_in(self, node: s.Node, number: int = 0) -> int:
        """Longest packet of an input of a node."""
        column = self._column(node, number)
        return self.lengths[column.node, column.port]

    def _edges(self) -> Iterator[Edge]:
        for node in self.graph.nodes:
            for number, columns in enumerate(node.inputs):
                read: dict[tuple[s.Node, int], dict[int, None]] = {}
                for column in columns:
                    if isinstance(column, s.Column):
                        read.setdefault((column.node, column.port), {})[column.place] = None
                for n, ((producer, port), found) in enumerate(read.items()):
                    places = () if number in node.ignored else tuple(found)
                    yield Edge(producer, port, node, number, places, self.graph.framed and n == 0)

    def edges_into(self, node: s.Node, number: int) -> list[Edge]:
        """Edges into an input of a node; the first brings `last`."""
        return [e for e in self.edges if e.consumer is node and e.input == number]

    def edges_from(self, node: s.Node, port: int) -> list[Edge]:
        """Edges from an output of a node."""
        return [e for e in self.edges if e.producer is node and e.port == port]

    def network(self, depths: dict[Edge, int], pace: Fraction = Fraction(0)) -> tuple[Network, dict[Edge, Link]]:
        """The region as it is timed, with FIFOs of these depths; 0 is a wire.

        Beats of the first input come so many cycles after each other at least, those of others by their rate.
        """
        links = {edge: Link(Queue(depths[edge]) if depths[edge] else None) for edge in self.edges}
        network = Network(
            parts=[self._part(node, pace) for node in self.graph.nodes],
            links=list(links.values()),
            sources=[
                [[links[e] for e in self.edges_into(node, k)] for k in range(len(node.inputs))]
                for node in self.graph.nodes
            ],
            targets=[
                [[links[e] for e in self.edges_from(node, k)] for k in range(len(node.outputs))]
                for node in self.graph.nodes
            ],
        )
        return network, links

    def _part(self, node: s.Node, pace: Fraction) -> Part:
        if isinstance(node, s.Input):
            return Source(self.lengths[node, 0], pace / self.beats(node, 0))
        if isinstance(node, s.Output):
            return Sink()
        if isinstance(node, s.Call):
            return of_kernel(self.kernels[node], self.length_in(node), node.memories, node.uses)
        if isinstance(node, s.Counted):
            return PARTS[type(node)](node.count)
        return Keep() if isinstance(node, s.RepeatOver) else Pipe(1)

    @property
    def iteration(self) -> int:
        """Beats of the first input behind which every stream has whole packets."""
        beats = self.rounds * self.lengths[self.first, 0]
        return beats * -(-SHORTEST_LOOK // beats)

    def interval_of(self, depths: dict[Edge, int]) -> Fraction | None:
        """Cycles between beats of the first input with FIFOs of these depths; None if nothing comes out any more."""
        return self.network(depths)[0].interval(self.iteration)

    def loads(self) -> dict[str, Fraction]:
        """For each node and stream, the cycles that it is at work for a beat of the first input."""
        loads: dict[str, Fraction] = {}
        for node in self.graph.nodes:
            beats = [self.beats(node, port) for port in range(len(node.outputs))]
            beats += [self.beats_in(node, number) for number in range(len(node.inputs))]
            if isinstance(node, s.Call):
                beats.append(self.beats_in(node, 0) * self.kernels[node].schedule.initiation_interval)
            loads[node.name] = max(beats)
        return loads

    def _sized(self) -> tuple[Fraction, dict[Edge, int]]:
        """The best interval, and FIFOs of the least depth that reach it: the widest become shallow first."""
        best = max(self.loads().values())
        depths = self._peaks(best)
        reached = []
        for _ in range(DOUBLINGS):
            found = self.interval_of(depths)
            reached += [] if found is None else [(found, depths)]
            if found == best:
                break
            depths = {edge: 2 * depth for edge, depth in depths.items()}
        if not reached:
            raise ValueError(f"Region {self.name} comes to a standstill with any FIFOs.")
        interval, depths = min(reached, key=lambda pair: pair[0])
        before: dict[Edge, int] = {}
        while depths != before:  # a FIFO less is a shorter path, beside which another one can be shallower
            before = dict(depths)
            for edge in sorted(self.edges, key=lambda e: -e.width):
                depths[edge] = self._least(edge, depths, interval)
        return interval, depths

    def _peaks(self, interval: Fraction) -> dict[Edge, int]:
        """How full FIFOs become that are never full, where inputs come at this interval."""
        network, links = self.network(dict.fromkeys(self.edges, ENDLESS), pace=interval)
        network.interval(self.iteration)
        return {edge: max(2, link.queue.peak) for edge, link in links.items() if link.queue}

    def _least(self, edge: Edge, depths: dict[Edge, int], interval: Fraction) -> int:
        """The least depth of a FIFO that keeps the interval."""

        def enough(depth: int) -> bool:
            return self.interval_of({**depths, edge: depth}) == interval

        many, step = depths[edge], 1
        if not many or (many <= SHALLOW and enough(0)):
            return 0
        while step < many and enough(many - step):
            many, step = many - step, 2 * step
        if many > SHALLOW and step > 1 and enough(0):
            return 0
        few = max(0, many - step)
        while many - few > 1:
            middle = (few + many) // 2
            few, many = (few, middle) if enough(middle) else (middle, many)
        return many

    def _schedule(self) -> RegionSchedule:
        network, links = self.network(self.depths)
        arrivals = self._arrivals(network, links)
        fifos = [
            Fifo(
                name=self.names[edge],
                producer=edge.producer.name,
                consumer=edge.consumer.name,
                depth=self.depths[edge],
                width=edge.width,
                reason=self._reason(edge, arrivals),
            )
            for edge in self.edges
            if self.depths[edge]
        ]
        operators: Counter[str] = Counter()
        for plan in self.kernels.values():
            operators.update(plan.schedule.operators)
        buffers = [Buffer(name=f.name, words=str(f.depth), bits=f.width, reason=f.reason) for f in fifos]
        for node, plan in self.kernels.items():
            buffers += [replace(b, name=f"{node.name} {b.name}") for b in plan.schedule.buffers]
        return RegionSchedule(
            latency=max(arrivals[e] for e in self.edges if isinstance(e.consumer, s.Output)),
            interval=self.interval,
            limits=self._limits(),
            fifos=tuple(fifos),
            operators=dict(sorted(operators.items())),
            register_bits=sum(plan.schedule.register_bits for plan in self.kernels.values()),
            buffers=tuple(buffers),
        )

    def _limits(self) -> tuple[str, ...]:
        loads = self.loads()
        busiest = max(loads.values())
        names = [name for name, load in loads.items() if load == busiest]
        if self.interval > busiest:
            return (f"beats wait for each other, though {names[0]} is busy in {busiest} of these cycles only",)
        reasons = [
            f"{node.name}: {text}"
            for node, plan in self.kernels.items()
            if node.name in names
            for text in plan.schedule.limits
        ]
        return (*reasons,) or (f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} busy in every cycle",)

    def _arrivals(self, network: Network, links: dict[Edge, Link]) -> dict[Edge, int]:
        """For each edge the cycle in which its first beat is offered to the consumer."""
        arrivals: dict[Edge, int] = {}
        cycle = 0
        while len(arrivals) < len(links):
            network.cycle()
            for edge, link in links.items():
                if link.outward:
                    arrivals.setdefault(edge, cycle)
            cycle += 1
        return arrivals

    def _reason(self, edge: Edge, arrivals: dict[Edge, int]) -> str:
        """Which path a FIFO waits for, and how much longer that is."""
        path, here = [edge.producer.name, edge.consumer.name], edge
        while True:
            together = self.edges_into(here.consumer, here.input)
            if isinstance(here.consumer, s.RepeatOver | s.Call):
                together = [e for e in self.edges if e.consumer is here.consumer]
            latest = max(together, key=lambda e: arrivals[e])
            longer = arrivals[latest] - arrivals[here]
            if longer > 0:
                names = self._path(latest, edge.producer, arrivals)
                return f"{' -> '.join(names)} is {longer} cycles longer than {' -> '.join(path)}"
            onward = [e for port in range(len(here.consumer.outputs)) for e in self.edges_from(here.consumer, port)]
            if isinstance(edge.consumer, s.RepeatOver) and edge.input == 0:
                return f"{edge.consumer.name} keeps a beat until its packet ends, while {edge.producer.name} goes on"
            if not onward:
                return f"{edge.producer.name} puts out beats faster than {edge.consumer.name} takes them for a while"
            here = onward[0]
            path.append(here.consumer.name)

    def _path(self, edge: Edge, start: s.Node, arrivals: dict[Edge, int]) -> list[str]:
        """Names of nodes on the slowest path that ends with an edge, from a node if it leads over that."""
        names = [edge.consumer.name, edge.producer.name]
        node = edge.producer
        while node is not start and node.inputs:
            into = [e for k in range(len(node.inputs)) for e in self.edges_into(node, k)]
            node = max(into, key=lambda e: arrivals[e]).producer
            names.append(node.name)
        return names[::-1]
