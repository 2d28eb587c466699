"""Nests of loops as Amaranth components: counters in front of the pipeline of an iteration."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

from amaranth.hdl import Cat, Const, Module, Shape, Value, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from rtlm.hw.hls.directives import Directives
from rtlm.hw.hls.emit import KernelComponent
from rtlm.hw.hls.nests.counters import (
    LoopCounters,
    bound_names,
    counter_bits,
    counter_delay,
    counter_operators,
    longest_packet,
    product_text,
)
from rtlm.hw.hls.nests.lowering import Lowered, command_arguments, lower, setup_kernel
from rtlm.hw.hls.plan import Plan
from rtlm.hw.hls.schedule import Loop, Schedule
from rtlm.hw.hls.technology import ClockError, ClockLimit
from rtlm.hw.hls.trace import TracedFunction

COUNTER_LATENCY = 2
"""Cycles from a command to its first beat."""


class NestPlan:
    """A kernel with loops, scheduled as its directives say.

    Attributes
    ----------
    body
        The pipeline of an iteration.
    setup
        The pipeline of what a command needs once; None where that is nothing.
    """

    def __init__(self, kernel: TracedFunction, directives: Directives):
        self.kernel, self.directives, self.lanes = kernel, directives, directives.lanes
        self.lowered: Lowered = lower(kernel, self.lanes)
        self.body = Plan(self.lowered.body, directives)
        once = setup_kernel(self.lowered)
        self.setup = Plan(once, replace(directives, lanes=1, ii=None, bind={}, partition={})) if once else None
        delay = counter_delay(self.lowered, self.body.tech)
        if delay > self.body.tech.budget(directives.clock_mhz):
            limit = ClockLimit(
                kernel=kernel.name, operator="counter of a loop", delay_ns=delay, technology=self.body.tech
            )
            raise ClockError(limit, directives.clock_mhz)
        self.longest = longest_packet(self.lowered)
        self.schedule = self._schedule()

    def _schedule(self) -> Schedule:
        """What the body costs, and the loops around it."""
        body, nest = self.body.schedule, self.lowered.nest
        before = self.setup.schedule if self.setup else Schedule(latency=0, initiation_interval=1)
        given = sum(v.type.width for v in command_arguments(self.kernel))
        loops = tuple(
            Loop(
                place=level.place,
                bound=name,
                lanes=self.lanes if level is nest.levels[-1] else 1,
                packet=any(level is inner for inner in nest.packet),
            )
            for level, name in zip(nest.levels, bound_names(self.lowered), strict=True)
        )
        operators = Counter(body.operators) + Counter(before.operators) + counter_operators(self.lowered)
        interval = f"{body.initiation_interval} * " if body.initiation_interval > 1 else ""
        return replace(
            body,
            latency=before.latency + COUNTER_LATENCY + body.latency,
            operators=dict(sorted(operators.items())),
            register_bits=body.register_bits
            + counter_bits(self.lowered)
            + before.register_bits
            + given * before.latency,
            buffers=tuple(replace(b, words=b.words.replace("max_length", f"x {self.longest}")) for b in body.buffers),
            loops=loops,
            trip=f"{interval}{product_text(self.lowered)}",
        )


class NestComponent(wiring.Component):
    """A kernel with loops: commands in, the results of their iterations or packets out.

    Protocol: streams with valid and ready. A command has all arguments; the results of a command are a packet of ``o``,
    its last one with ``last``. A command with a bound of 0 has no result. A kernel with memories begins a command's
    beats when each of them holds a load; the command with ``release`` is the last to read it.

    Latency: ``latency`` cycles from a command to its first result, if both flow freely and a packet is one beat; where
    packets are reduced, further beats add ``schedule.initiation_interval`` cycles each.

    Throughput: a beat every ``schedule.initiation_interval`` cycles, also from one command to the next: a command takes
    ``schedule.trip`` cycles.

    Numerics: those of the kernel's ``model``, bit for bit.

    Parameters
    ----------
    plan
        The scheduled kernel.
    tag
        Shape of a tag that comes with a command and is passed along to its results, or None.
    busy
        Whether there is an output ``busy``, by which a clock can be gated.

    Attributes
    ----------
    i : In(stream.Signature(StructLayout))
        Arguments by name, ``tag``, ``release``.
    <memory> : In(stream.Signature(StructLayout))
        For each memory, by its name, the words to load (:class:`.banks.LoadedMemory`).
    o : Out(stream.Signature(StructLayout))
        Results by name, ``active`` (for each lane, whether it has an iteration; where some may have none), ``last``,
        ``tag``.
    busy : Out(1)
        Something inside is on its way. While it and ``i.valid`` are low no register changes. Only if asked for.
    """

    def __init__(self, plan: NestPlan, *, tag: Any = None, busy: bool = False):
        self.plan, self.latency, self.schedule = plan, plan.schedule.latency, plan.schedule
        tag_shape = None if tag is None else Shape.cast(tag)
        self._tags = {} if tag is None else {"tag": tag}
        void = "_empty" in plan.lowered.setup
        inner = {"_end": 1} | ({"_void": 1} if void else {}) | self._tags
        self.pipeline = KernelComponent(plan.body, max_length=plan.longest, tag=data.StructLayout(inner), busy=busy)
        self.memories = self.pipeline.memories
        self._releases = {"release": 1} if self.memories else {}
        held = {v.attrs["name"]: unsigned(v.type.width) for v in command_arguments(plan.kernel)}
        self.counters = LoopCounters(plan.lowered, held, releases=bool(self.memories), tag=tag_shape)
        given = data.StructLayout({**held, **self._tags, **self._releases})
        self.setup = KernelComponent(plan.setup, tag=given, busy=busy) if plan.setup else None
        out = {name: field.shape for name, field in self.pipeline.o.payload.shape() if name not in ("last", "tag")}
        super().__init__(
            {
                "i": In(stream.Signature(given)),
                "o": Out(stream.Signature(data.StructLayout({**out, "last": unsigned(1), **self._tags}))),
                **({"busy": Out(1)} if busy else {}),
                **{name: In(stream.Signature(memory.i.payload.shape())) for name, memory in self.memories.items()},
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Connect set-up, counters and pipeline."""
        m = Module()
        counters, pipeline = self.counters, self.pipeline
        m.submodules.counters, m.submodules.pipeline = counters, pipeline
        self._commands(m)
        beat, into = counters.o.payload, pipeline.i.payload
        m.d.comb += [pipeline.i.valid.eq(counters.o.valid), counters.o.ready.eq(pipeline.i.ready)]
        for name, _ in into.shape():
            if name != "tag":
                m.d.comb += Value.cast(into[name]).eq(Value.cast(beat[name]))
        for name, _ in into.tag.shape():
            m.d.comb += Value.cast(into.tag[name]).eq(Value.cast(beat[name]))
        for name in self.memories:
            wiring.connect(m, wiring.flipped(getattr(self, name)), getattr(pipeline, name))
        seen, tag = pipeline.o.payload, pipeline.o.payload.tag
        void = tag["_void"] if counters.void else Const(0, 1)
        m.d.comb += [
            self.o.valid.eq(pipeline.o.valid & ~void),
            pipeline.o.ready.eq(self.o.ready | void),
            self.o.payload.last.eq(tag["_end"]),
        ]
        for name, _ in self.o.payload.shape():
            if name != "last":
                m.d.comb += Value.cast(self.o.payload[name]).eq(Value.cast(tag.tag if name == "tag" else seen[name]))
        if "busy" in self.signature.members:
            parts = [counters.busy, pipeline.busy, *([self.setup.busy] if self.setup else [])]
            m.d.comb += self.busy.eq(Cat(*parts).any())
        return m

    def _commands(self, m: Module) -> None:
        """Bring commands to the counters, through what is computed of them once."""
        into = self.counters.i
        if self.setup is None:
            m.d.comb += [into.valid.eq(self.i.valid), self.i.ready.eq(into.ready)]
            for name, _ in self.i.payload.shape():
                m.d.comb += Value.cast(into.payload[name]).eq(Value.cast(self.i.payload[name]))
            return
        m.submodules.setup = setup = self.setup
        m.d.comb += [
            setup.i.valid.eq(self.i.valid),
            self.i.ready.eq(setup.i.ready),
            setup.i.payload.tag.eq(self.i.payload),
            into.valid.eq(setup.o.valid),
            setup.o.ready.eq(into.ready),
        ]
        for name, _ in setup.i.payload.shape():
            if name != "tag":
                m.d.comb += Value.cast(setup.i.payload[name]).eq(Value.cast(self.i.payload[name]))
        for name, _ in into.payload.shape():
            source = setup.o.payload if name in self.plan.lowered.setup else setup.o.payload.tag
            m.d.comb += Value.cast(into.payload[name]).eq(Value.cast(source[name]))
