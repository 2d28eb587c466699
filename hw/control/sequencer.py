"""The sequencer: fetches the program, runs ahead with memory requests, and hands commands to the units in order."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, enum, fifo, stream, wiring
from amaranth.lib.wiring import In, Out
from rtlm.hw.attention.params import attention_command
from rtlm.hw.attention.unit import AttentionPhase
from rtlm.hw.common.layouts import ADDRESS_BITS, segment_layout
from rtlm.hw.control.attention_walk import AttentionWalk
from rtlm.hw.control.isa import INSTRUCTION, Index, Opcode, Operator, format_code
from rtlm.hw.control.legality import RULES
from rtlm.hw.control.program_fetch import ProgramFetch
from rtlm.hw.control.router import Destination, WordRouter
from rtlm.hw.control.sequencer_params import SequencerParams
from rtlm.hw.matmul.unit import matmul_command
from rtlm.hw.vector.epilogue import Epilogue

ISSUED_INSTRUCTIONS = 8
"""Instructions that wait between decoding and hand-over."""

INDEX_CYCLES = 2
"""Cycles that an address takes longer if it follows the token or the position of a column."""

FACTOR_BITS = 17
"""Bits of a factor that one multiplier of 18 signed bits takes."""

SETTLE_CYCLES = 7
"""Cycles that all units must have been idle before a step counts as done: more than a hand-over between two takes."""


class Fault(enum.Enum, shape=unsigned(2)):
    """Why the sequencer stopped."""

    NONE = 0
    ILLEGAL_INSTRUCTION = 1
    PROGRAM_CHECKSUM = 2


class Sequencer(wiring.Component):
    """Run a program once for each `start`.

    Protocol: `start` for one cycle while `busy` is low. Instructions are fetched in order; each becomes read segments
    (at once, bounded by the reader's credit) and, when the units take them, commands. `done` pulses when END has been
    reached, every unit is idle and all words of the program have been fetched; if `program_crc` is not zero and not
    their CRC, there is a fault instead. `fault` holds its value until reset.
    Latency: an instruction's first segment leaves 3 cycles after the instruction heads the queue, `INDEX_CYCLES` more
    where its address follows a register.
    Throughput: one instruction in 4 cycles (one that is skipped in 1; as many more as its latency), one attention
    segment a cycle, and two cycles between columns, with windows `WINDOW_CYCLES` more.

    Parameters
    ----------
    params
        Sizes.
    """

    def __init__(self, params: SequencerParams):
        self.params = params
        columns = params.columns
        word = unsigned(8 * params.word_bytes)
        super().__init__(
            {
                "start": In(1),
                "no_logits": In(1),
                "store_logits": In(1),
                "columns_active": In(4),
                "program_base": In(ADDRESS_BITS),
                "program_words": In(16),
                "program_crc": In(32),
                "token": In(data.ArrayLayout(32, columns)),
                "position": In(data.ArrayLayout(32, columns)),
                "history": In(data.ArrayLayout(32, columns)),
                "kv_base": In(data.ArrayLayout(ADDRESS_BITS, columns)),
                "busy": Out(1),
                "done": Out(1),
                "fault": Out(Fault),
                "operator": Out(Operator),
                "ended": Out(1),
                "o_segments": Out(stream.Signature(segment_layout())),
                "i_program": In(stream.Signature(word)),
                "i_words": In(stream.Signature(word)),
                "o_matmul_words": Out(stream.Signature(word)),
                "o_attention_words": Out(stream.Signature(word)),
                "o_vector_words": Out(stream.Signature(word)),
                "o_matmul": Out(stream.Signature(matmul_command(params.formats))),
                "o_vector": Out(stream.Signature(params.vector_command)),
                "o_attention": Out(stream.Signature(attention_command(windows=params.windows))),
                "clear_banks": Out(2),
                "matmul_idle": In(1),
                "matmul_blocked": In(1),
                "vector_idle": In(1),
                "attention_idle": In(1),
                "attention_phase": In(AttentionPhase),
                "writer_idle": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the gates."""
        m = Module()
        params = self.params
        m.submodules.queue = queue = fifo.SyncFIFOBuffered(width=INSTRUCTION.size, depth=params.queue_depth)
        m.submodules.issued = issued = fifo.SyncFIFOBuffered(width=INSTRUCTION.size, depth=ISSUED_INSTRUCTIONS)
        m.submodules.router = router = WordRouter(
            word_bits=8 * params.word_bytes, depth=32, entries=params.word_entries
        )
        wiring.connect(m, wiring.flipped(self.i_words), router.i_words)
        wiring.connect(m, router.o_matmul, wiring.flipped(self.o_matmul_words))
        wiring.connect(m, router.o_attention, wiring.flipped(self.o_attention_words))
        wiring.connect(m, router.o_vector, wiring.flipped(self.o_vector_words))

        with m.If(self.start):
            m.d.sync += self.busy.eq(1)
        with m.If(self.done):
            m.d.sync += self.busy.eq(0)

        program = ProgramFetch(m, params, self, queue)
        self._decode(m, queue, issued, router, program)
        self._dispatch(m, issued, program)
        self._attribute(m, router)
        return m

    def _decode(
        self,
        m: Module,
        queue: fifo.SyncFIFOBuffered,
        issued: fifo.SyncFIFOBuffered,
        router: WordRouter,
        program: ProgramFetch,
    ) -> None:
        """Turn instructions into read segments, ahead of their execution."""
        params = self.params
        current = Signal(INSTRUCTION, name="decoded", reset_less=True)
        head = Signal(INSTRUCTION, name="queue_head")
        m.d.comb += head.as_value().eq(queue.r_data)
        index = Signal(32, name="index_value", reset_less=True)
        offset = Signal(ADDRESS_BITS, name="index_offset", reset_less=True)
        base = Signal(ADDRESS_BITS, name="segment_base", reset_less=True)
        segment = Signal(segment_layout(), name="data_segment")
        offered = Signal(name="data_offered")
        accepted = Signal(name="data_accepted")
        # A program word goes first: without instructions nothing else moves.
        m.d.comb += [
            self.o_segments.valid.eq(program.wanted | (offered & router.i_route.ready)),
            self.o_segments.payload.eq(Mux(program.wanted, program.segment.as_value(), segment.as_value())),
            program.granted.eq(program.wanted & self.o_segments.ready),
            accepted.eq(offered & ~program.wanted & self.o_segments.ready & router.i_route.ready),
            router.i_route.valid.eq(accepted),
            router.i_route.payload.words.eq(segment.words),
            router.i_route.payload.operator.eq(current.operator),
        ]
        with m.Switch(current.opcode):
            with m.Case(Opcode.MATMUL):
                m.d.comb += router.i_route.payload.destination.eq(Destination.MATMUL)
            with m.Case(Opcode.ATTENTION):
                m.d.comb += router.i_route.payload.destination.eq(Destination.ATTENTION)
            with m.Default():
                m.d.comb += router.i_route.payload.destination.eq(Destination.VECTOR)

        token, position = (
            Array(ports[c] for c in range(params.columns))[current.column] for ports in (self.token, self.position)
        )
        for_column = (head.epilogue == Epilogue.LOAD_ROPE) | (head.epilogue == Epilogue.EMBED)
        skipped = (head.logits & self.no_logits) | (for_column & (head.column >= self.columns_active))
        index_low, index_high = index[:FACTOR_BITS], index[FACTOR_BITS:]
        beats_low, beats_high = current.aux[:FACTOR_BITS], current.aux[FACTOR_BITS:]
        low = Signal(ADDRESS_BITS, name="product_low", reset_less=True)
        cross_bits = ADDRESS_BITS - FACTOR_BITS
        cross = [Signal(cross_bits, name=f"product_cross_{n}", reset_less=True) for n in range(2)]
        walk = AttentionWalk(m, params, self, current)
        illegal = Signal(name="instruction_illegal")
        with m.FSM(name="decode"):
            with m.State("between programs"):
                m.d.comb += self.ended.eq(1)
                # What follows END in its word is thrown away.
                m.d.comb += queue.r_en.eq(1)
                with m.If(self.start):
                    m.next = "wait for an instruction"
            with m.State("wait for an instruction"), m.If(queue.r_rdy & issued.w_rdy):
                m.d.comb += queue.r_en.eq(1)
                with m.If(~skipped):
                    m.d.sync += current.eq(head)
                    m.next = "look up the index"
            with m.State("look up the index"):
                with m.Switch(current.index):
                    with m.Case(Index.TOKEN):
                        m.d.sync += index.eq(token)
                    with m.Case(Index.POSITION):
                        m.d.sync += index.eq(position)
                    with m.Default():
                        m.d.sync += index.eq(0)
                m.d.comb += walk.begin.eq(1)
                m.d.sync += [offset.eq(0), illegal.eq(self._is_illegal(m, current))]
                m.next = "multiply the index"
                with m.If(current.index == Index.NONE):
                    m.next = "compute the address"
            with m.State("multiply the index"):
                m.d.sync += [
                    low.eq(index_low * beats_low),
                    cross[0].eq(index_low * beats_high),
                    cross[1].eq(index_high * beats_low),
                ]
                m.next = "add the products"
            with m.State("add the products"):
                m.d.sync += offset.eq(low + ((cross[0] + cross[1]) << FACTOR_BITS))
                m.next = "compute the address"
            with m.State("compute the address"):
                m.d.sync += base.eq(current.address + offset)
                passed_on = Signal(INSTRUCTION, name="passed_on")
                m.d.comb += [
                    passed_on.eq(current),
                    passed_on.store.eq(current.store & self.store_logits),
                    issued.w_data.eq(passed_on),
                    issued.w_en.eq(~illegal),
                ]
                with m.Switch(current.opcode):
                    with m.Case(Opcode.LOAD, Opcode.EMBED, Opcode.MATMUL):
                        m.next = "request words"
                    with m.Case(Opcode.ATTENTION):
                        m.next = "request keys and values"
                    if params.post_norms:
                        with m.Case(Opcode.ADD):
                            m.next = "wait for an instruction"
                    with m.Default():
                        m.next = "between programs"
                with m.If(illegal):
                    m.d.sync += self.fault.eq(Fault.ILLEGAL_INSTRUCTION)
                    m.next = "between programs"
            with m.State("request words"):
                m.d.comb += [offered.eq(1), segment.address.eq(base), segment.words.eq(current.words)]
                with m.If(accepted):
                    m.next = "wait for an instruction"
            with m.State("request keys and values"):
                m.d.comb += [
                    offered.eq(walk.valid & ~walk.empty),
                    segment.address.eq(walk.address),
                    segment.words.eq(walk.words),
                    walk.advance.eq(walk.valid & (accepted | walk.empty)),
                ]
                with m.If(walk.finished):
                    m.next = "wait for an instruction"

    @property
    def _executed(self) -> tuple[Opcode, ...]:
        """Opcodes of instructions for a unit."""
        return (Opcode.LOAD, Opcode.EMBED, Opcode.MATMUL, Opcode.ATTENTION, *(Opcode.ADD,) * self.params.post_norms)

    def _is_illegal(self, m: Module, instruction: data.View) -> Signal:
        """Say whether no unit can execute an instruction: unknown opcode, or a broken rule."""
        illegal = Signal(name="rules_broken")
        with m.Switch(instruction.opcode):
            for opcode in self._executed:
                with m.Case(opcode):
                    broken = [rule.broken(instruction, self.params.limits) for rule in RULES if opcode in rule.opcodes]
                    m.d.comb += illegal.eq(Cat(broken).any())
            with m.Case(Opcode.END):
                pass
            with m.Default():
                m.d.comb += illegal.eq(1)
        return illegal

    def _dispatch(self, m: Module, issued: fifo.SyncFIFOBuffered, program: ProgramFetch) -> None:
        """Hand commands to the units in program order."""
        head = Signal(INSTRUCTION, name="issued_head")
        m.d.comb += head.as_value().eq(issued.r_data)
        self._bank = bank = Signal(name="bank")
        self._attention_waits = Signal(name="attention_waits")
        to_matmul, to_attention, to_vector = Signal(), Signal(), Signal()
        sent_unit, sent_vector = Signal(), Signal()
        unit_done = Signal()
        vector_done = Signal()
        settled = Signal(range(SETTLE_CYCLES + 1))
        matmul, attention, vector = self.o_matmul.p, self.o_attention.p, self.o_vector.p
        m.d.comb += [
            self.o_matmul.valid.eq(to_matmul & ~sent_unit),
            self.o_attention.valid.eq(to_attention & ~sent_unit),
            self.o_vector.valid.eq(to_vector & ~sent_vector),
            # As many of its bits as the accelerator's formats have.
            matmul.format.eq(format_code(head)),
            matmul.group_shift.eq(head.group_shift),
            matmul.k_blocks.eq(head.k_blocks),
            matmul.rows.eq(head.rows),
            matmul.bank.eq(head.bank),
            matmul.packet_shift.eq(head.packet_shift),
            matmul.columns_active.eq(self.columns_active),
            attention.kv_heads.eq(head.kv_heads),
            attention.group.eq(head.group),
            attention.columns_active.eq(self.columns_active),
            attention.c0.eq(head.imm0),
            vector.epilogue.eq(head.epilogue),
            vector.rows.eq(head.rows),
            vector.column.eq(head.column),
            vector.imm0.eq(head.imm0),
            vector.imm1.eq(head.imm1),
            vector.store.eq(head.store),
            vector.address.eq(head.aux),
            unit_done.eq(
                sent_unit
                | (self.o_matmul.valid & self.o_matmul.ready)
                | (self.o_attention.valid & self.o_attention.ready)
                | ~(to_matmul | to_attention)
            ),
            vector_done.eq(sent_vector | (self.o_vector.valid & self.o_vector.ready)),
        ]
        if self.params.biases:
            m.d.comb += vector.biases.eq(head.biases)
        if self.params.head_norms:
            m.d.comb += vector.head_norms.eq(head.head_norms)
        if self.params.gelu:
            m.d.comb += vector.gelu.eq(head.gelu)
        if self.params.windows:
            m.d.comb += attention.window.eq(head.imm1)
        quiet = self.matmul_idle & self.vector_idle & self.attention_idle
        # The bank that an instruction fills counts as empty from the moment the instruction starts.
        fills = Signal(2)
        with m.Switch(head.epilogue):
            with m.Case(Epilogue.RESIDUAL, *(Epilogue.ADD,) * self.params.post_norms):
                m.d.comb += fills.eq(0b01)
            with m.Case(Epilogue.EMBED):
                m.d.comb += fills.eq(head.column == 0)
            with m.Case(Epilogue.SWIGLU, Epilogue.QUANTISE):
                m.d.comb += fills.eq(0b10)
        started = Signal()
        m.d.sync += self.clear_banks.eq(Mux(started, fills, 0))
        with m.FSM(name="dispatch"):
            with m.State("next instruction"), m.If(issued.r_rdy), m.Switch(head.opcode):
                with m.Case(Opcode.LOAD, Opcode.EMBED, *(Opcode.ADD,) * self.params.post_norms):
                    m.next = "send"
                with m.Case(Opcode.MATMUL):
                    m.next = "send"
                with m.Case(Opcode.ATTENTION):
                    m.d.comb += self._attention_waits.eq(self.matmul_idle)
                    with m.If(quiet):
                        m.next = "send"
                with m.Case(Opcode.END):
                    m.d.sync += settled.eq(Mux(quiet & self.writer_idle & program.passed, settled + 1, 0))
                    with m.If(settled == SETTLE_CYCLES):
                        m.d.sync += settled.eq(0)
                        # A flipped bit may have made another END, or a legal instruction with other data.
                        with m.If(program.wrong):
                            m.d.sync += self.fault.eq(Fault.PROGRAM_CHECKSUM)
                        with m.Else():
                            m.d.comb += [self.done.eq(1), issued.r_en.eq(1)]
            with m.State("send"):
                m.d.comb += [
                    to_vector.eq(1),
                    to_matmul.eq(head.opcode == Opcode.MATMUL),
                    to_attention.eq(head.opcode == Opcode.ATTENTION),
                    started.eq(
                        ~sent_unit & unit_done & (to_matmul | to_attention) | ~to_matmul & ~to_attention & vector_done
                    ),
                ]
                m.d.sync += [sent_unit.eq(unit_done & (to_matmul | to_attention)), sent_vector.eq(vector_done)]
                with m.If(unit_done & vector_done):
                    m.d.sync += [sent_unit.eq(0), sent_vector.eq(0), bank.eq(head.bank)]
                    m.d.comb += issued.r_en.eq(1)
                    m.next = "settle"
            with m.State("settle"):
                # One cycle for the units' idle outputs to fall.
                m.next = "next instruction"

    def _attribute(self, m: Module, router: WordRouter) -> None:
        """Say to which operator this cycle counts: what takes words now, or what it waits for."""
        held = Signal(Operator)
        m.d.comb += self.operator.eq(held)
        m.d.sync += held.eq(Mux(self.start, Operator.CONTROL, self.operator))
        with m.If(~self.attention_idle):
            with m.Switch(self.attention_phase):
                with m.Case(AttentionPhase.SOFTMAX):
                    m.d.comb += self.operator.eq(Operator.SOFTMAX)
                with m.Case(AttentionPhase.VALUES, AttentionPhase.OUTPUT):
                    m.d.comb += self.operator.eq(Operator.PV)
                with m.Default():
                    m.d.comb += self.operator.eq(Operator.QK)
        with m.Elif(self._attention_waits):
            m.d.comb += self.operator.eq(Operator.ROPE)
        with m.Elif(self.matmul_blocked & ~self._bank):
            m.d.comb += self.operator.eq(Operator.RMS)
        with m.Elif(router.active):
            m.d.comb += self.operator.eq(router.operator)
