"""The whole accelerator, from one configuration."""

from collections.abc import Callable
from functools import partial

from amaranth.hdl import Cat, ClockDomain, Module, Mux, ResetInserter, ResetSignal, Shape, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2
from rtlm.hw.attention.unit import AttentionUnit
from rtlm.hw.common.clock_gate import add_unit
from rtlm.hw.common.register_slice import Handover, RegisterSlice
from rtlm.hw.common.stages import held_flag, registered
from rtlm.hw.control.counters import ACTIVITY, COUNTERS, EVENTS, Counters, Requests
from rtlm.hw.control.errors import Error
from rtlm.hw.control.legality import STEP_RULES, StepLimits
from rtlm.hw.control.sequencer import Fault, Sequencer
from rtlm.hw.control.step_check import StepCheck
from rtlm.hw.matmul.activations import ActivationBanks
from rtlm.hw.matmul.unit import MatrixUnit
from rtlm.hw.memory import AXI4, AXI4Lite, BusFault, StreamReader, WordWriter, forward
from rtlm.hw.params import AcceleratorParams
from rtlm.hw.registers import RegisterFile
from rtlm.hw.registers.accelerator import ID_VALUE, VERSION_VALUE, register_map
from rtlm.hw.unit_params import unit_params
from rtlm.hw.vector.unit import VectorEngine

REGISTER_ADDRESS_BITS = 16

RESET_CYCLES = 3
"""Cycles for which a reset holds the units and drains the bus masters."""

__all__ = ["Accelerator", "AcceleratorParams"]


class Accelerator(wiring.Component):
    """LLM decode in gates: embedding, decoder layers, output projection and arg-max.

    Protocol: the host writes token, position and KV slot of each column over AXI4-Lite and sets CONTROL.start; `irq`
    rises when the step has ended, with STATUS.done or STATUS.error. An error stops the step; CONTROL.reset waits for
    outstanding bus transfers and brings everything but the registers back to its initial state.
    Latency and throughput: a step reads every weight once; see the counters.
    Numerics: docs/numerics.md. Every configuration gives the same bits.

    Parameters
    ----------
    params
        Sizes; see `AcceleratorParams`.

    Attributes
    ----------
    clk, rst : In(1)
        Clock; reset, synchronous, for one cycle or longer.
    s_axi : In(AXI4Lite)
        Registers (`rtlm.hw.registers.accelerator`).
    m0_axi, m1_axi ... : Out(AXI4)
        Memory ports.
    activity : Out
        What it is doing in this cycle, for a logic analyser or a simulator: `rtlm.hw.control.counters.ACTIVITY`.
    irq : Out(1)
        High from the end of a step until CONTROL.clear_done, .start or .reset.
    """

    def __init__(self, params: AcceleratorParams):
        self.params = params
        port = AXI4(address_bits=params.address_bits, data_bits=params.port_bits)
        super().__init__(
            {
                "clk": In(1),
                "rst": In(1),
                "s_axi": In(AXI4Lite(address_bits=REGISTER_ADDRESS_BITS)),
                **{f"m{index}_axi": Out(port) for index in range(params.ports)},
                "activity": Out(Shape.cast(ACTIVITY)),
                "irq": Out(1),
            }
        )

    def units(self) -> dict[str, wiring.Component]:
        """Make the accelerator's units, by the names that they have in the Verilog."""
        params = self.params
        sizes = unit_params(params)
        return {
            "reader": StreamReader(sizes.reader),
            "writer": WordWriter(sizes.writer),
            "sequencer": Sequencer(sizes.sequencer),
            "banks": ActivationBanks(columns=params.columns, max_k_blocks=params.max_k_blocks),
            "matmul": MatrixUnit(sizes.matmul),
            "attention": AttentionUnit(sizes.attention),
            "vector": VectorEngine(sizes.vector),
        }

    def elaborate(self, platform: object) -> Module:
        """Connect the units."""
        m = Module()
        params = self.params
        self._clock(m)
        m.submodules.registers = registers = RegisterFile(
            register_map(params.columns), address_bits=REGISTER_ADDRESS_BITS
        )
        m.submodules.counters = counters = Counters()
        self._connect_host(m, registers)

        clear = Signal()
        units = self.units()
        wakes = {
            "attention": units["attention"].i_command.valid | units["attention"].i_local.valid,
            "writer": units["writer"].i.valid,
        }
        for name, unit in units.items():
            # Reader and writer finish what is on the bus; they have their own way back.
            drains = name in ("reader", "writer")
            own = clear if drains else _copy(m, clear, name)
            part = unit if drains else ResetInserter(own)(unit)
            if name in wakes:
                add_unit(m, name, part, params.clock_gating, wake=wakes[name] | own, active=~unit.idle)
            else:
                m.submodules[name] = part
        reader, writer, sequencer = units["reader"], units["writer"], units["sequencer"]
        banks, matmul, attention, vector = units["banks"], units["matmul"], units["attention"], units["vector"]
        self._connect_ports(m, reader, writer)
        slices = self._connect_streams(m, units, clear)
        start, error = self._control(m, registers, units, slices, clear)
        m.d.comb += [
            sequencer.start.eq(start),
            sequencer.columns_active.eq(registers.columns),
            sequencer.program_base.eq(registers.program_base),
            sequencer.program_words.eq(registers.program_words),
            sequencer.program_crc.eq(registers.program_crc),
            sequencer.matmul_idle.eq(registered(m, matmul.idle, "matmul_idle")),
            sequencer.matmul_blocked.eq(registered(m, matmul.blocked_activation, "matmul_blocked")),
            sequencer.vector_idle.eq(registered(m, vector.idle, "vector_idle")),
            sequencer.attention_idle.eq(registered(m, attention.idle, "attention_idle")),
            sequencer.attention_phase.eq(registered(m, attention.phase, "attention_phase")),
            sequencer.writer_idle.eq(registered(m, writer.idle, "writer_idle")),
            banks.clear.eq(sequencer.clear_banks),
            vector.columns_active.eq(registers.columns),
            counters.clear.eq(start),
            counters.running.eq(registered(m, sequencer.busy & (error == Error.NONE), "running")),
            counters.operator.eq(registered(m, sequencer.operator, "operator")),
        ]
        for c in range(params.columns):
            m.d.comb += [
                sequencer.token[c].eq(registers.token[c]),
                sequencer.position[c].eq(registers.position[c]),
                sequencer.history[c].eq(registers.history[c]),
                sequencer.kv_base[c].eq(registers.kv_base[c]),
                attention.history[c].eq(registers.history[c]),
                attention.local_first[c].eq(registers.local_first[c]),
                *([attention.position[c].eq(registers.position[c])] if params.windows else []),
                vector.kv_base[c].eq(registers.kv_base[c]),
                vector.position[c].eq(registers.position[c]),
                registers.best[c].eq(vector.best_index[c]),
                registers.best_value[c].eq(vector.best_value[c]),
            ]
        events = {
            "matmul_busy": matmul.busy,
            "matmul_starved": matmul.starved,
            "matmul_blocked_activation": matmul.blocked_activation,
            "matmul_blocked_output": matmul.blocked_output,
            "attention_busy": attention.busy,
            "attention_starved": attention.starved,
            "vector_busy": vector.busy,
            "words": reader.o_words.valid & reader.o_words.ready,
            "reader_no_room": reader.starved_credit,
            "reader_no_request": reader.no_segment,
        }
        m.d.comb += [counters.events[name].eq(registered(m, events[name], f"{name}_event")) for name in EVENTS]
        activity = data.View(ACTIVITY, self.activity)
        m.d.comb += [activity.running.eq(counters.running), activity.operator.eq(counters.operator)]
        ended = registered(m, sequencer.ended, "ended")
        with m.If(counters.events.reader_no_room):
            m.d.comb += activity.requests.eq(Requests.NO_ROOM)
        with m.Elif(counters.events.reader_no_request):
            m.d.comb += activity.requests.eq(Mux(ended, Requests.ENDED, Requests.NOTHING))
        for i, name in enumerate(COUNTERS):
            m.d.comb += getattr(registers, name.lower()).eq(counters.values[i])
        return m

    def _clock(self, m: Module) -> None:
        """Make the clock domain; its reset is a register, so that no logic hangs on the input (a simulator's too)."""
        m.domains.sync = sync = ClockDomain(local=True)
        m.domains.boot = boot = ClockDomain(local=True, reset_less=True)
        m.d.comb += [sync.clk.eq(self.clk), boot.clk.eq(self.clk)]
        m.d.boot += sync.rst.eq(self.rst)

    def _connect_host(self, m: Module, registers: RegisterFile) -> None:
        """Connect the host's bus; nothing is taken or answered while the registers are still held in reset."""
        outside, inside = self.s_axi, registers.s_axi
        for name, member in inside.signature.members.items():
            source, sink = (inside, outside) if member.flow is Out else (outside, inside)
            value = getattr(source, name)
            if name in ("awready", "wready", "arready", "bvalid", "rvalid"):
                value = value & ~ResetSignal("sync")
            m.d.comb += getattr(sink, name).eq(value)

    def _connect_ports(self, m: Module, reader: StreamReader, writer: WordWriter) -> None:
        """Join reader and writer to full AXI4 ports."""
        for index in range(self.params.ports):
            port = getattr(self, f"m{index}_axi")
            forward(m, getattr(reader, f"m{index}_axi"), port)
            forward(m, getattr(writer, f"m{index}_axi"), port)
            # The reset is a register: after one of a single cycle nothing may be taken that was offered before it.
            with m.If(ResetSignal("sync")):
                m.d.comb += [port.arvalid.eq(0), port.awvalid.eq(0), port.wvalid.eq(0)]

    def _connect_streams(
        self, m: Module, units: dict[str, wiring.Component], clear: Signal
    ) -> dict[str, wiring.Component]:
        """Connect what flows between the units, and return the register slices between them.

        Words have theirs in the sequencer's router. What is always taken has its registers in the unit it comes from.
        A command goes over in one cycle: the bank that it fills is cleared when its unit has it.
        """
        reader, writer, sequencer = units["reader"], units["writer"], units["sequencer"]
        banks, matmul, attention, vector = units["banks"], units["matmul"], units["attention"], units["vector"]
        between: dict[str, tuple[stream.Interface, stream.Interface, Callable[[object], wiring.Component]]] = {
            "segments": (sequencer.o_segments, reader.i_segments, partial(RegisterSlice, entries=1)),
            "matmul_command": (sequencer.o_matmul, matmul.i_command, Handover),
            "vector_command": (sequencer.o_vector, vector.i_command, Handover),
            "attention_command": (sequencer.o_attention, attention.i_command, Handover),
            "results": (matmul.o, vector.i_results, RegisterSlice),
            "attention_results": (attention.o, vector.i_attention, RegisterSlice),
            "writes": (vector.o_writes, writer.i, partial(RegisterSlice, entries=1)),
        }
        slices, own = {}, _copy(m, clear, "slices")
        for name, (source, sink, make) in between.items():
            slices[name] = part = make(source.payload.shape())
            m.submodules[f"{name}_slice"] = ResetInserter(own)(part)
            wiring.connect(m, source, part.i)
            m.d.comb += [sink.valid.eq(part.o.valid), part.o.ready.eq(sink.ready)]
            # Addresses may be wider on the bus's side.
            m.d.comb += [sink.p[field].eq(part.o.p[field]) for field, _ in source.payload.shape()]
        wiring.connect(m, reader.o_words, sequencer.i_words)
        wiring.connect(m, reader.o_program, sequencer.i_program)
        wiring.connect(m, sequencer.o_matmul_words, matmul.i_words)
        wiring.connect(m, sequencer.o_attention_words, attention.i_words)
        wiring.connect(m, sequencer.o_vector_words, vector.i_words)
        wiring.connect(m, matmul.read, banks.read)
        wiring.connect(m, vector.o_bank, banks.i_write)
        wiring.connect(m, vector.o_scale, banks.i_scale)
        wiring.connect(m, vector.o_local, attention.i_local)
        return slices

    def _control(
        self,
        m: Module,
        registers: RegisterFile,
        units: dict[str, wiring.Component],
        slices: dict[str, wiring.Component],
        clear: Signal,
    ) -> tuple[Signal, Signal]:
        """Start, end, errors and reset; give the start pulse and the error."""
        reader, writer, sequencer = units["reader"], units["writer"], units["sequencer"]
        control, status = registers.control, registers.status
        begins, start, done, error = Signal(), Signal(), Signal(), Signal(Error)
        m.submodules.step_check = check = StepCheck(
            StepLimits(columns=self.params.columns, context_limit=self.params.context_limit)
        )
        m.d.comb += check.columns.eq(registers.columns)
        for c in range(self.params.columns):
            m.d.comb += [
                check.position[c].eq(registers.position[c]),
                check.history[c].eq(registers.history[c]),
                check.local_first[c].eq(registers.local_first[c]),
            ]
        unfit, astray = check.broken.any(), []
        if units["vector"].params.write_beats < self.params.beats_per_word:
            # Words are written in parts: the writer does not see whether a slot begins at one.
            within = exact_log2(self.params.beats_per_word)
            odd = [registers.kv_base[c][:within].any() for c in range(self.params.columns)]
            astray = [registered(m, Cat(odd).any(), "astray")]
            unfit = unfit | astray[0]
        resetting, busy = Signal(), Signal()
        reset_cycles = Signal(range(RESET_CYCLES + 1))
        m.d.comb += [
            registers.id.eq(ID_VALUE),
            registers.version.eq(VERSION_VALUE),
            registers.config_hash_low.eq(self.params.config_hash & 0xFFFFFFFF),
            registers.config_hash_high.eq(self.params.config_hash >> 32),
            registers.error.eq(error),
            status.busy.eq(registered(m, (begins | busy) & (error == Error.NONE), "status_busy")),
            status.done.eq(done),
            status.error.eq(registered(m, error != Error.NONE, "status_error")),
            status.resetting.eq(resetting),
            self.irq.eq(done | (error != Error.NONE)),
            reader.drain.eq(clear),
            writer.drain.eq(clear),
            reader.limit.eq(registers.limit),
            writer.limit.eq(registers.limit),
            busy.eq(sequencer.busy | start),
            begins.eq(control.start & ~busy & ~unfit & (error == Error.NONE) & ~resetting),
        ]
        m.d.sync += [
            start.eq(begins),
            # Also behind an error, until a reset: what still runs must not meet other registers.
            registers.locked.eq(begins | busy | resetting),
        ]
        with m.If(begins):
            m.d.sync += [
                sequencer.no_logits.eq(control.no_logits),
                sequencer.store_logits.eq(control.store_logits),
            ]
        with m.If(registered(m, sequencer.done, "step_done")):
            m.d.sync += done.eq(1)
        with m.If(control.clear_done | begins):
            m.d.sync += done.eq(0)

        idle_cycles = Signal(32)
        moves = [each.valid & each.ready for each in (reader.o_words, slices["writes"].i)]
        m.d.sync += idle_cycles.eq(Mux(Cat(moves).any() | ~busy, 0, idle_cycles + 1))
        causes = [
            (sequencer.fault == Fault.ILLEGAL_INSTRUCTION, Error.ILLEGAL_INSTRUCTION),
            (sequencer.fault == Fault.PROGRAM_CHECKSUM, Error.PROGRAM_CHECKSUM),
            (reader.error == BusFault.RESPONSE, Error.READ_RESPONSE),
            (reader.error == BusFault.LIMIT, Error.READ_LIMIT),
            (reader.error == BusFault.ALIGNMENT, Error.READ_ALIGNMENT),
            (writer.error == BusFault.RESPONSE, Error.WRITE_RESPONSE),
            (writer.error == BusFault.LIMIT, Error.WRITE_LIMIT),
            (writer.error == BusFault.ALIGNMENT, Error.WRITE_ALIGNMENT),
            ((idle_cycles == registers.watchdog) & (registers.watchdog != 0), Error.WATCHDOG),
            (control.start & busy, Error.START_WHILE_BUSY),
            *((control.start & check.broken[i], rule.error) for i, rule in enumerate(STEP_RULES)),
            *((control.start & each, Error.WRITE_ALIGNMENT) for each in astray),
        ]
        with m.If((error == Error.NONE) & ~resetting):
            for cause, code in reversed(causes):
                with m.If(cause):
                    m.d.sync += error.eq(code)
        quiet = [registered(m, unit.idle, f"{name}_quiet") for name, unit in (("reader", reader), ("writer", writer))]
        with m.If(clear):
            m.d.sync += [reset_cycles.eq(reset_cycles - 1), clear.eq(reset_cycles != 1)]
        with m.Elif(resetting & Cat(quiet).all()):
            m.d.sync += resetting.eq(0)
        with m.If(control.reset):
            m.d.sync += [
                resetting.eq(1),
                clear.eq(1),
                reset_cycles.eq(RESET_CYCLES),
                error.eq(Error.NONE),
                done.eq(0),
            ]
        return start, error


def _copy(m: Module, clear: Signal, name: str) -> Signal:
    """Return a unit's own register of the reset, a cycle later; a tool must not merge it with those of the others."""
    copy = held_flag(m, clear, f"{name}_clear")
    copy.attrs["keep"] = "true"
    return copy
