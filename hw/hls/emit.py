"""Pipelines as Amaranth components."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Shape, Signal, Value, unsigned
from amaranth.lib import data, fifo, memory, stream, wiring
from amaranth.lib.wiring import In, Out
from rtlm.hw.hls.banks import LoadedMemory
from rtlm.hw.hls.builder import Net, SharedUnit
from rtlm.hw.hls.phase import Phase, last_uses
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

    Attributes
    ----------
    i : In(stream.Signature(StructLayout))
        Arguments by name, ``last``, ``tag``, ``release``.
    <memory> : In(stream.Signature(StructLayout))
        For each memory, by its name, the words to load (:class:`.banks.LoadedMemory`).
    o : Out(stream.Signature(StructLayout))
        Results by name, ``last``, ``tag`` (of the packet's last beat, when there is one beat a packet).
    too_long : Out(1)
        ``max_length`` beats came without ``last``; holds until reset. Only where there is a longest packet.
    busy : Out(1)
        Something inside is on its way: a beat in a pipeline, or a whole packet in a FIFO. From registers only. While it
        and ``i.valid`` are low no register changes; what then waits in a FIFO waits for the rest of its packet. Only
        if asked for.

    Raises
    ------
    ValueError
        If the kernel needs ``max_length`` and it is missing or not positive.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        max_length: int | None = None,
        tag: Any = None,
        framing: bool = False,
        busy: bool = False,
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
        extra: dict[str, Any] = ({"last": 1} if self.framing else {}) | ({} if tag is None else {"tag": tag})
        self.memories = {
            name: LoadedMemory(
                leaves(name, type_.item),
                type_.depth,
                plan.lanes if name in plan.striped else 1,
                sum(net.memory == name for net in plan.phases[0].words.values()),
                plan.directives.bind.get(name, ""),
            )
            for name, type_ in plan.kernel.memories.items()
            if any(v.attrs["memory"].name == name for v in plan.graph.reads)
        }
        release = {"release": 1} if self.memories else {}
        arguments = {v.attrs["name"]: self._field(v) for v in plan.graph.args}
        results = {name: self._field(r) for name, r in zip(plan.kernel.results, plan.fields, strict=True)}
        super().__init__(
            {
                "i": In(stream.Signature(data.StructLayout(arguments | extra | release))),
                "o": Out(stream.Signature(data.StructLayout(results | extra))),
                **({"too_long": Out(1)} if self._limited else {}),
                **({"busy": Out(1)} if busy else {}),
                **{name: In(stream.Signature(loaded.i.payload.shape())) for name, loaded in self.memories.items()},
            }
        )

    def _field(self, v) -> Any:
        return data.ArrayLayout(unsigned(v.type.width), self.plan.lanes) if v.per_lane else unsigned(v.type.width)

    def elaborate(self, platform) -> Module:
        """Connect the phases."""
        m = Module()
        plan = self.plan
        units = [
            _PhaseUnit(
                phase,
                packet_end=following is not None and not phase.every_beat,
                framing=self.framing,
                tag=self.tag_shape,
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
        refused = self._count_beats(m) if self._limited else Const(0, 1)
        if self.memories:
            refused = refused | self._load(m, first)
        m.d.comb += [first.i_valid.eq(self.i.valid & ~refused), self.i.ready.eq(first.i_ready & ~refused)]
        for name in ("last", "tag"):
            if hasattr(first, name):
                m.d.comb += getattr(first, name).eq(Value.cast(self.i.payload[name]))
        outputs = iter(final.outputs)
        for name, r in zip(plan.kernel.results, plan.fields, strict=True):
            for lane in plan.lane_indices(r):
                target = self.o.payload[name]
                m.d.comb += (target if lane is None else target[lane]).eq(next(outputs))
        for name in ("last", "tag"):
            if hasattr(final, name):
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

    def _load(self, m: Module, first: _PhaseUnit) -> Value:
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

    def _count_beats(self, m: Module) -> Signal:
        """Watch the length of packets: one that outgrew the FIFO would wait for its own end for ever."""
        length = Signal(range(max(2, self._longest)), name="packet_beats")
        with m.If(self.i.valid & self.i.ready):
            with m.If(self.i.payload.last):
                m.d.sync += length.eq(0)
            with m.Elif(length == self._longest - 1):
                m.d.sync += self.too_long.eq(1)
            with m.Else():
                m.d.sync += length.eq(length + 1)
        return self.too_long

    def _join(self, m: Module, a: _PhaseUnit, b: _PhaseUnit) -> list[Value]:
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
            for name in ("last", "tag"):
                if hasattr(a, name):
                    m.d.comb += getattr(b, name).eq(getattr(a, f"o_{name}"))
            return []
        tail = [getattr(a, f"o_{name}") for name in ("last", "tag") if hasattr(a, name)]
        into = Cat(*(a.result(key) for key in elements), *tail)
        depth = 2 * self._longest + phase.stages + b.phase.stages
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
            Cat(*(b.ports[key] for key in elements), *(getattr(b, n) for n in ("last", "tag") if hasattr(b, n))).eq(
                beats.r_data
            ),
            Cat(*(b.ports[key] for key in constants)).eq(results.r_data),
        ]
        return [results.level != 0]


class _PhaseUnit(wiring.Component):
    """One pipeline with its valid bits, enables and accumulators."""

    def __init__(self, phase: Phase, *, packet_end: bool, framing: bool, tag: Shape | None):
        self.phase, self.packet_end = phase, packet_end
        self.ports = {key: Signal(net.shape, name=f"i_{net.name}") for key, net in phase.inputs.items()}
        self.outputs = [Signal(net.shape, name=f"o_{i}") for i, net in enumerate(phase.outputs[: self._plain()])]
        self.i_valid, self.i_ready, self.o_valid, self.o_ready = (
            Signal(name=n) for n in ("i_valid", "i_ready", "o_valid", "o_ready")
        )
        if framing:
            self.last, self.o_last = Signal(name="i_last"), Signal(name="o_last")
        if tag is not None:
            self.tag, self.o_tag = Signal(tag, name="i_tag"), Signal(tag, name="o_tag")
        self.active = Signal()  # High while a beat is in the pipeline, and a cycle longer.
        self.move = Signal()  # A cycle in which the pipeline moves.
        self.waiting = [Signal(name="waiting")] if phase.interval > 1 else []  # The next beat may not follow yet.
        self.slot = Signal(range(phase.interval), name="slot")
        self.turns: list[list] = [[] for _ in range(phase.interval)]
        self.words = sorted(phase.words.values(), key=lambda net: net.stage)
        if self.words:
            self.release = Signal(name="i_release")
        self._ports = {
            id(net): (
                Signal(max(1, net.args[0].width), name=f"{net.memory}_address{n}"),
                Signal(net.shape, name=f"{net.memory}_word{n}"),
                Signal(name=f"{net.memory}_release{n}"),
            )
            for n, net in enumerate(self.words)
        }
        self.accumulators = {
            id(v): Signal(v.type.shape, name=f"accumulator{i}") for i, (v, _) in enumerate(phase.reductions)
        }
        super().__init__({})

    def _plain(self) -> int:
        return len(self.phase.outputs) - len(self.phase.reductions)

    def result(self, key: tuple[int, int | None]) -> Value:
        """Output signal of a value that goes on."""
        if key[0] in self.accumulators:
            return self.accumulators[key[0]]
        net = self.phase.nets[key]
        return next(s for s, n in zip(self.outputs, self.phase.outputs, strict=False) if n is net)

    def reads(self, memory: str) -> list[tuple[Signal, Signal, Signal]]:
        """Places that read a memory, as a beat passes them: address, word, release."""
        return [self._ports[id(net)] for net in self.words if net.memory == memory]

    def elaborate(self, platform) -> Module:
        m = Module()
        phase = self.phase
        stages = phase.stages
        taken = Signal(name="taken") if self.waiting else self.i_valid
        valid = [taken, *(Signal(name=f"valid{k}") for k in range(1, stages + 1))]
        enable = Signal()
        m.d.comb += [
            enable.eq(~self.o_valid | self.o_ready),
            self.i_ready.eq(enable & ~self.waiting[0] if self.waiting else enable),
            self.o_valid.eq(valid[stages] & (self.o_last if self.packet_end else 1)),
        ]
        # One enable for everything, off while the pipeline is empty: delays become shift-register primitives (which
        # have one enable), and a simulator skips an idle pipeline with one branch.
        move = self.move
        m.d.sync += self.active.eq(Cat(*valid, *self.waiting).any())
        m.d.comb += move.eq(enable & (taken | self.active))
        updates: list[list] = [[] for _ in range(stages)]
        self.at: dict[tuple[int, int], Value] = {}
        for name in ("last", "tag"):
            if hasattr(self, name):
                self._delay(getattr(self, name), getattr(self, f"o_{name}"), name, updates)
        with m.If(move):
            self._first_beats(m, valid)
        self._nets(m, updates)
        if self.waiting:
            self._slots(m, taken)
        if self.words:
            self._delay(self.release, self.release, "release", updates)
            for net in self.words:
                _, _, free = self._ports[id(net)]
                m.d.comb += free.eq(move & valid[net.reads_at] & self.release_at[net.reads_at])
        sums: list = []
        if phase.reductions:
            self._reductions(m, sums)
        with m.If(move):
            m.d.sync += [b.eq(a) for a, b in pairwise(valid)]
            for statements in updates:
                m.d.sync += statements
            with m.If(valid[phase.depth]):
                m.d.sync += sums
            for state in phase.builder.states:
                with m.If(valid[state.write_stage]):
                    m.d.sync += self.state_registers[id(state)].eq(self._value(state.written, state.write_stage))
        for net, port in zip(phase.outputs, self.outputs, strict=False):
            m.d.comb += port.eq(self._value(net, stages))
        if hasattr(self, "last"):
            m.d.comb += self.o_last.eq(self.last_at[stages])
        if hasattr(self, "tag"):
            m.d.comb += self.o_tag.eq(self.tag_at[stages])
        return m

    def _slots(self, m: Module, taken: Signal) -> None:
        """Count the cycles of the interval: beats enter in the first, and are in stage s in cycle s modulo n."""
        last = self.phase.interval - 1
        m.d.comb += [self.waiting[0].eq(self.slot != 0), taken.eq(self.i_valid & (self.slot == 0))]
        with m.If(self.move):
            m.d.sync += self.slot.eq(Mux(self.slot == last, 0, self.slot + 1))
        for turn, statements in enumerate(self.turns):
            with m.If(self.move & (self.slot == turn)):
                m.d.sync += statements

    def _first_beats(self, m: Module, valid: list) -> None:
        """For the stages that read states, whether the beat is a packet's first."""
        self.first_at: dict[int, Signal] = {}
        for stage in sorted({state.read.stage for state in self.phase.builder.states}):
            first = self.first_at[stage] = Signal(init=1, name=f"first{stage}")
            with m.If(valid[stage]):
                m.d.sync += first.eq(self.last_at[stage])
        self.state_registers = {
            id(state): Signal(state.read.shape, name=f"state{n}", reset_less=True)
            for n, state in enumerate(self.phase.builder.states)
        }

    def _value(self, net: Net, stage: int) -> Value:
        return net.source if net.is_const else self.at[id(net), stage]

    def _nets(self, m: Module, updates: list[list]) -> None:
        """Signals of every live net from the stage that computes it to the last that reads it."""
        ends = last_uses(self.phase)
        keys = {id(net): key for key, net in self.phase.inputs.items()}
        operands: list[tuple[SharedUnit, int, Signal]] = []
        for number, net in enumerate(self.phase.builder.nets):
            if id(net) not in ends:
                continue
            if id(net) in keys:
                value = self.ports[keys[id(net)]]
            elif net.rom is not None:
                value = self._rom(m, net, net.rom, number)
            elif net.state is not None:
                value = Signal(net.shape, name=f"state_{number}")
                held = self.state_registers[id(net.state)]
                m.d.comb += value.eq(Mux(self.first_at[net.stage], Const(net.state.initial, net.width), held))
            elif net.unit is not None:
                value = Signal(net.shape, name=f"{net.name}_{number}")
                operands.append((net.unit, net.unit.inputs.index(net), value))
            elif net.taker is not None:
                value = self.at[id(net.taker.out), net.taker.out.stage]
            elif net.memory is not None:
                address, value, _ = self._ports[id(net)]
                m.d.comb += address.eq(self._value(net.args[0], net.reads_at))
            else:
                assert net.function, "a net that is neither input nor table is computed"
                value = Value.cast(net.function(*(self._value(a, net.stage) for a in net.args)))
                if net.time > 0 and net.uses > 1:
                    signal = Signal(net.shape, name=f"{net.name}_{number}")
                    m.d.comb += signal.eq(value)
                    value = signal
            self.at[id(net), net.stage] = value
            for stage in range(net.stage, ends[id(net)]):
                if net.flows or (stage - net.stage) % self.phase.interval == 0:
                    register = Signal(net.shape, name=f"{net.name}_{number}_s{stage + 1}", reset_less=True)
                    # What comes once in an interval is held for as long.
                    (updates[stage] if net.flows else self._turn(stage, updates)).append(register.eq(value))
                    value = register
                self.at[id(net), stage + 1] = value
        for unit, place, value in operands:
            with m.Switch(self.slot):
                for turn, (stage, ports) in unit.turns.items():
                    if id(ports[place]) not in ends:
                        continue  # nobody reads the result of this turn
                    with m.Case(turn):
                        m.d.comb += value.eq(self._value(ports[place], stage))

    def _turn(self, stage: int, updates: list[list]) -> list:
        """Updates behind a stage, in the cycle of the interval in which a beat can be there."""
        return self.turns[stage % self.phase.interval] if self.waiting else updates[stage]

    def _rom(self, m: Module, net: Net, words: list[int], number: int) -> Value:
        table = memory.Memory(shape=net.shape, depth=len(words), init=words)
        m.submodules[f"table_{number}"] = table
        port = table.read_port(domain="comb")
        m.d.comb += port.addr.eq(self._value(net.args[0], net.stage))
        return port.data

    def _delay(self, source: Value, target: Signal, name: str, updates: list[list]) -> None:
        values = [source]
        for stage in range(len(updates)):
            register = Signal(source.shape(), name=f"{name}_s{stage + 1}", reset_less=name == "tag")
            updates[stage].append(register.eq(values[-1]))
            values.append(register)
        setattr(self, f"{name}_at", values)

    def _reductions(self, m: Module, updates: list) -> None:
        """Accumulators behind the last stage; a packet's first beat loads them."""
        depth = self.phase.depth
        first = Signal(init=1)
        updates.append(first.eq(self.last_at[depth]))
        for v, net in self.phase.reductions:
            x, total = self._value(net, depth), self.accumulators[id(v)]
            if v.op == "reduce_last":
                updates.append(total.eq(x))
            elif v.op == "reduce_max":
                updates.append(total.eq(Mux(first | (x > total), x, total)))
            elif not v.attrs["saturate"]:
                updates.append(total.eq(Mux(first, 0, total) + x))
            else:
                width = v.type.width
                over, running = Signal(name=f"over_{width}"), Signal(width, name="running")
                sum_ = Signal(max(width, len(x)) + 1, name="sum")
                m.d.comb += [
                    sum_.eq(Mux(first, 0, running) + x),
                    total.eq(Mux(over, Const(v.type.high, width), running)),
                ]
                updates += [running.eq(sum_), over.eq((over & ~first) | sum_[width:].any())]
