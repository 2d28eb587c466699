"""From a graph to scheduled pipelines: one for each phase between packet reductions."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field

import numpy as np
from amaranth.hdl import Cat, Const, Mux
from rtlm.hw.hls import gates, gates_functions
from rtlm.hw.hls import types as t
from rtlm.hw.hls.directives import Directives
from rtlm.hw.hls.evaluate import MODELS
from rtlm.hw.hls.graph import REDUCTIONS, Recurrence, Value
from rtlm.hw.hls.optimise import optimised
from rtlm.hw.hls.placement import place
from rtlm.hw.hls.schedule import Activity, Buffer, Builder, Net, Schedule, SharedUnit
from rtlm.hw.hls.technology import ClockError, ClockLimit, find
from rtlm.hw.hls.trace import TracedFunction
from rtlm.hw.hls.types import Float
from rtlm.hw.hls.vectors import leaves

SMALLEST_PRODUCT = 4
"""Bits of an operand up to which a product is not worth sharing."""
RESULT_DEPTH = 4  # packets whose reductions may wait between two phases
FIFO_LATENCY = 2  # of amaranth.lib.fifo.SyncFIFOBuffered

_NAMES = {"mul": "multiply", "imul": "integer multiply", "iadd": "integer add", "isub": "integer add", "lt": "compare"}
_NAMES |= {
    "le": "compare",
    "eq": "compare",
    "ilt": "integer compare",
    "ile": "integer compare",
    "ieq": "integer compare",
}
_FREE = ("const", "arg", "wrap", "bits", "concat", "shl", "shr", "neg", "abs", "not", "exponent_field", "key", "unkey")


@dataclass
class Phase:
    """One pipeline: what comes in, what goes out, and its nets."""

    builder: Builder
    inputs: dict[tuple[int, int | None], Net] = field(default_factory=dict)
    """Net of each (value, lane); the lane is None for what all lanes share."""
    values: dict[int, Value] = field(default_factory=dict)
    elements: list[Value] = field(default_factory=list)
    """Values that go on with each beat."""
    every_beat: bool = False
    """Whether something goes on with each beat, if only its place in the packet."""
    constants: list[Value] = field(default_factory=list)
    """Values that go on once a packet."""
    reductions: list[tuple[Value, Net]] = field(default_factory=list)
    nets: dict[tuple[int, int | None], Net] = field(default_factory=dict)
    outputs: list[Net] = field(default_factory=list)
    depth: int = 1
    histories: dict[tuple[int, int], list[dict[int, Net]]] = field(default_factory=dict)
    """For values and what precedes their packets: the beats before, newest first, each by lane."""
    scans: dict[int, list[list[Net]]] = field(default_factory=dict)
    """For each recurrence, the states behind each lane's element."""
    words: dict[tuple[str, int, int | None], Net] = field(default_factory=dict)
    """Words read from memories, by memory, address and lane; the lane is None where one address serves all."""
    interval: int = 1
    """Cycles between beats."""
    limits: list[str] = field(default_factory=list)
    """What makes them more than one."""

    @property
    def stages(self) -> int:
        """Registers between input and output, the accumulator included."""
        return self.depth + bool(self.reductions)


class Plan:
    """A kernel, scheduled as its directives say."""

    def __init__(self, kernel: TracedFunction, directives: Directives):
        self.kernel, self.directives = kernel, directives
        self.lanes, self.clock_mhz, self.ii = directives.lanes, directives.clock_mhz, directives.ii
        self.graph = optimised(kernel.graph)
        self.fields = kernel.graph.results
        """Results as the kernel has them: which of them the streams have once for each lane."""
        self.striped = self._striped()
        for name in directives.bind:
            if name not in kernel.memories:
                known = f"its memories are {', '.join(kernel.memories)}" if kernel.memories else "it has none"
                raise ValueError(f"Kernel {kernel.name} has no memory {name} to bind; {known}.")
        self.tech = find(directives.technology)
        self.last_phase = self.graph.phases - 1
        self._needs()
        self.phases: list[Phase] = []
        for index in range(self.graph.phases):
            self.phases.append(self._phase(index))
        delay, operator = max(phase.builder.slowest for phase in self.phases)
        if delay > self.tech.budget(self.clock_mhz):
            limit = ClockLimit(kernel=kernel.name, operator=operator, delay_ns=delay, technology=self.tech)
            raise ClockError(limit, self.clock_mhz)
        self.schedule = self._schedule()

    def _striped(self) -> frozenset[str]:
        """Memories whose words lie over the lanes in turn: every lane reads its own element's, the beat's number is
        the address of all.
        """
        names = {v.attrs["memory"].name for v in self.graph.reads}
        others = {v.attrs["memory"].name for v in self.graph.reads if v.args[0].op != "index"}
        striped = frozenset(names - others) if self.lanes > 1 and self.lanes & (self.lanes - 1) == 0 else frozenset()
        for name in striped:
            depth = self.kernel.memories[name].depth
            if depth % self.lanes:
                raise ValueError(
                    f"Memory {name} of kernel {self.kernel.name} has {depth} words, which {self.lanes} lanes do not "
                    "divide."
                )
        return striped

    def lane_indices(self, value: Value) -> list[int | None]:
        """Lanes of a value: None when all share it."""
        return list(range(self.lanes)) if value.per_lane else [None]

    def _needs(self) -> None:
        """For each value the last phase that reads it."""
        self.need: dict[int, int] = {}
        for v in self.graph.order:
            for a in v.args:
                self.need[id(a)] = max(self.need.get(id(a), 0), self._computed_in(v))
        for r in self.graph.results:
            self.need[id(r)] = self.last_phase

    @staticmethod
    def _computed_in(v: Value) -> int:
        return v.phase - (v.op in REDUCTIONS)

    def _phase(self, index: int) -> Phase:
        b = Builder(self.tech, self.clock_mhz, chain=self.directives.chain)
        phase = Phase(b)
        before = self.phases[-1] if index else None
        incoming = [*before.elements, *before.constants] if before else self.graph.args
        for v in incoming:
            phase.values[id(v)] = v
            for lane in self.lane_indices(v):
                name = f"{v.attrs.get('name', v.op)}{'' if lane is None else lane}"
                phase.inputs[id(v), lane] = phase.nets[id(v), lane] = b.input(v.type.shape, name)
        for v in self.graph.order:
            if v.op == "const":
                value = int(t.to_bits(v.attrs["value"], v.type)) if isinstance(v.type, Float) else v.attrs["value"]
                phase.nets[id(v), None] = b.const(value, v.type.shape)
            elif self._computed_in(v) == index and v.op != "arg":
                if v.op in REDUCTIONS:
                    phase.reductions.append((v, self._across_lanes(phase, v)))
                    continue
                if v.op in _SEQUENTIAL:
                    _SEQUENTIAL[v.op](self, phase, v)
                    continue
                for lane in self.lane_indices(v):
                    args = [phase.nets[id(a), lane if a.per_lane else None] for a in v.args]
                    phase.nets[id(v), lane] = self._expand(b, v, args)
        if index == self.last_phase:
            for written, r in zip(self.fields, self.graph.results, strict=True):
                for lane in self.lane_indices(written):
                    net = phase.nets[id(r), lane if r.per_lane else None]
                    clean = isinstance(r.type, Float) and _dirty(r)
                    phase.outputs.append(gates.clean(b, net, r.type) if clean else net)
        else:
            for v in [*self.graph.args, *self.graph.order]:
                known = v.phase - (v.op in REDUCTIONS) <= index < self.need.get(id(v), 0)
                if known and v.op != "const" and not any(v is x for x in [*phase.elements, *phase.constants]):
                    (phase.elements if v.per_beat else phase.constants).append(v)
            # What a later phase scans may be constant in the packet.
            scans = any(v.op == "scan" and v.phase > index for v in self.graph.order)
            phase.every_beat = bool(phase.elements) or scans
            phase.outputs += [
                phase.nets[id(v), lane]
                for v in [*phase.elements, *phase.constants]
                for lane in self.lane_indices(v)
                if (id(v), lane) in phase.nets
            ]
            phase.outputs += [net for _, net in phase.reductions]
        phase.interval = max(phase.interval, self.ii or 1)
        phase.depth = max([b.depth(phase.outputs), *(state.write_stage for state in b.states)])
        place(b, last_uses(phase), held(phase), phase.depth)
        self._check_accumulators(phase)
        return phase

    def _in_lanes(self, phase: Phase, v: Value) -> list[Net]:
        """Net of a value in each lane; the same one where all share it."""
        return [phase.nets[id(v), lane if v.per_lane else None] for lane in range(self.lanes)]

    def _across_lanes(self, phase: Phase, v: Value) -> Net:
        """Combine the lanes' terms of a reduction in a tree."""
        b, (x,) = phase.builder, v.args
        nets = self._in_lanes(phase, x)
        if v.op == "reduce_last":
            return nets[-1]
        while len(nets) > 1:
            merged = []
            for a, c in zip(nets[::2], nets[1::2], strict=False):
                b.operator(f"{x.type} {'add' if v.op == 'reduce_sum' else 'maximum'}", "lanes")
                if v.op == "reduce_sum":
                    merged.append(b.add(a, c))
                else:
                    delay = b.tech.add(a.width) + b.tech.levels(1)
                    merged.append(b.step(lambda p, q: Mux(p > q, p, q), a, c, delay=delay))
            nets = merged + nets[len(merged) * 2 :]
        b.operator(f"{v.type} {'sum' if v.op == 'reduce_sum' else 'maximum'} over a packet")
        return nets[0]

    def _index(self, phase: Phase, v: Value) -> None:
        """Count elements: of a power of two of lanes only the beats, since a lane's number is its low bits."""
        b, width = phase.builder, v.type.width
        b.operator(f"{v.type} counter", "index")
        bits = (self.lanes - 1).bit_length()
        if self.lanes == 1 << bits and bits < width:
            beat = b.state(0, t.UInt(width - bits).shape, 0)
            beat.next = b.add(beat.read, b.const(1, t.BOOL.shape), lambda x, y: (x + y)[: width - bits])
            for lane in range(self.lanes):
                phase.nets[id(v), lane] = b.wire(lambda x, lane=lane: Cat(Const(lane, bits), x), beat.read)
            return
        first = b.state(0, v.type.shape, 0)
        step = b.const(self.lanes & v.type.high, v.type.shape)
        first.next = b.add(first.read, step, lambda x, y: (x + y)[:width])
        for lane in range(self.lanes):
            offset = b.const(lane & v.type.high, v.type.shape)
            phase.nets[id(v), lane] = b.add(first.read, offset, lambda x, y: (x + y)[:width]) if lane else first.read

    def _previous(self, phase: Phase, v: Value) -> None:
        """Beats before, in registers; windows of one value share them."""
        b, (x,) = phase.builder, v.args
        nets = self._in_lanes(phase, x)
        stage = max(0, *(net.stage + (net.time > 0) for net in nets))
        initial = v.attrs["initial"]
        bits = int(t.to_bits(initial, v.type)) & ((1 << v.type.width) - 1)
        history = phase.histories.setdefault((id(x), bits), [])
        b.operator(None, "previous")
        for lane in range(self.lanes):
            back = lane - v.attrs["count"]
            beats = -(back // self.lanes)
            while len(history) < beats:
                newer = history[-1] if history else dict(enumerate(nets))
                states = {n: b.state(bits, v.type.shape, stage) for n in newer}
                for n, state in states.items():
                    state.next = newer[n]
                history.append({n: state.read for n, state in states.items()})
            phase.nets[id(v), lane] = history[beats - 1][back % self.lanes] if beats else nets[back]

    def _scan(self, phase: Phase, v: Value) -> None:
        """Steps of the lanes, one behind the other, between one register that is read and written by each beat."""
        recurrence = v.attrs["recurrence"]
        if id(recurrence) not in phase.scans:
            phase.scans[id(recurrence)] = self._steps(phase, recurrence)
        for lane, states in enumerate(phase.scans[id(recurrence)]):
            phase.nets[id(v), lane] = states[v.attrs["part"]]

    def _steps(self, phase: Phase, recurrence: Recurrence) -> list[list[Net]]:
        b = phase.builder

        def outside(a: Value, lane: int) -> Net:
            return phase.nets[id(a), lane if a.per_lane else None]

        given = [outside(a, lane) for a in recurrence.outside for lane in range(self.lanes)]
        stage = max((net.stage + (net.time > 0) for net in given if not net.is_const), default=0)
        states, lanes = [], []
        with b.loop():
            for first in recurrence.initial:
                bits = int(t.to_bits(first.attrs["value"], first.type)) & ((1 << first.type.width) - 1)
                states.append(b.state(bits, first.type.shape, stage))
            current = [state.read for state in states]
            for lane in range(self.lanes):
                inner = {id(v): net for v, net in zip(recurrence.states, current, strict=True)}
                for v in recurrence.order:
                    args = [inner[id(a)] if id(a) in inner else outside(a, lane) for a in v.args]
                    inner[id(v)] = self._expand(b, v, args)
                current = [inner[id(v)] if id(v) in inner else outside(v, lane) for v in recurrence.results]
                lanes.append(current)
        for state, net in zip(states, current, strict=True):
            state.next = net
        needed = max(state.interval for state in states)
        if self.ii is not None and needed > self.ii:
            raise ValueError(
                f"{recurrence.place}: kernel {self.kernel.name} takes a beat every {needed} cycles, not every "
                f"{self.ii}: the state of this scan or fold is ready {needed} cycles after it was read."
            )
        if needed > 1:
            phase.limits.append(f"{recurrence.place}: the state of a scan or fold takes {needed} cycles to follow")
        phase.interval = max(phase.interval, needed)
        return lanes

    def _read(self, phase: Phase, v: Value) -> None:
        """Read a word, and take a field of it."""
        b, (address,), memory = phase.builder, v.args, v.attrs["memory"]
        widths = [type_.width for _, type_ in memory.fields]
        item = sum(widths)
        start, width = sum(widths[: v.attrs["field"]]), v.type.width
        striped, bits = memory.name in self.striped, (self.lanes - 1).bit_length()
        for lane in self.lane_indices(v):
            key = (memory.name, id(address), None if striped else lane)
            if key not in phase.words:
                b.operator(None, "read")
                place = phase.nets[id(address), lane if address.per_lane else None]
                if striped:
                    place = b.wire(lambda a: a[bits:], place) if place.width > bits else b.const(0, t.BOOL.shape)
                phase.words[key] = b.read(memory.name, place, item * (self.lanes if striped else 1))
            offset = start + (item * lane if striped and lane is not None else 0)
            phase.nets[id(v), lane] = b.wire(
                lambda word, at=offset: _fit(word[at : at + width], v.type)
                if not isinstance(v.type, Float) else word[at : at + width],
                phase.words[key],
            )  # fmt: skip

    def _check_accumulators(self, phase: Phase) -> None:
        for v, net in phase.reductions:
            if v.op == "reduce_last":
                continue
            delay = phase.builder.tech.add(max(v.type.width, net.width)) + phase.builder.tech.levels(1)
            phase.builder.critical = max(phase.builder.critical, delay)
            phase.builder.slowest = max(phase.builder.slowest, (delay, f"{v.type} accumulator"))

    def _expand(self, b: Builder, v: Value, args: list[Net]) -> Net:
        """Micro-steps of one operator in one lane."""
        type_ = v.args[0].type if v.args else v.type
        if all(a.is_const for a in args):
            value = fold(v)
            return b.const(int(t.to_bits(value, v.type)) if isinstance(v.type, Float) else int(value), v.type.shape)
        varying = [a for a in args if not a.is_const]

        def build(*operands: Net) -> Net:
            b.operator(None if v.op in _FREE else f"{type_} {_NAMES.get(v.op, v.op)}", v.op)
            given = iter(operands)
            return _EXPANSIONS[v.op](b, v, [a if a.is_const else next(given) for a in args], type_)

        limit = 0 if b.looping else self._units(v)
        if not limit:
            return build(*varying)
        assert self.ii is not None, "operators are shared for an interval that was asked for"
        return b.share(self._kind(v), limit, self.ii, varying, build)

    def _kind(self, v: Value) -> Hashable:
        """What operators have in common that can share a unit: all but the values of their operands."""
        attrs = tuple(sorted((name, repr(a)) for name, a in v.attrs.items()))
        return v.op, v.type, attrs, tuple((a.type, repr(a.attrs["value"]) if a.op == "const" else None) for a in v.args)

    def _units(self, v: Value) -> int:
        """Units for all operators of a kind in a phase; 0 where sharing gains nothing."""
        large = v.op in _SHARED or (v.op == "imul" and min(a.type.width for a in v.args) > SMALLEST_PRODUCT)
        if self.ii is None or self.ii == 1 or not large:
            return 0
        kind, phase = self._kind(v), self._computed_in(v)
        alike = [w for w in self.graph.order if self._computed_in(w) == phase and self._kind(w) == kind]
        count = sum(len(self.lane_indices(w)) for w in alike)
        return math.ceil(count / self.ii) if count > 1 else 0

    def _schedule(self) -> Schedule:
        operators: Counter[str] = Counter()
        register_bits = 0
        for phase in self.phases:
            operators.update(phase.builder.operators)
            ends = last_uses(phase)
            register_bits += sum(
                net.width * -(-max(0, ends.get(id(net), net.stage) - net.stage) // (1 if net.flows else phase.interval))
                for net in phase.builder.nets
            )
            register_bits += sum(v.type.width for v, _ in phase.reductions) + phase.stages
        latency = 0
        for phase, following in zip(self.phases, [*self.phases[1:], None], strict=True):
            latency += phase.stages + (FIFO_LATENCY if following is not None and phase.every_beat else 0)
        return Schedule(
            latency=latency,
            initiation_interval=max(phase.interval for phase in self.phases),
            limits=tuple(text for phase in self.phases for text in phase.limits),
            operators=dict(sorted(operators.items())),
            register_bits=register_bits,
            phase_latencies=tuple(p.stages for p in self.phases),
            critical_ns=max(p.builder.critical for p in self.phases),
            activities=tuple(a for index, phase in enumerate(self.phases) for a in activities(phase, index)),
            buffers=(*self._fifos(), *self._memories()),
        )

    def _fifos(self) -> Iterator[Buffer]:
        for index, phase in enumerate(self.phases[:-1]):
            if phase.every_beat:
                bits = sum(v.type.width * len(self.lane_indices(v)) for v in phase.elements)
                yield Buffer(
                    name=f"elements{index}",
                    words=f"2 max_length + {phase.stages + self.phases[index + 1].stages}",
                    bits=bits + 1,
                    reason="what is used again behind a reduction waits for its packet's end, while the next packet "
                    "comes in",
                )
                constants = sum(v.type.width for v in phase.constants)
                yield Buffer(
                    name=f"reductions{index}", words=str(RESULT_DEPTH), bits=constants, reason="results of packets"
                )

    def _memories(self) -> Iterator[Buffer]:
        for name, type_ in self.kernel.memories.items():
            copies = sum(net.memory == name for net in self.phases[0].words.values())
            item = sum(leaf.width for _, leaf in leaves(name, type_.item))
            lanes = self.lanes if name in self.striped else 1
            reads = "one read serves all lanes" if lanes > 1 else f"{copies} places read it"
            yield Buffer(
                name=name,
                words=f"2 x {type_.depth // lanes} x {copies}",
                bits=item * lanes,
                reason=f"two banks, one filled while the other is read; {reads}",
            )


def activities(phase: Phase, index: int) -> Iterator[Activity]:
    """When each operator of a pipeline is at work."""
    builder, live = phase.builder, last_uses(phase)
    spans: dict[int, list[int]] = {}
    for net in builder.nets:
        if id(net) in live and net.operator in builder.labels and not net.taker:
            spans.setdefault(net.operator, []).append(net.stage)
    shared: dict[int, tuple[int, SharedUnit]] = {}
    for units in builder.units.values():
        for number, unit in enumerate(units):
            shared[unit.out.operator] = number, unit
    for operator, stages in spans.items():
        name = builder.labels[operator]
        if operator in shared:
            number, unit = shared[operator]
            for start, _ in unit.turns.values():
                yield Activity(operator=name, phase=index, first=start, last=start + unit.latency, unit=number)
        else:
            yield Activity(operator=name, phase=index, first=min(stages), last=max(stages))


def clock_limit(kernel: TracedFunction, technology: str) -> ClockLimit:
    """Return what bounds the clock of a kernel, however deep its pipeline."""
    try:
        Plan(kernel, Directives(clock_mhz=math.inf, technology=technology))
    except ClockError as error:
        return error.limit
    raise ValueError(f"kernel {kernel.name} has no operator that takes time")


def held(phase: Phase) -> dict[int, int]:
    """For results, and what states are read and written from, the last stage in which they are needed."""
    ends: dict[int, int] = {}
    reduced = {id(net) for _, net in phase.reductions}
    for net in phase.outputs:
        if not net.is_const:
            ends[id(net)] = max(ends.get(id(net), 0), phase.depth if id(net) in reduced else phase.stages)
    passed = {id(n) for n in phase.outputs[: len(phase.outputs) - len(phase.reductions)]}
    for key in passed & reduced:  # what is both reduced and passed on lives until the end
        ends[key] = phase.stages
    for state in phase.builder.states:
        for net, stage in ((state.read, state.read.stage), (state.written, state.write_stage)):
            if not net.is_const:
                ends[id(net)] = max(ends.get(id(net), 0), stage)
    return ends


def last_uses(phase: Phase) -> dict[int, int]:
    """Last stage in which each live net is read; dead nets are missing."""
    ends = held(phase)
    for net in reversed(phase.builder.nets):
        if id(net) in ends:
            for a in net.args:
                if not a.is_const:
                    ends[id(a)] = max(ends.get(id(a), 0), net.reads_at)
            if net.taker:
                ends[id(net.taker.out)] = net.taker.out.stage
    return ends


def fold(v: Value):
    """Number that an expression of constants stands for."""
    with np.errstate(all="ignore"):
        return MODELS[v.op](v, *(fold(a) for a in v.args))


def _dirty(v: Value) -> bool:
    """Whether the bits of a float may be a subnormal or a NaN other than the canonical one."""
    if v.op in ("arg", "neg", "read"):
        return True
    if v.op == "scan":
        return _dirty(v.attrs["recurrence"].results[v.attrs["part"]])
    if v.op == "convert":
        source = v.args[0].type
        return source.exponent == v.type.exponent and source.mantissa <= v.type.mantissa and _dirty(v.args[0])
    return v.op in ("abs", "select", "previous", "reduce_last") and any(
        _dirty(a) for a in v.args if isinstance(a.type, Float)
    )


def _fit(value, type_):
    """Low bits of an Amaranth value as ``type_``, sign- or zero-extended."""
    if len(value) < type_.width:
        fill = value[-1] if value.shape().signed else Const(0, 1)
        value = Cat(value, fill.replicate(type_.width - len(value)))
    low = value[: type_.width]
    return low.as_signed() if type_.low < 0 else low.as_unsigned()


def _integer(function, delay):
    """Expansion of an integer operator: one step, fitted to the type."""
    return lambda b, v, args, _: b.step(lambda *x: _fit(function(v, *x), v.type), *args, delay=delay(b.tech, v, args))


def _carry(tech, v, args):
    return tech.add(max(a.width for a in args) + 1)


def _shifter(tech, v, args):
    return tech.shift(1 << args[1].width)


def _one_level(tech, v, args):
    return tech.levels(1)


def _wires(tech, v, args):
    return 0.0


def _clamp(v, x):
    return Mux(x < v.attrs["low"], v.attrs["low"], Mux(x > v.attrs["high"], v.attrs["high"], x))


def _table(b, v, args, type_):
    reachable = v.attrs["values"][: v.args[0].type.high + 1]
    values = [int(t.to_bits(x, v.type)) if isinstance(v.type, Float) else x for x in reachable]
    net = b.rom(args[0], [x & ((1 << v.type.width) - 1) for x in values], t.UInt(v.type.width).shape)
    return b.wire(lambda x: _fit(x, v.type) if not isinstance(v.type, Float) else x, net)


def _select(b, v, args, _):
    if isinstance(v.type, Float):
        return b.mux(*args)
    return b.step(lambda c, x, y: _fit(Mux(c, x, y), v.type), *args, delay=b.tech.levels(1))


_SEQUENTIAL = {"index": Plan._index, "previous": Plan._previous, "scan": Plan._scan, "read": Plan._read}
"""What is not an operator of one lane."""

_SHARED = frozenset(
    {"add", "mul", "fma", "to_int", "to_float", "convert", "exp2", "recip", "recip_exact", "rsqrt", "shlv", "shrv"}
)
"""Operators that are larger than multiplexers of their operands."""

_EXPANSIONS = {
    "add": lambda b, v, a, ty: gates.add(b, *a, ty),
    "mul": lambda b, v, a, ty: gates.multiply(b, *a, ty),
    "fma": lambda b, v, a, ty: gates.fma(b, *a, ty),
    "neg": lambda b, v, a, ty: b.wire(lambda x: Cat(x[:-1], ~x[-1]), *a),
    "abs": lambda b, v, a, ty: b.wire(lambda x: Cat(x[:-1], Const(0, 1)), *a),
    "lt": lambda b, v, a, ty: gates.compare(b, "lt", *a, ty),
    "le": lambda b, v, a, ty: gates.compare(b, "le", *a, ty),
    "eq": lambda b, v, a, ty: gates.compare(b, "eq", *a, ty),
    "not": lambda b, v, a, ty: b.wire(lambda x: ~x, *a),
    "select": _select,
    "to_int": lambda b, v, a, ty: gates.to_int(b, *a, ty, v.type, v.attrs["frac"]),
    "to_float": lambda b, v, a, ty: gates.to_float(b, *a, v.type, v.attrs["frac"]),
    "convert": lambda b, v, a, ty: gates.convert(b, *a, ty, v.type),
    "ldexp": lambda b, v, a, ty: gates.ldexp(b, *a, ty),
    "exponent_field": lambda b, v, a, ty: b.wire(lambda x: x[ty.mantissa : ty.mantissa + ty.exponent], *a),
    "key": lambda b, v, a, ty: gates.key(b, *a, ty),
    "unkey": lambda b, v, a, ty: gates.unkey(b, *a, v.type),
    "table": _table,
    "exp2": lambda b, v, a, ty: gates_functions.exp2(b, *a, ty),
    "recip": lambda b, v, a, ty: gates_functions.recip(b, *a, ty),
    "recip_exact": lambda b, v, a, ty: gates_functions.recip_exact(b, *a),
    "rsqrt": lambda b, v, a, ty: gates_functions.rsqrt(b, *a, ty),
    "iadd": _integer(lambda v, x, y: x + y, _carry),
    "isub": _integer(lambda v, x, y: x - y, _carry),
    "imul": lambda b, v, a, ty: b.wire(lambda x: _fit(x, v.type), b.multiply(*a)),
    "ineg": _integer(lambda v, x: -x, _carry),
    "ilt": _integer(lambda v, x, y: x < y, _carry),
    "ile": _integer(lambda v, x, y: x <= y, _carry),
    "ieq": _integer(lambda v, x, y: x == y, _carry),
    "and": _integer(lambda v, x, y: x & y, _one_level),
    "or": _integer(lambda v, x, y: x | y, _one_level),
    "xor": _integer(lambda v, x, y: x ^ y, _one_level),
    "shl": _integer(lambda v, x: x.shift_left(v.attrs["count"]), _wires),
    "shr": _integer(lambda v, x: x.shift_right(v.attrs["count"]), _wires),
    "shlv": _integer(lambda v, x, k: x << k, _shifter),
    "shrv": _integer(lambda v, x, k: x >> k, _shifter),
    "clamp": _integer(_clamp, lambda tech, v, a: tech.add(a[0].width) + tech.levels(2)),
    "wrap": _integer(lambda v, x: x, _wires),
    "bits": _integer(lambda v, x: x.shift_right(v.attrs["start"]), _wires),
    "concat": _integer(lambda v, x, y: Cat(_fit(x, t.UInt(v.attrs["shift"])), y), _wires),
}
