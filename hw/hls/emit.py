"""Pipelines as Amaranth components."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from amaranth.hdl import Cat, Const, Module, Shape, Signal, Value, unsigned
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out
from rtlm.hw.hls import graph
from rtlm.hw.hls.banks import LoadedMemory
from rtlm.hw.hls.partition import places
from rtlm.hw.hls.phase import queue_words
from rtlm.hw.hls.pipeline import Pipeline
from rtlm.hw.hls.plan import Plan
from rtlm.hw.hls.report import RESULT_DEPTH
from rtlm.hw.hls.vectors import leaves


class KernelComponent(wiring.Component):
    """A kernel's pipeline, ``lanes`` elements a beat.

    Protocol: streams with valid and ready; a phase moves when its last register is empty or taken, so that ``o``
    stalls all of it; bubbles stay. ``valid`` never depends on ``ready``. A packet that goes on after ``max_length``
    beats raises ``too_long`` and nothing more is taken until reset: packets before it come out, nothing of it does. A
    kernel with memories takes a beat when each of them holds a load; the beat with ``release`` is the last to read it.

    Latency: ``latency`` cycles; for a kernel that reduces, from a packet's last beat in to its first beat out, if
    both flow freely (each reduction of what waited for another one adds the packet's length less one).

    Throughput: a beat every ``schedule.initiation_interval`` cycles (between phases a FIFO holds two longest packets).

    Numerics: those of the kernel's ``model``, bit for bit.

    Parameters
    ----------
    plan
        The scheduled kernel.
    max_length
        Longest packet in beats, for kernels that use elements again after a reduction.
    tag
        Shape of a tag passed along beside the data, or None.
    framing
        Whether ``last`` is passed along even if nothing is reduced.
    busy
        Whether there is an output ``busy``, by which a clock can be gated.
    keys
        Packets that interleave: with more than one each beat has a ``key``, ``last`` ends the packet of that key only,
        and states and sums exist for each. For kernels that use no element again after a reduction. The multiplexer in
        front of a sum or state is not in the planned delays.

    Attributes
    ----------
    i : In(stream.Signature(StructLayout))
        Arguments by name, ``last``, ``tag``, ``key``, ``release``.
    <memory> : In(stream.Signature(StructLayout))
        For each memory, by its name, the words to load (:class:`.banks.LoadedMemory`).
    o : Out(stream.Signature(StructLayout))
        Results by name, ``last``, ``tag``, ``key`` (of the packet's last beat, when there is one beat a packet).
    too_long : Out(1)
        ``max_length`` beats came without ``last``; holds until reset. Only where there is a longest packet.
    busy : Out(1)
        Something inside is on its way: a beat in a pipeline, or a whole packet in a FIFO. From registers only. While it
        and ``i.valid`` are low no register changes; what then waits in a FIFO waits for the rest of its packet. Only
        if asked for.

    Raises
    ------
    ValueError
        If the kernel needs ``max_length`` and it is missing or not positive, or cannot have packets interleave.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        max_length: int | None = None,
        tag: Any = None,
        framing: bool = False,
        busy: bool = False,
        keys: int = 1,
    ):
        self.plan, self.latency, self.schedule = plan, plan.schedule.latency, plan.schedule
        self.tag_shape = None if tag is None else Shape.cast(tag)
        self.framing = framing or plan.graph.framed
        self.max_length = max_length
        self._longest = max_length or 0
        self._limited = any(p.every_beat for p in plan.phases)
        if self._limited and (max_length is None or max_length < 1):
            raise ValueError(
                f"Kernel {plan.kernel.name} uses elements again after a reduction: "
                f"give max_length, the longest packet in beats, as a positive number, not {max_length}."
            )
        self.keys = keys
        if keys < 1:
            raise ValueError(f"keys must be at least 1, got {keys}.")
        if keys > 1:
            self._check_keys()
        extra: dict[str, Any] = (
            ({"last": 1} if self.framing else {})
            | ({} if tag is None else {"tag": tag})
            | ({"key": range(keys)} if keys > 1 else {})
        )
        self.memories = {
            name: LoadedMemory(
                leaves(name, type_.item),
                type_.depth,
                plan.lanes if name in plan.striped else 1,
                len(places(plan, name)),
                plan.directives.bind.get(name, ""),
                blocks=plan.blocks.get(name),
                complete=plan.directives.partition.get(name) == "complete",
            )
            for name, type_ in plan.kernel.memories.items()
            if any(v.attrs["memory"].name == name for v in plan.graph.reads)
        }
        release = {"release": 1} if self.memories else {}
        arguments = {v.attrs["name"]: field_shape(v, plan.lanes) for v in plan.graph.args}
        results = {name: field_shape(r, plan.lanes) for name, r in zip(plan.kernel.results, plan.fields, strict=True)}
        super().__init__(
            {
                "i": In(stream.Signature(data.StructLayout(arguments | extra | release))),
                "o": Out(stream.Signature(data.StructLayout(results | extra))),
                **({"too_long": Out(1)} if self._limited else {}),
                **({"busy": Out(1)} if busy else {}),
                **{name: In(stream.Signature(loaded.i.payload.shape())) for name, loaded in self.memories.items()},
            }
        )

    def _check_keys(self) -> None:
        name = self.plan.kernel.name
        if self._limited:
            raise ValueError(
                f"Kernel {name} uses elements again after a reduction: its packets go through a FIFO one after the "
                f"other, so {self.keys} of them cannot interleave."
            )
        if not self.framing:
            raise ValueError(f"Kernel {name} knows no packets, so none can interleave; leave keys at 1.")
        if "key" in (*self.plan.kernel.arguments, *self.plan.kernel.results):
            raise ValueError(f"Kernel {name} has a field key, which names a beat's packet where packets interleave.")

    def elaborate(self, platform) -> Module:
        """Connect the phases."""
        m = Module()
        plan = self.plan
        units = [
            Pipeline(
                phase,
                packet_end=following is not None and not phase.every_beat,
                framing=self.framing,
                tag=self.tag_shape,
                keys=self.keys,
            )
            for phase, following in zip(plan.phases, [*plan.phases[1:], None], strict=True)
        ]
        for index, unit in enumerate(units):
            m.submodules[f"phase{index}" if len(units) > 1 else "pipeline"] = unit
        first, final = units[0], units[-1]
        for v in plan.graph.args:
            for lane in plan.lane_indices(v):
                source = self.i.payload[v.attrs["name"]]
                m.d.comb += first.ports[id(v), lane].eq(source if lane is None else source[lane])
        refused: Value = Const(0, 1)
        if self._limited:
            watch_length(m, self.i, self._longest, self.too_long, "packet_beats")
            refused = self.too_long
        if self.memories:
            refused = refused | self._load(m, first)
        m.d.comb += [first.i_valid.eq(self.i.valid & ~refused), self.i.ready.eq(first.i_ready & ~refused)]
        for name in first.beside:
            m.d.comb += getattr(first, name).eq(Value.cast(self.i.payload[name]))
        outputs = iter(final.outputs)
        for name, r in zip(plan.kernel.results, plan.fields, strict=True):
            for lane in plan.lane_indices(r):
                target = self.o.payload[name]
                m.d.comb += (target if lane is None else target[lane]).eq(next(outputs))
        for name in final.beside:
            m.d.comb += Value.cast(self.o.payload[name]).eq(getattr(final, f"o_{name}"))
        m.d.comb += [self.o.valid.eq(final.o_valid), final.o_ready.eq(self.o.ready)]
        held = [unit.active for unit in units]
        for a, b in pairwise(units):
            held += self._join(m, a, b)
        if "busy" in self.signature.members:
            m.d.comb += self.busy.eq(Cat(*held).any())
        if plan.graph.once_per_packet:
            m.d.comb += self.o.payload.last.eq(1)
        return m

    def _load(self, m: Module, first: Pipeline) -> Value:
        """Connect memories and the pipeline that reads them; returns whether a beat has to wait for a load."""
        release = self.i.payload.release
        m.d.comb += first.release.eq(release)
        for name, loaded in self.memories.items():
            m.submodules[name] = loaded
            wiring.connect(m, wiring.flipped(getattr(self, name)), loaded.i)
            m.d.comb += [loaded.claim.eq(self.i.valid & self.i.ready & release), loaded.enable.eq(first.move)]
            for copy, (address, word, free) in enumerate(first.reads(name)):
                m.d.comb += [
                    loaded.address[copy].eq(address),
                    word.eq(loaded.data[copy]),
                    loaded.release[copy].eq(free),
                ]
        return ~Cat(*(loaded.available for loaded in self.memories.values())).all()

    def _join(self, m: Module, a: Pipeline, b: Pipeline) -> list[Value]:
        """Connect two phases, directly once a packet, or by FIFOs for the elements and for the reductions.

        Returns
        -------
        list[Value]
            For FIFOs, whether they hold a whole packet: its reductions come and leave with its last beat.
        """
        phase, plan = a.phase, self.plan
        elements = [(id(v), lane) for v in phase.elements for lane in plan.lane_indices(v)]
        constants = [(id(v), None) for v in phase.constants]
        if not phase.every_beat:
            m.d.comb += [b.ports[key].eq(a.result(key)) for key in constants]
            m.d.comb += [b.i_valid.eq(a.o_valid), a.o_ready.eq(b.i_ready)]
            for name in a.beside:
                m.d.comb += getattr(b, name).eq(getattr(a, f"o_{name}"))
            return []
        tail = [getattr(a, f"o_{name}") for name in a.beside]
        into = Cat(*(a.result(key) for key in elements), *tail)
        depth = queue_words(phase, b.phase, self._longest)
        index = plan.phases.index(phase)
        beats = m.submodules[f"elements{index}"] = fifo.SyncFIFOBuffered(width=len(into), depth=depth)
        packed = Cat(*(a.result(key) for key in constants))
        results = m.submodules[f"reductions{index}"] = fifo.SyncFIFOBuffered(width=len(packed), depth=RESULT_DEPTH)
        room = Signal(name=f"room{index}")
        m.d.comb += [
            room.eq(beats.w_rdy & results.w_rdy),
            a.o_ready.eq(room),
            beats.w_data.eq(into),
            beats.w_en.eq(a.o_valid & room),
            results.w_data.eq(packed),
            results.w_en.eq(a.o_valid & room & a.o_last),
            b.i_valid.eq(beats.r_rdy & results.r_rdy),
            beats.r_en.eq(b.i_valid & b.i_ready),
            results.r_en.eq(b.i_valid & b.i_ready & b.last),
            Cat(*(b.ports[key] for key in elements), *(getattr(b, name) for name in b.beside)).eq(beats.r_data),
            Cat(*(b.ports[key] for key in constants)).eq(results.r_data),
        ]
        return [results.level != 0]


def field_shape(v: graph.Value, lanes: int) -> Any:
    """Return the shape of an argument or result in a payload: an array, unless all lanes share it."""
    return data.ArrayLayout(unsigned(v.type.width), lanes) if v.per_lane else unsigned(v.type.width)


def watch_length(m: Module, beats: Any, longest: int, too_long: Signal, name: str) -> None:
    """Raise `too_long` where a packet goes on after its longest length: in a FIFO it would wait for its own end."""
    length = Signal(range(max(2, longest)), name=name)
    with m.If(beats.valid & beats.ready):
        with m.If(beats.payload.last):
            m.d.sync += length.eq(0)
        with m.Elif(length == longest - 1):
            m.d.sync += too_long.eq(1)
        with m.Else():
            m.d.sync += length.eq(length + 1)
