"""How the sequencer gets its program."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import crc, fifo, wiring
from amaranth.utils import exact_log2
from rtlm.hw.common.layouts import ADDRESS_BITS, SegmentKind, segment_layout
from rtlm.hw.control.isa import INSTRUCTION
from rtlm.hw.control.sequencer_params import SequencerParams

PROGRAM_CRC = crc.catalog.CRC32_ISO_HDLC
"""Check of a program: that of zlib's crc32 over its words."""

CHECKED_BITS = 32
"""Bits that the check takes in a cycle. Of 256 it would be 32 sums of some 128 bits each, which no small device can
wire; and instructions are needed far apart."""


class ProgramFetch:
    """Keep the instruction queue full, and check what passes through it.

    Protocol: while `wanted`, the read request `segment` asks for the next program word; `granted` says that it was
    taken. `passed`: all words of the program have left the queue and are checked. `wrong`: what passed has not the
    program's CRC; it is to be read a cycle after all has passed.

    Throughput: `CHECKED_BITS` a cycle: an instruction in 8 cycles.

    Parameters
    ----------
    m
        Module of the sequencer, to which the gates are added.
    params
        Its sizes.
    ports
        The sequencer, for its program stream and what the host has written.
    queue
        Takes instructions.
    """

    def __init__(self, m: Module, params: SequencerParams, ports: wiring.Component, queue: fifo.SyncFIFOBuffered):
        per_word = params.instructions_per_word
        self.segment = segment = Signal(segment_layout())
        self.wanted = wanted = Signal(name="program_wanted")
        self.granted = granted = Signal(name="program_granted")
        left = Signal(16, name="program_left")
        room = Signal(range(params.queue_depth + 1), init=params.queue_depth, name="queue_room")
        self.passed, self.wrong = Signal(name="program_passed"), Signal(name="program_wrong")
        address = Signal(ADDRESS_BITS, name="program_address", reset_less=True)
        m.d.comb += [
            wanted.eq((left != 0) & (room >= per_word)),
            segment.address.eq(address),
            segment.words.eq(1),
            segment.kind.eq(SegmentKind.PROGRAM),
        ]
        with m.If(granted):
            m.d.sync += [address.eq(address + params.beats_per_word), left.eq(left - 1)]
        with m.If(ports.start):
            m.d.sync += [address.eq(ports.program_base), left.eq(ports.program_words)]
        taken = queue.r_en & queue.r_rdy
        with m.If(granted | taken):
            m.d.sync += room.eq(room - Mux(granted, per_word, 0) + taken)

        word = Signal(8 * params.word_bytes, name="program_word", reset_less=True)
        per_instruction = INSTRUCTION.size // CHECKED_BITS
        left_to_check = Signal(range(per_word * per_instruction + 1), name="program_unpacked")
        empty = Signal(init=1, name="program_empty")
        full = ~empty
        whole = full & (left_to_check[: exact_log2(per_instruction)] == 0)
        moves = full & (queue.w_rdy | ~whole)
        m.d.comb += [
            queue.w_data.eq(word[: INSTRUCTION.size]),
            queue.w_en.eq(whole),
            ports.i_program.ready.eq(empty),
        ]
        m.submodules.check = check = PROGRAM_CRC(data_width=CHECKED_BITS).create()
        m.d.comb += [
            check.start.eq(ports.start),
            check.data.eq(word[:CHECKED_BITS]),
            check.valid.eq(moves),
            self.passed.eq((left == 0) & (room == params.queue_depth) & ~full),
        ]
        m.d.sync += self.wrong.eq((ports.program_crc != 0) & (check.crc != ports.program_crc))
        with m.If(moves):
            m.d.sync += [
                left_to_check.eq(left_to_check - 1),
                empty.eq(left_to_check == 1),
                word.eq(word >> CHECKED_BITS),
            ]
        with m.If(ports.i_program.valid & empty):
            m.d.sync += [
                word.eq(ports.i_program.payload),
                left_to_check.eq(per_word * per_instruction),
                empty.eq(0),
            ]
