"""How the sequencer gets its program."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import crc, fifo, wiring
from rtlm.hw.control.isa import INSTRUCTION, INSTRUCTION_BYTES
from rtlm.hw.control.sequencer_params import ADDRESS_BITS, SEGMENT, SequencerParams

PROGRAM_CRC = crc.catalog.CRC32_ISO_HDLC(data_width=8 * INSTRUCTION_BYTES)
"""Check of a program: that of zlib's crc32 over its words, an instruction at a time."""


class ProgramFetch:
    """Keep the instruction queue full, and check what passes through it.

    Protocol: while `wanted`, the read request `segment` asks for the next program word; `granted` says that it was
    taken. `passed`: all words of the program have left the queue. `wrong`: what passed has not the program's CRC; it is
    to be read when all has passed.

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
        self.segment = segment = Signal(SEGMENT)
        self.wanted = wanted = Signal(name="program_wanted")
        self.granted = granted = Signal(name="program_granted")
        left = Signal(16, name="program_left")
        room = Signal(range(params.queue_depth + 1), init=params.queue_depth, name="queue_room")
        self.passed, self.wrong = Signal(name="program_passed"), Signal(name="program_wrong")
        address = Signal(ADDRESS_BITS, name="program_address")
        m.d.comb += [
            wanted.eq((left != 0) & (room >= per_word)),
            segment.address.eq(address),
            segment.words.eq(1),
            segment.kind.eq(1),
        ]
        with m.If(granted):
            m.d.sync += [address.eq(address + params.beats_per_word), left.eq(left - 1)]
        with m.If(ports.start):
            m.d.sync += [address.eq(ports.program_base), left.eq(ports.program_words)]
        taken = queue.r_en & queue.r_rdy
        with m.If(granted | taken):
            m.d.sync += room.eq(room - Mux(granted, per_word, 0) + taken)

        word = Signal(8 * params.word_bytes, name="program_word")
        unpacked = Signal(range(per_word + 1), name="program_unpacked")
        full = unpacked != 0
        m.d.comb += [
            queue.w_data.eq(word[: INSTRUCTION.size]),
            queue.w_en.eq(full),
            ports.i_program.ready.eq(~full),
        ]
        m.submodules.check = check = PROGRAM_CRC.create()
        m.d.comb += [
            check.start.eq(ports.start),
            check.data.eq(queue.w_data),
            check.valid.eq(full & queue.w_rdy),
            self.passed.eq((left == 0) & (room == params.queue_depth)),
            self.wrong.eq((ports.program_crc != 0) & (check.crc != ports.program_crc)),
        ]
        with m.If(full & queue.w_rdy):
            m.d.sync += unpacked.eq(unpacked - 1)
            if per_word > 1:
                m.d.sync += word.eq(word >> INSTRUCTION.size)
        with m.If(ports.i_program.valid & ports.i_program.ready):
            m.d.sync += [word.eq(ports.i_program.payload), unpacked.eq(per_word)]
