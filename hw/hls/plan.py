"""From a graph to scheduled pipelines: one for each phase between packet reductions."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from amaranth.hdl import Cat, Const, Mux
from rtlm.hw.hls import gates, gates_functions
from rtlm.hw.hls import types as t
from rtlm.hw.hls.evaluate import MODELS
from rtlm.hw.hls.graph import REDUCTIONS, Value
from rtlm.hw.hls.schedule import Builder, Net, Schedule
from rtlm.hw.hls.technology import ClockError, ClockLimit, find
from rtlm.hw.hls.trace import TracedFunction
from rtlm.hw.hls.types import Float

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
    constants: list[Value] = field(default_factory=list)
    """Values that go on once a packet."""
    reductions: list[tuple[Value, Net]] = field(default_factory=list)
    nets: dict[tuple[int, int | None], Net] = field(default_factory=dict)
    outputs: list[Net] = field(default_factory=list)
    depth: int = 1

    @property
    def stages(self) -> int:
        """Registers between input and output, the accumulator included."""
        return self.depth + bool(self.reductions)


class Plan:
    """A kernel, scheduled for a number of lanes, a clock and a technology."""

    def __init__(self, kernel: TracedFunction, *, lanes: int, clock_mhz: float, technology: str):
        if not isinstance(lanes, int) or lanes < 1:
            raise ValueError(f"lanes is a positive number, not {lanes!r}.")
        self.kernel, self.graph, self.lanes, self.clock_mhz = kernel, kernel.graph, lanes, clock_mhz
        self.tech = find(technology)
        self.last_phase = self.graph.phases - 1
        self._needs()
        self.phases: list[Phase] = []
        for index in range(self.graph.phases):
            self.phases.append(self._phase(index))
        delay, operator = max(phase.builder.slowest for phase in self.phases)
        if delay > self.tech.budget(clock_mhz):
            limit = ClockLimit(kernel=kernel.name, operator=operator, delay_ns=delay, technology=self.tech)
            raise ClockError(limit, clock_mhz)
        self.schedule = self._schedule()

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
        b = Builder(self.tech, self.clock_mhz)
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
                for lane in self.lane_indices(v):
                    args = [phase.nets[id(a), lane if a.per_lane else None] for a in v.args]
                    phase.nets[id(v), lane] = self._expand(b, v, args)
        if index == self.last_phase:
            for r in self.graph.results:
                for lane in self.lane_indices(r):
                    if isinstance(r.type, Float) and _dirty(r):
                        phase.nets[id(r), lane] = gates.clean(b, phase.nets[id(r), lane], r.type)
                    phase.outputs.append(phase.nets[id(r), lane])
        else:
            for v in [*self.graph.args, *self.graph.order]:
                known = v.phase - (v.op in REDUCTIONS) <= index < self.need.get(id(v), 0)
                if known and v.op != "const" and not any(v is x for x in [*phase.elements, *phase.constants]):
                    (phase.elements if v.per_beat else phase.constants).append(v)
            phase.outputs += [
                phase.nets[id(v), lane]
                for v in [*phase.elements, *phase.constants]
                for lane in self.lane_indices(v)
                if (id(v), lane) in phase.nets
            ]
            phase.outputs += [net for _, net in phase.reductions]
        phase.depth = b.depth(phase.outputs)
        self._check_accumulators(phase)
        return phase

    def _across_lanes(self, phase: Phase, v: Value) -> Net:
        """Combine the lanes' terms of a reduction in a tree."""
        b, (x,) = phase.builder, v.args
        nets = [phase.nets[id(x), lane] for lane in range(self.lanes)]
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

    def _check_accumulators(self, phase: Phase) -> None:
        for v, net in phase.reductions:
            delay = phase.builder.tech.add(max(v.type.width, net.width)) + phase.builder.tech.levels(1)
            phase.builder.critical = max(phase.builder.critical, delay)
            phase.builder.slowest = max(phase.builder.slowest, (delay, f"{v.type} accumulator"))

    def _expand(self, b: Builder, v: Value, args: list[Net]) -> Net:
        """Micro-steps of one operator in one lane."""
        type_ = v.args[0].type if v.args else v.type
        if all(a.is_const for a in args):
            value = fold(v)
            return b.const(int(t.to_bits(value, v.type)) if isinstance(v.type, Float) else int(value), v.type.shape)
        b.operator(None if v.op in _FREE else f"{type_} {_NAMES.get(v.op, v.op)}", v.op)
        return _EXPANSIONS[v.op](b, v, args, type_)

    def _schedule(self) -> Schedule:
        operators: Counter[str] = Counter()
        register_bits = 0
        for phase in self.phases:
            operators.update(phase.builder.operators)
            ends = last_uses(phase)
            register_bits += sum(
                net.width * max(0, ends.get(id(net), net.stage) - net.stage) for net in phase.builder.nets
            )
            register_bits += sum(v.type.width for v, _ in phase.reductions) + phase.stages
        latency = 0
        for phase, following in zip(self.phases, [*self.phases[1:], None], strict=True):
            latency += phase.stages + (FIFO_LATENCY if following is not None and phase.elements else 0)
        return Schedule(
            latency=latency,
            initiation_interval=1,
            operators=dict(sorted(operators.items())),
            register_bits=register_bits,
            phase_latencies=tuple(p.stages for p in self.phases),
            critical_ns=max(p.builder.critical for p in self.phases),
        )


def clock_limit(kernel: TracedFunction, technology: str) -> ClockLimit:
    """Return what bounds the clock of a kernel, however deep its pipeline."""
    try:
        Plan(kernel, lanes=1, clock_mhz=math.inf, technology=technology)
    except ClockError as error:
        return error.limit
    raise ValueError(f"kernel {kernel.name} has no operator that takes time")


def last_uses(phase: Phase) -> dict[int, int]:
    """Last stage in which each live net is read; dead nets are missing."""
    ends: dict[int, int] = {}
    reduced = {id(net) for _, net in phase.reductions}
    for net in phase.outputs:
        if not net.is_const:
            ends[id(net)] = max(ends.get(id(net), 0), phase.depth if id(net) in reduced else phase.stages)
    passed = {id(n) for n in phase.outputs[: len(phase.outputs) - len(phase.reductions)]}
    for key in passed & reduced:  # what is both reduced and passed on lives until the end
        ends[key] = phase.stages
    for net in reversed(phase.builder.nets):
        if id(net) in ends:
            for a in net.args:
                if not a.is_const:
                    ends[id(a)] = max(ends.get(id(a), 0), net.stage)
    return ends


def fold(v: Value):
    """Number that an expression of constants stands for."""
    with np.errstate(all="ignore"):
        return MODELS[v.op](v, *(fold(a) for a in v.args))


def _dirty(v: Value) -> bool:
    """Whether the bits of a float may be a subnormal or a NaN other than the canonical one."""
    if v.op in ("arg", "neg"):
        return True
    if v.op == "convert":
        source = v.args[0].type
        return source.exponent == v.type.exponent and source.mantissa <= v.type.mantissa and _dirty(v.args[0])
    return v.op in ("abs", "select") and any(_dirty(a) for a in v.args if isinstance(a.type, Float))


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


def _one_level(tech, v, args):
    return tech.levels(1)


def _wires(tech, v, args):
    return 0.0


def _clamp(v, x):
    return Mux(x < v.attrs["low"], v.attrs["low"], Mux(x > v.attrs["high"], v.attrs["high"], x))


def _table(b, v, args, type_):
    values = [int(t.to_bits(x, v.type)) if isinstance(v.type, Float) else x for x in v.attrs["values"]]
    net = b.rom(args[0], [x & ((1 << v.type.width) - 1) for x in values], t.UInt(v.type.width).shape)
    return b.wire(lambda x: _fit(x, v.type) if not isinstance(v.type, Float) else x, net)


def _select(b, v, args, _):
    if isinstance(v.type, Float):
        return b.mux(*args)
    return b.step(lambda c, x, y: _fit(Mux(c, x, y), v.type), *args, delay=b.tech.levels(1))


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
    "clamp": _integer(_clamp, lambda tech, v, a: tech.add(a[0].width) + tech.levels(2)),
    "wrap": _integer(lambda v, x: x, _wires),
    "bits": _integer(lambda v, x: x[v.attrs["start"] :], _wires),
    "concat": _integer(lambda v, x, y: Cat(x, y), _wires),
}
