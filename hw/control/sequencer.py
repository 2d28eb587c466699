"""The sequencer: fetches the program, runs ahead with memory requests, and hands commands to the units in order."""

from dataclasses import dataclass

from amaranth.hdl import Array, Cat, Module, Mux, Signal, unsigned
from amaranth.lib import crc, data, enum, fifo, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2
from rtlm.hw.control.isa import INSTRUCTION, INSTRUCTION_BYTES, Epilogue, Index, Opcode, Operator
from rtlm.hw.control.legality import RULES, InstructionLimits
from rtlm.hw.control.router import Destination, WordRouter
from rtlm.hw.units.attention import ATTENTION_COMMAND
from rtlm.hw.units.matmul import MATMUL_COMMAND
from rtlm.hw.units.vector_params import VECTOR_COMMAND

ADDRESS_BITS = 32
"""Bits of a beat address."""

SETTLE_CYCLES = 7
"""Cycles that all units must have been idle before a step counts as done: more than a hand-over between two takes."""

PROGRAM_CRC = crc.catalog.CRC32_ISO_HDLC(data_width=8 * INSTRUCTION_BYTES)
"""Check of a program: that of zlib's crc32 over its words, an instruction at a time."""

SEGMENT = data.StructLayout({"address": ADDRESS_BITS, "words": 32, "kind": 1})
"""A read request: beat address, number of words, 0 for data or 1 for program."""


@dataclass(frozen=True, kw_only=True)
class SequencerParams:
    """Sizes of the sequencer.

    Parameters
    ----------
    columns
        Activation columns, 1 to 8.
    word_bytes
        Bytes of a word, at least one instruction.
    beats_per_word
        Beats that a word takes in memory.
    head_dim
        Values in a head, a power of two.
    scale_words, row_words
        Words of a KV head's scale region, and of its key and of its value region.
    vector_lanes, max_k_blocks, max_packet_rows, kv_heads, group
        What instructions must keep to, see `InstructionLimits`.
    """

    columns: int
    word_bytes: int
    beats_per_word: int
    head_dim: int
    scale_words: int
    row_words: int
    vector_lanes: int
    max_k_blocks: int
    max_packet_rows: int
    kv_heads: int
    group: int

    def __post_init__(self) -> None:
        """Validate."""
        if self.word_bytes < INSTRUCTION_BYTES:
            raise ValueError(f"a word of {self.word_bytes} bytes holds no instruction of {INSTRUCTION_BYTES} bytes")
        if self.head_dim & (self.head_dim - 1):
            raise ValueError(f"head_dim {self.head_dim} is not a power of two")

    @property
    def limits(self) -> InstructionLimits:
        """What instructions must keep to."""
        return InstructionLimits(
            vector_lanes=self.vector_lanes,
            max_k_blocks=self.max_k_blocks,
            max_packet_rows=self.max_packet_rows,
            kv_heads=self.kv_heads,
            group=self.group,
        )

    @property
    def instructions_per_word(self) -> int:
        """Instructions in a program word."""
        return self.word_bytes // INSTRUCTION_BYTES

    @property
    def queue_depth(self) -> int:
        """Instructions that wait between fetch and decoding."""
        return max(16, 2 * self.instructions_per_word)


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
    Latency: an instruction's first segment leaves 3 cycles after the instruction heads the queue.
    Throughput: one instruction in 3 cycles, one attention segment a cycle.

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
                "o_segments": Out(stream.Signature(SEGMENT)),
                "i_program": In(stream.Signature(word)),
                "i_words": In(stream.Signature(word)),
                "o_matmul_words": Out(stream.Signature(word)),
                "o_attention_words": Out(stream.Signature(word)),
                "o_vector_words": Out(stream.Signature(word)),
                "o_matmul": Out(stream.Signature(MATMUL_COMMAND)),
                "o_vector": Out(stream.Signature(VECTOR_COMMAND)),
                "o_attention": Out(stream.Signature(ATTENTION_COMMAND)),
                "clear_banks": Out(2),
                "matmul_idle": In(1),
                "matmul_blocked": In(1),
                "vector_idle": In(1),
                "attention_idle": In(1),
                "attention_phase": In(3),
                "writer_idle": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the gates."""
        m = Module()
        params = self.params
        m.submodules.queue = queue = fifo.SyncFIFOBuffered(width=INSTRUCTION.size, depth=params.queue_depth)
        m.submodules.issued = issued = fifo.SyncFIFOBuffered(width=INSTRUCTION.size, depth=8)
        m.submodules.router = router = WordRouter(word_bits=8 * params.word_bytes, depth=32)
        wiring.connect(m, wiring.flipped(self.i_words), router.i_words)
        wiring.connect(m, router.o_matmul, wiring.flipped(self.o_matmul_words))
        wiring.connect(m, router.o_attention, wiring.flipped(self.o_attention_words))
        wiring.connect(m, router.o_vector, wiring.flipped(self.o_vector_words))

        with m.If(self.start):
            m.d.sync += self.busy.eq(1)
        with m.If(self.done):
            m.d.sync += self.busy.eq(0)

        program_segment = self._fetch(m, queue)
        self._decode(m, queue, issued, router, program_segment)
        self._dispatch(m, issued)
        self._attribute(m, router)
        return m

    def _fetch(self, m: Module, queue: fifo.SyncFIFOBuffered) -> data.View:
        """Keep the instruction queue full; give the segment that asks for the next program word."""
        params = self.params
        per_word = params.instructions_per_word
        segment = Signal(stream.Signature(SEGMENT).members["payload"].shape)
        wanted = Signal(name="program_wanted")
        granted = Signal(name="program_granted")
        left = Signal(16, name="program_left")
        room = Signal(range(params.queue_depth + 1), init=params.queue_depth, name="queue_room")
        self._program_wanted, self._program_granted = wanted, granted
        self._program_passed, self._program_wrong = Signal(name="program_passed"), Signal(name="program_wrong")
        address = Signal(ADDRESS_BITS, name="program_address")
        m.d.comb += [
            wanted.eq((left != 0) & (room >= per_word)),
            segment.address.eq(address),
            segment.words.eq(1),
            segment.kind.eq(1),
        ]
        with m.If(granted):
            m.d.sync += [address.eq(address + params.beats_per_word), left.eq(left - 1)]
        with m.If(self.start):
            m.d.sync += [address.eq(self.program_base), left.eq(self.program_words)]
        taken = queue.r_en & queue.r_rdy
        with m.If(granted | taken):
            m.d.sync += room.eq(room - Mux(granted, per_word, 0) + taken)

        word = Signal(8 * params.word_bytes, name="program_word")
        unpacked = Signal(range(per_word + 1), name="program_unpacked")
        full = unpacked != 0
        m.d.comb += [
            queue.w_data.eq(word[: INSTRUCTION.size]),
            queue.w_en.eq(full),
            self.i_program.ready.eq(~full),
        ]
        m.submodules.check = check = PROGRAM_CRC.create()
        m.d.comb += [
            check.start.eq(self.start),
            check.data.eq(queue.w_data),
            check.valid.eq(full & queue.w_rdy),
            self._program_passed.eq((left == 0) & (room == params.queue_depth)),
            self._program_wrong.eq((self.program_crc != 0) & (check.crc != self.program_crc)),
        ]
        with m.If(full & queue.w_rdy):
            m.d.sync += unpacked.eq(unpacked - 1)
            if per_word > 1:
                m.d.sync += word.eq(word >> INSTRUCTION.size)
        with m.If(self.i_program.valid & self.i_program.ready):
            m.d.sync += [word.eq(self.i_program.payload), unpacked.eq(per_word)]
        return segment

    def _decode(
        self,
        m: Module,
        queue: fifo.SyncFIFOBuffered,
        issued: fifo.SyncFIFOBuffered,
        router: WordRouter,
        program_segment: data.View,
    ) -> None:
        """Turn instructions into read segments, ahead of their execution."""
        params = self.params
        current = Signal(INSTRUCTION, name="decoded")
        head = Signal(INSTRUCTION, name="queue_head")
        m.d.comb += head.as_value().eq(queue.r_data)
        index = Signal(32, name="index_value")
        base = Signal(ADDRESS_BITS, name="segment_base")
        segment = Signal(SEGMENT, name="data_segment")
        offered = Signal(name="data_offered")
        accepted = Signal(name="data_accepted")
        # A program word goes first: without instructions nothing else moves.
        m.d.comb += [
            self.o_segments.valid.eq(self._program_wanted | (offered & router.i_route.ready)),
            self.o_segments.payload.eq(Mux(self._program_wanted, program_segment.as_value(), segment.as_value())),
            self._program_granted.eq(self._program_wanted & self.o_segments.ready),
            accepted.eq(offered & ~self._program_wanted & self.o_segments.ready & router.i_route.ready),
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
        walk = _AttentionWalk(m, params, self, current)
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
                m.d.sync += illegal.eq(self._is_illegal(m, current))
                m.next = "compute the address"
            with m.State("compute the address"):
                m.d.sync += base.eq(current.address + index * current.aux)
                m.d.comb += [issued.w_data.eq(current), issued.w_en.eq(~illegal)]
                with m.Switch(current.opcode):
                    with m.Case(Opcode.LOAD, Opcode.EMBED, Opcode.MATMUL):
                        m.next = "request words"
                    with m.Case(Opcode.ATTENTION):
                        m.next = "request keys and values"
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
                    offered.eq(walk.valid & (walk.words != 0)),
                    segment.address.eq(walk.address),
                    segment.words.eq(walk.words),
                    walk.advance.eq(walk.valid & (accepted | (walk.words == 0))),
                ]
                with m.If(walk.finished):
                    m.next = "wait for an instruction"

    def _is_illegal(self, m: Module, instruction: data.View) -> Signal:
        """Say whether no unit can execute an instruction: unknown opcode, or a broken rule."""
        illegal = Signal(name="rules_broken")
        with m.Switch(instruction.opcode):
            for opcode in (Opcode.LOAD, Opcode.EMBED, Opcode.MATMUL, Opcode.ATTENTION):
                with m.Case(opcode):
                    broken = [rule.broken(instruction, self.params.limits) for rule in RULES if opcode in rule.opcodes]
                    m.d.comb += illegal.eq(Cat(broken).any())
            with m.Case(Opcode.END):
                pass
            with m.Default():
                m.d.comb += illegal.eq(1)
        return illegal

    def _dispatch(self, m: Module, issued: fifo.SyncFIFOBuffered) -> None:
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
        m.d.comb += [
            self.o_matmul.valid.eq(to_matmul & ~sent_unit),
            self.o_attention.valid.eq(to_attention & ~sent_unit),
            self.o_vector.valid.eq(to_vector & ~sent_vector),
            self.o_matmul.payload.eq(
                Cat(
                    head.format,
                    head.group_shift,
                    head.k_blocks,
                    head.rows,
                    head.bank,
                    head.packet_shift,
                    self.columns_active,
                )
            ),
            self.o_attention.payload.eq(Cat(head.kv_heads, head.group, self.columns_active, head.imm0)),
            self.o_vector.payload.eq(
                Cat(
                    head.epilogue,
                    head.rows,
                    head.column,
                    head.imm0,
                    head.imm1,
                    head.store & self.store_logits,
                    head.aux,
                )
            ),
            unit_done.eq(
                sent_unit
                | (self.o_matmul.valid & self.o_matmul.ready)
                | (self.o_attention.valid & self.o_attention.ready)
                | ~(to_matmul | to_attention)
            ),
            vector_done.eq(sent_vector | (self.o_vector.valid & self.o_vector.ready)),
        ]
        quiet = self.matmul_idle & self.vector_idle & self.attention_idle
        # The bank that an instruction fills counts as empty from the moment the instruction starts.
        fills = Signal(2)
        with m.Switch(head.epilogue):
            with m.Case(Epilogue.RESIDUAL):
                m.d.comb += fills.eq(0b01)
            with m.Case(Epilogue.EMBED):
                m.d.comb += fills.eq(head.column == 0)
            with m.Case(Epilogue.SWIGLU, Epilogue.QUANTISE):
                m.d.comb += fills.eq(0b10)
        started = Signal()
        m.d.comb += self.clear_banks.eq(Mux(started, fills, 0))
        with m.FSM(name="dispatch"):
            with m.State("next instruction"), m.If(issued.r_rdy), m.Switch(head.opcode):
                with m.Case(Opcode.LOAD, Opcode.EMBED):
                    m.next = "send"
                with m.Case(Opcode.MATMUL):
                    m.next = "send"
                with m.Case(Opcode.ATTENTION):
                    m.d.comb += self._attention_waits.eq(self.matmul_idle)
                    with m.If(quiet):
                        m.next = "send"
                with m.Case(Opcode.END):
                    m.d.sync += settled.eq(Mux(quiet & self.writer_idle & self._program_passed, settled + 1, 0))
                    with m.If(settled == SETTLE_CYCLES):
                        m.d.sync += settled.eq(0)
                        # A flipped bit may have made another END, or a legal instruction with other data.
                        with m.If(self._program_wrong):
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
                with m.Case(2):
                    m.d.comb += self.operator.eq(Operator.SOFTMAX)
                with m.Case(3, 4):
                    m.d.comb += self.operator.eq(Operator.PV)
                with m.Default():
                    m.d.comb += self.operator.eq(Operator.QK)
        with m.Elif(self._attention_waits):
            m.d.comb += self.operator.eq(Operator.ROPE)
        with m.Elif(self.matmul_blocked & ~self._bank):
            m.d.comb += self.operator.eq(Operator.RMS)
        with m.Elif(router.active):
            m.d.comb += self.operator.eq(router.operator)


class _AttentionWalk:
    """The segments of one ATTENTION instruction: for each active column and KV head scales, keys, values."""

    def __init__(self, m: Module, params: SequencerParams, ports: Sequencer, current: data.View):
        self.begin = Signal(name="walk_begin")
        self.advance = Signal(name="walk_advance")
        self.valid = Signal(name="walk_valid")
        self.finished = Signal(name="walk_finished")
        self.address = Signal(ADDRESS_BITS, name="walk_address")
        self.words = Signal(32, name="walk_words")
        column = Signal(4, name="walk_column")
        head = Signal(8, name="walk_head")
        region = Signal(2, name="walk_region")
        column_base = Signal(ADDRESS_BITS, name="walk_column_base")
        columns = range(params.columns)
        history = Array(ports.history[c] for c in columns)[column]
        slot = Array(ports.kv_base[c] for c in columns)
        beats = params.beats_per_word
        word_shift = exact_log2(params.word_bytes)
        scale_words = Signal(32, name="walk_scale_words")
        row_words = Signal(32, name="walk_row_words")
        m.d.comb += [
            scale_words.eq(((history << 2) + params.word_bytes - 1) >> word_shift),
            row_words.eq(((history << exact_log2(params.head_dim)) + params.word_bytes - 1) >> word_shift),
            self.words.eq(Mux(region == 0, scale_words, row_words)),
            self.address.eq(column_base),
        ]
        with m.If(self.begin):
            m.d.sync += [
                column.eq(0),
                head.eq(0),
                region.eq(0),
                self.valid.eq(1),
                self.finished.eq(0),
                column_base.eq(slot[0] + current.address),
            ]
        with m.If(self.advance):
            step = Mux(region == 0, params.scale_words, params.row_words) * beats
            m.d.sync += [column_base.eq(column_base + step), region.eq(region + 1)]
            with m.If(region == 2):
                m.d.sync += [region.eq(0), head.eq(head + 1)]
                with m.If(head + 1 == current.kv_heads):
                    m.d.sync += [
                        head.eq(0),
                        column.eq(column + 1),
                        column_base.eq(slot[column + 1] + current.address),
                    ]
                    with m.If(column + 1 == ports.columns_active):
                        m.d.sync += [self.valid.eq(0), self.finished.eq(1)]
