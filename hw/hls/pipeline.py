"""One pipeline in gates: valid bits, registers, turns, states and accumulators."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from amaranth.hdl import Array, Cat, Const, Module, Mux, Shape, ShapeLike, Signal, Value
from amaranth.lib import memory, wiring
from rtlm.hw.hls.builder import Net, SharedUnit
from rtlm.hw.hls.phase import Phase, last_uses


class Pipeline(wiring.Component):
    """Pipeline of one phase; :class:`.emit.KernelComponent` connects it, by the signals that are its attributes.

    Protocol: ``i_valid``, ``i_ready``, ``o_valid``, ``o_ready`` as of a stream. All registers move together, while the
    last one is empty or taken.

    Parameters
    ----------
    phase
        What it computes.
    packet_end
        Only a packet's last beat comes out.
    framing
        Whether beats have ``last``.
    tag
        Shape of the tag, or None.
    keys
        Packets that interleave; beats have a ``key`` where there is more than one.
    """

    def __init__(self, phase: Phase, *, packet_end: bool, framing: bool, tag: Shape | None, keys: int):
        self.phase, self.packet_end, self.keys = phase, packet_end, keys
        self.ports = {key: Signal(net.shape, name=f"i_{net.name}") for key, net in phase.inputs.items()}
        self.outputs = [Signal(net.shape, name=f"o_{i}") for i, net in enumerate(phase.outputs[: self._plain()])]
        self.i_valid, self.i_ready, self.o_valid, self.o_ready = (
            Signal(name=n) for n in ("i_valid", "i_ready", "o_valid", "o_ready")
        )
        if framing:
            self.last, self.o_last = Signal(name="i_last"), Signal(name="o_last")
        if tag is not None:
            self.tag, self.o_tag = Signal(tag, name="i_tag"), Signal(tag, name="o_tag")
        if keys > 1:
            self.key, self.o_key = Signal(range(keys), name="i_key"), Signal(range(keys), name="o_key")
        self.beside = [name for name in ("last", "tag", "key") if hasattr(self, name)]
        """What goes along with each beat, beside the values."""
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

    def elaborate(self, platform: object) -> Module:
        """Build registers from stage to stage, and what works between them."""
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
        for name in self.beside:
            self._delay(getattr(self, name), name, updates)
        with m.If(move):
            self._first_beats(m, valid)
        self._nets(m, updates)
        if self.waiting:
            self._slots(m, taken, valid)
        if self.words:
            self._delay(self.release, "release", updates)
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
                register = self._of_key(self.state_registers[id(state)], state.write_stage)
                with m.If(valid[state.write_stage]):
                    m.d.sync += register.eq(self._value(state.written, state.write_stage))
        for net, port in zip(phase.outputs, self.outputs, strict=False):
            m.d.comb += port.eq(self._value(net, stages))
        for name in self.beside:
            m.d.comb += getattr(self, f"o_{name}").eq(getattr(self, f"{name}_at")[stages])
        return m

    def _slots(self, m: Module, taken: Signal, valid: list) -> None:
        """Count the cycles of the interval: beats enter in the first, and are in stage s in cycle s modulo n.

        An empty pipeline waits in the first.
        """
        last = self.phase.interval - 1
        m.d.comb += [self.waiting[0].eq(self.slot != 0), taken.eq(self.i_valid & (self.slot == 0))]
        with m.If(self.move & Cat(*valid, *self.waiting).any()):
            m.d.sync += self.slot.eq(Mux(self.slot == last, 0, self.slot + 1))
        for turn, statements in enumerate(self.turns):
            with m.If(self.move & (self.slot == turn)):
                m.d.sync += statements

    def _first_beats(self, m: Module, valid: list) -> None:
        """For the stages that read states, whether the beat is a packet's first."""
        self.first_at: dict[int, Signal] = {}
        for stage in sorted({state.read.stage for state in self.phase.builder.states}):
            first = self.first_at[stage] = self._of_key(self._registers(1, f"first{stage}", init=1), stage)
            with m.If(valid[stage]):
                m.d.sync += first.eq(self.last_at[stage])
        self.state_registers = {
            id(state): self._registers(state.read.shape, f"state{n}", reset_less=True)
            for n, state in enumerate(self.phase.builder.states)
        }

    def _registers(self, shape: ShapeLike, name: str, **options: Any) -> list[Signal]:
        """One register for each packet that interleaves."""
        if self.keys == 1:
            return [Signal(shape, name=name, **options)]
        return [Signal(shape, name=f"{name}_key{key}", **options) for key in range(self.keys)]

    def _of_key(self, registers: list[Signal], stage: int) -> Any:
        """The one that belongs to the packet whose beat is in a stage."""
        return registers[0] if self.keys == 1 else Array(registers)[self.key_at[stage]]

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
                held = self._of_key(self.state_registers[id(net.state)], net.stage)
                m.d.comb += value.eq(Mux(self.first_at[net.stage], Const(net.state.initial, net.shape), held))
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
                if net.delay > 0 or (net.time > 0 and net.uses > 1):  # an expression would be repeated where it is read
                    attributes = {"use_dsp": net.use_dsp} if net.use_dsp else {}
                    signal = Signal(net.shape, name=f"{net.name}_{number}", attrs=attributes)
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
                    if not any(id(port) in ends for port in ports):
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

    def _delay(self, source: Value, name: str, updates: list[list]) -> None:
        values = [source]
        for stage in range(len(updates)):
            register = Signal(source.shape(), name=f"{name}_s{stage + 1}", reset_less=name in ("tag", "key"))
            updates[stage].append(register.eq(values[-1]))
            values.append(register)
        setattr(self, f"{name}_at", values)

    def _reductions(self, m: Module, updates: list) -> None:
        """Accumulators behind the last stage; a packet's first beat loads them.

        Where packets interleave each has its own, and the one of the beat is also kept as the result: another packet's
        beat may follow before it is taken.
        """
        depth = self.phase.depth
        first = self._of_key(self._registers(1, "first", init=1), depth)
        updates.append(first.eq(self.last_at[depth]))
        for number, (v, net) in enumerate(self.phase.reductions):
            x, total = self._value(net, depth), self.accumulators[id(v)]
            if v.op == "reduce_last":
                updates.append(total.eq(x))
                continue
            if v.op == "reduce_max":
                kept, results = self._accumulator(total, f"largest{number}")
                new: Value = Mux(first | (x > kept), x, kept)
            elif not v.attrs["saturate"]:
                kept, results = self._accumulator(total, f"sum{number}")
                new = Mux(first, 0, kept) + x
            else:
                width = v.type.width
                over, running = Signal(name=f"over{number}"), Signal(width, name=f"running{number}")
                m.d.comb += total.eq(Mux(over, Const(v.type.high, width), running))
                kept, results = self._accumulator(running, f"sum{number}")
                was_over, over_results = self._accumulator(over, f"sum{number}_over")
                new = Signal(max(width, len(x)) + 1, name=f"new{number}")
                m.d.comb += new.eq(Mux(first, 0, kept) + x)
                updates += [register.eq((was_over & ~first) | new[width:].any()) for register in over_results]
            updates += [register.eq(new) for register in results]

    def _accumulator(self, result: Signal, name: str) -> tuple[Any, list[Any]]:
        """Return what the packet has accumulated, and the registers that take what follows."""
        if self.keys == 1:
            return result, [result]
        kept = self._of_key(self._registers(result.shape(), name, reset_less=True), self.phase.depth)
        return kept, [kept, result]
