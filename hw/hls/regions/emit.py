"""Regions as Amaranth components: nodes, and forks, joins and FIFOs between them."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out
from rtlm.hw.hls.emit import KernelComponent, watch_length
from rtlm.hw.hls.regions import rate_gates
from rtlm.hw.hls.regions import streams as s
from rtlm.hw.hls.regions.parts import SHALLOW
from rtlm.hw.hls.regions.plan import Edge, RegionPlan
from rtlm.hw.hls.vectors import leaves


class RegionComponent(wiring.Component):
    """Nodes of a region, connected by wires and FIFOs.

    Protocol: streams with valid and ready, whose valid never depends on ready. Each input is taken when all that read
    it have taken it; ready passes through nodes to the next FIFO within a cycle. In a region that works on packets one
    that goes on after the longest length of its input raises ``too_long``, and nothing more is taken until reset.

    Latency: ``latency`` cycles from the first beat in to the first beat of the last result out.

    Throughput: a beat of the first input every ``schedule.interval`` cycles, for packets of ``max_length``.

    Numerics: those of the region's ``model``, bit for bit; what no kernel touches stays as it is.

    Parameters
    ----------
    plan
        The scheduled region.

    Attributes
    ----------
    <argument> : In(stream.Signature(StructLayout))
        Each argument: ``x``, or ``x_0``, ``x_1``, ... of a vector; ``x0``, ``x1``, ... of a stream of several parts;
        in a region that works on packets ``last``.
    o : Out(stream.Signature(StructLayout))
        The result, with fields as of an argument called ``result``; ``o0``, ``o1``, ... , or the names of a NamedTuple,
        of several.
    too_long : Out(1)
        A packet was too long; holds until reset. Only in a region that works on packets.
    """

    def __init__(self, plan: RegionPlan):
        self.plan, self.schedule, self.latency = plan, plan.schedule, plan.schedule.latency
        self.framing = plan.graph.framed
        ports: dict[str, Any] = {}
        for i in plan.graph.inputs:
            ports[i.name] = In(stream.Signature(self._layout(i.type.fields(i.name))))
        for o in plan.graph.outputs:
            ports[o.name] = Out(stream.Signature(self._layout(o.type.fields("result"))))
        super().__init__(ports | ({"too_long": Out(1)} if self.framing else {}))

    def _layout(self, fields: list[tuple[str, Any]]) -> data.StructLayout:
        last = {"last": unsigned(1)} if self.framing else {}
        return data.StructLayout({name: unsigned(leaf.width) for name, leaf in fields} | last)

    def _unit(self, node: s.Node) -> Any:
        """Component of a node; None of an input or output."""
        if isinstance(node, s.Input | s.Output):
            return None
        if isinstance(node, s.Call):
            plan = self.plan.kernels[node]
            longest = self.plan.length_in(node) if self.framing else None
            return KernelComponent(plan, max_length=longest, framing=self.framing)
        width = sum(leaf.width for leaf in node.outputs[0])
        if isinstance(node, s.Widen):
            return rate_gates.Widener(width // node.count, node.count)
        if isinstance(node, s.Narrow | s.Repeat):
            return rate_gates.Narrower(width, node.count, repeats=isinstance(node, s.Repeat))
        if isinstance(node, s.RepeatPackets):
            return rate_gates.PacketRepeater(width, node.count, self.plan.length_in(node))
        if isinstance(node, s.RepeatOver):
            return rate_gates.Keeper(width)
        if isinstance(node, s.Distribute):
            return rate_gates.Distributor(width, node.count)
        if isinstance(node, s.Collect):
            return rate_gates.Collector(width, node.count)
        return rate_gates.StreamRegister(width)

    def elaborate(self, platform: object) -> Module:
        """Connect the nodes."""
        m = Module()
        self._units = {node: self._unit(node) for node in self.plan.graph.nodes}
        self._valid: dict[Edge, Any] = {}
        self._ready: dict[Edge, Signal] = {}
        self._read: dict[tuple[Edge, int | None], Value] = {}
        for node, unit in self._units.items():
            if unit is not None:
                m.submodules[node.name] = unit
            for port in range(len(node.outputs)):
                self._fork(m, node, port)
        for node in self.plan.graph.nodes:
            for number in range(len(node.inputs)):
                self._join(m, node, number)
        return m

    def _guarded(self, m: Module, node: s.Input) -> Any:
        """Stream of an input, of which no packet is too long."""
        port, longest = getattr(self, node.name), self.plan.lengths[node, 0]
        guarded = port.signature.create(path=(f"{node.name}_guarded",))
        m.d.comb += [
            guarded.payload.eq(port.payload),
            guarded.valid.eq(port.valid & ~self.too_long),
            port.ready.eq(guarded.ready & ~self.too_long),
        ]
        watch_length(m, port, longest, self.too_long, f"{node.name}_beats")
        return guarded

    def _source(self, m: Module, node: s.Node, port: int) -> tuple[Any, list[Value], Value]:
        """Stream of an output of a node, the numbers of its beat, and `last`."""
        if isinstance(node, s.Input):
            taken = self._guarded(m, node) if self.framing else getattr(self, node.name)
            columns = [taken.payload[name] for name, _ in node.type.fields(node.name)]
            return taken, columns, taken.payload.last if self.framing else Const(0, 1)
        unit = self._units[node]
        out = unit.o[port] if isinstance(node, s.Distribute) else unit.o
        if isinstance(node, s.Call):
            return out, self._lane(out.payload, node.kernel.results), out.payload.last if self.framing else Const(0, 1)
        return out, _parts(out.payload.data, [leaf.width for leaf in node.outputs[port]]), out.payload.last

    @staticmethod
    def _lane(payload: Any, names: Any) -> list[Value]:
        """Numbers of a kernel's beat, which has one lane."""
        return [Value.cast(payload[name]) for name in names]

    def _fork(self, m: Module, node: s.Node, port: int) -> None:
        """Offer a beat to all that read it, to each until it takes it."""
        out, columns, last = self._source(m, node, port)
        edges = self.plan.edges_from(node, port)
        settled = []
        for edge in edges:
            name = self.plan.names[edge]
            offered, accepts = Signal(name=f"{name}_valid"), Signal(name=f"{name}_ready")
            if len(edges) > 1:
                done = Signal(name=f"{name}_done")
                m.d.comb += offered.eq(out.valid & ~done)
                settled.append(done | accepts)
                with m.If(out.valid):
                    m.d.sync += done.eq(~out.ready & (done | accepts))
            else:
                m.d.comb += offered.eq(out.valid)
                settled.append(accepts)
            read = [columns[place] for place in edge.columns]
            self._carry(m, edge, name, offered, accepts, [*read, last] if edge.framed else read)
        m.d.comb += out.ready.eq(Cat(*settled).all() if settled else 1)

    def _carry(self, m: Module, edge: Edge, name: str, offered: Signal, accepts: Signal, beat: list[Value]) -> None:
        """Bring a beat to its consumer, by wires or a FIFO."""
        depth = self.plan.depths[edge]
        keys = [*edge.columns, None] if edge.framed else edge.columns
        if not depth:
            self._valid[edge], self._ready[edge] = offered, accepts
        else:
            kind = fifo.SyncFIFOBuffered if depth > SHALLOW else fifo.SyncFIFO
            queue = m.submodules[name] = kind(width=edge.width, depth=depth)
            m.d.comb += [queue.w_data.eq(Cat(*beat)), queue.w_en.eq(offered), accepts.eq(queue.w_rdy)]
            beat = _parts(queue.r_data, [len(part) for part in beat])
            self._valid[edge], self._ready[edge] = queue.r_rdy, queue.r_en
        self._read |= {(edge, key): part for key, part in zip(keys, beat, strict=True)}

    def _join(self, m: Module, node: s.Node, number: int) -> None:
        """Take a beat from all edges into an input of a node together."""
        edges = self.plan.edges_into(node, number)
        place = {(e.producer, e.port): e for e in edges}
        columns = [
            self._read[place[c.node, c.port], c.place] if isinstance(c, s.Column) else c
            for c in (() if number in node.ignored else node.inputs[number])
        ]
        if isinstance(node, s.Output):
            target, names = getattr(self, node.name), [name for name, _ in node.type.fields("result")]
        elif isinstance(node, s.Call) and number:
            memory = node.memories[number - 1]
            target = getattr(self._units[node], memory)
            names = [name for name, _ in leaves(memory, node.kernel.memories[memory].item)]
        elif isinstance(node, s.Call):
            target, names = self._units[node].i, list(node.kernel.arguments)
            if node.memories:
                self._release(m, node, target)
        else:
            unit = self._units[node]
            target, names = unit.i[number] if len(node.inputs) > 1 else unit.i, ["data"]
            columns = [Cat(*columns)]
        m.d.comb += [Value.cast(target.payload[name]).eq(column) for name, column in zip(names, columns, strict=True)]
        if self.framing:
            m.d.comb += target.payload.last.eq(self._read[edges[0], None])
        together = Cat(*(self._valid[e] for e in edges)).all()
        m.d.comb += [target.valid.eq(together), *(self._ready[e].eq(target.ready & together) for e in edges)]

    @staticmethod
    def _release(m: Module, node: s.Call, target: Any) -> None:
        """Let the last beat of the last packet that reads a load release it."""
        packet = Signal(range(node.uses), name=f"{node.name}_packet")
        final = packet == node.uses - 1
        m.d.comb += target.payload.release.eq(target.payload.last & final)
        with m.If(target.valid & target.ready & target.payload.last):
            m.d.sync += packet.eq(Mux(final, 0, packet + 1))


def _parts(bits: Value, widths: list[int]) -> list[Value]:
    """Cut bits into parts."""
    parts, place = [], 0
    for width in widths:
        parts.append(bits[place : place + width])
        place += width
    return parts
