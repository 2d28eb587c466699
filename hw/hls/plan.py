"""From a graph to scheduled pipelines: one for each phase between packet reductions."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable
from functools import cached_property

from amaranth.hdl import Mux
from rtlm.hw.hls import gates
from rtlm.hw.hls import types as t
from rtlm.hw.hls.builder import Builder, Net
from rtlm.hw.hls.directives import PRODUCT_STYLES, Directives
from rtlm.hw.hls.graph import REDUCTIONS, Value
from rtlm.hw.hls.operators import expand, folded, is_dirty, is_shared, operator_name
from rtlm.hw.hls.optimise import optimised
from rtlm.hw.hls.partition import blocks, check_memories, register_reads, striped
from rtlm.hw.hls.phase import Phase, held, last_uses
from rtlm.hw.hls.placement import place
from rtlm.hw.hls.report import schedule_of
from rtlm.hw.hls.sequential import SEQUENTIAL
from rtlm.hw.hls.technology import ClockError, ClockLimit, find
from rtlm.hw.hls.trace import TracedFunction
from rtlm.hw.hls.types import Float


class Plan:
    """A kernel, scheduled as its directives say."""

    def __init__(self, kernel: TracedFunction, directives: Directives):
        self.kernel, self.directives = kernel, directives
        self.lanes, self.clock_mhz, self.ii = directives.lanes, directives.clock_mhz, directives.ii
        self.graph = optimised(kernel.graph)
        self.fields = kernel.graph.results
        """Results as the kernel has them: which of them the streams have once for each lane."""
        check_memories(kernel, directives)
        self.striped = striped(kernel, self.graph, directives)
        """Memories whose words lie over the lanes in turn: one address serves all lanes."""
        self.tech = find(directives.technology)
        self.products = directives.bound(PRODUCT_STYLES)
        self.last_phase = self.graph.phases - 1
        self._needs()
        self.phases: list[Phase] = []
        for index in range(self.graph.phases):
            self.phases.append(self._phase(index))
        self.blocks = blocks(self)
        """For memories that lie in blocks, which one each place reads."""
        self._check_products()
        delay, operator = max([*(phase.builder.slowest for phase in self.phases), *register_reads(self)])
        if delay > self.tech.budget(self.clock_mhz):
            limit = ClockLimit(kernel=kernel.name, operator=operator, delay_ns=delay, technology=self.tech)
            raise ClockError(limit, self.clock_mhz)
        self.schedule = schedule_of(self)

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
        share = self.directives.chained_share
        b = Builder(self.tech, self.clock_mhz, chained_share=share, bind=self.products)
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
                phase.nets[id(v), None] = b.const(t.on_wires(v.attrs["value"], v.type), v.type.shape)
            elif self._computed_in(v) == index and v.op != "arg":
                if v.op in REDUCTIONS:
                    phase.reductions.append((v, self._across_lanes(phase, v)))
                    continue
                if v.op in SEQUENTIAL:
                    SEQUENTIAL[v.op](self, phase, v)
                    continue
                for lane in self.lane_indices(v):
                    phase.nets[id(v), lane] = self.expand(b, v, [phase.net(a, lane) for a in v.args])
        if index == self.last_phase:
            for written, r in zip(self.fields, self.graph.results, strict=True):
                for lane in self.lane_indices(written):
                    net = phase.net(r, lane)
                    clean = isinstance(r.type, Float) and is_dirty(r)
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

    def _across_lanes(self, phase: Phase, v: Value) -> Net:
        """Combine the lanes' terms of a reduction in a tree."""
        b, (x,) = phase.builder, v.args
        nets = [phase.net(x, lane) for lane in range(self.lanes)]
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

    def _check_products(self) -> None:
        """Refuse what is bound and nowhere to be found."""
        unknown = sorted(self.products.keys() - set().union(*(phase.builder.bound for phase in self.phases)))
        if unknown:
            operators = sorted(set().union(*(phase.builder.operators for phase in self.phases)))
            raise ValueError(
                f"Kernel {self.kernel.name} has no product {unknown[0]} to bind; its operators are "
                f"{', '.join(operators)}."
            )

    def _check_accumulators(self, phase: Phase) -> None:
        for v, net in phase.reductions:
            if v.op == "reduce_last":
                continue
            delay = phase.builder.tech.add(max(v.type.width, net.width)) + phase.builder.tech.levels(1)
            phase.builder.critical = max(phase.builder.critical, delay)
            phase.builder.slowest = max(phase.builder.slowest, (delay, f"{v.type} accumulator"))

    def expand(self, b: Builder, v: Value, args: list[Net]) -> Net:
        """Micro-steps of one operator in one lane."""
        if all(a.is_const for a in args):
            return b.const(folded(v, [a.source for a in args]), v.type.shape)
        # Where an operand is constant in this lane only, the operator is another one.
        alike = sum(a.is_const for a in args) == sum(a.op == "const" for a in v.args)
        limit = self._units(v) if alike and not b.looping else 0
        if not limit:
            b.operator(operator_name(v), v.op)
            return expand(b, v, args)
        kind, constants = self._kind(v)
        fixed = {n for n, value in enumerate(constants) if value is not None}

        def build(*operands: Net) -> Net:
            b.operator(operator_name(v), v.op)
            given = iter(operands)
            return expand(b, v, [a if n in fixed else next(given) for n, a in enumerate(args)])

        assert self.ii is not None, "operators are shared for an interval that was asked for"
        operands = [a for n, a in enumerate(args) if n not in fixed]
        return b.share((kind, constants), limit, self.ii, operands, build)

    def _kind(self, v: Value) -> tuple[Hashable, tuple[str | None, ...]]:
        """What operators have in common that can share a unit: all but their operands, and the constants among these.

        Units for varying operands serve constants in turns that are left.
        """
        alike = self._but_operands(v)
        served = (self._computed_in(v), alike) in self._serving
        return alike, tuple(None if served or a.op != "const" else repr(a.attrs["value"]) for a in v.args)

    @staticmethod
    def _but_operands(v: Value) -> Hashable:
        attrs = tuple(sorted((name, repr(a)) for name, a in v.attrs.items()))
        return v.op, v.type, attrs, tuple(a.type for a in v.args)

    @cached_property
    def _serving(self) -> set[tuple[int, Hashable]]:
        """Kinds, by phase, whose units have turns for all of their operators that have constant operands."""
        plain: Counter[tuple[int, Hashable]] = Counter()
        fixed: Counter[tuple[int, Hashable]] = Counter()
        for v in filter(is_shared, self.graph.order):
            counts = fixed if any(a.op == "const" for a in v.args) else plain
            counts[self._computed_in(v), self._but_operands(v)] += len(self.lane_indices(v))
        return {kind for kind, count in plain.items() if self.ii is None or fixed[kind] <= -count % self.ii}

    @property
    def turns(self) -> int:
        """Operators of the commonest kind that can share a unit: with a longer interval nothing more is shared."""
        return max(self._alike.values(), default=1)

    def _units(self, v: Value) -> int:
        """Units for all operators of a kind in a phase; 0 where sharing gains nothing."""
        if self.ii is None or self.ii == 1 or not is_shared(v):
            return 0
        count = self._alike[self._computed_in(v), self._kind(v)]
        return math.ceil(count / self.ii) if count > 1 else 0

    @cached_property
    def _alike(self) -> Counter[tuple[int, Hashable]]:
        """How many operators there are of each phase and kind, all lanes counted."""
        found: Counter[tuple[int, Hashable]] = Counter()
        for v in filter(is_shared, self.graph.order):
            found[self._computed_in(v), self._kind(v)] += len(self.lane_indices(v))
        return found


def clock_limit(kernel: TracedFunction, technology: str) -> ClockLimit:
    """Return what bounds the clock of a kernel, however deep its pipeline."""
    try:
        Plan(kernel, Directives(clock_mhz=math.inf, technology=technology))
    except ClockError as error:
        return error.limit
    raise ValueError(f"kernel {kernel.name} has no operator that takes time")
