"""An embedding row on its way from words to values with their scales."""

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2
from rtlm.hw.common.layouts import ROWS_BITS
from rtlm.hw.formats import BLOCK
from rtlm.hw.vector.params import VectorParams

SCALE_BYTES = 2
VALUE_BITS = 9
"""Bits of a signed code in `dequantise_half`."""


class EmbedUnpacker(wiring.Component):
    """Unpack an embedding row: fp16 scales in the first words, then int8 codes from a word's start.

    Protocol: `start` for one cycle with `rows` (a multiple of 32); then exactly the row's words are taken from
    `i_words` and `rows` codes leave, each with the scale of its block.
    Latency: 3 cycles from a word of codes to its first codes. Throughput: a word in ``word_bytes / lanes + 2`` cycles;
    a word of scales in one.

    Parameters
    ----------
    params
        Sizes.

    Ports
    -----
    start, rows
        Begin a row of so many values.
    i_words
        Words from memory, the first byte in the low bits.
    o
        `q`: codes, sign-extended; `d`: fp16 bits, the same in every lane.
    busy
        Within a row.
    """

    def __init__(self, params: VectorParams):
        self.params = params
        codes = data.StructLayout(
            {"q": data.ArrayLayout(VALUE_BITS, params.lanes), "d": data.ArrayLayout(16, params.lanes)}
        )
        super().__init__(
            {
                "start": In(1),
                "rows": In(ROWS_BITS),
                "i_words": In(stream.Signature(unsigned(8 * params.word_bytes))),
                "o": Out(stream.Signature(codes)),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the gates."""
        m = Module()
        params = self.params
        lanes, word_bits = params.lanes, 8 * params.word_bytes
        word_blocks = params.word_bytes // BLOCK
        # Scales of one word of codes; a word of scales holds those of 16 words of codes.
        group_bits = 8 * SCALE_BYTES * word_blocks
        groups = word_bits // group_bits
        scale_words = -(-params.max_dim * SCALE_BYTES // BLOCK // params.word_bytes)
        m.submodules.scales = scales = Memory(shape=unsigned(word_bits), depth=max(2, scale_words), init=[])
        write, read = scales.write_port(), scales.read_port()

        row_scale_words = Signal(ROWS_BITS)
        m.d.comb += row_scale_words.eq((self.rows * SCALE_BYTES // BLOCK + params.word_bytes - 1) // params.word_bytes)
        address = Signal(range(max(2, scale_words)))
        left = Signal(ROWS_BITS)
        beats_left = Signal(ROWS_BITS - params.lane_shift)
        group = Signal(exact_log2(groups))
        codes = Signal(word_bits, reset_less=True)
        block_scales = Signal(group_bits, reset_less=True)
        word_beats = params.word_bytes // lanes
        within = Signal(range(word_beats))
        m.d.comb += [
            write.addr.eq(address),
            write.data.eq(self.i_words.payload),
            read.addr.eq(address),
            self.o.payload.eq(0),
        ]
        for lane in range(lanes):
            m.d.comb += [
                self.o.p.q[lane].eq(codes[8 * lane : 8 * lane + 8].as_signed()),
                self.o.p.d[lane].eq(block_scales[:16]),
            ]

        with m.FSM() as fsm:
            m.d.comb += self.busy.eq(~fsm.ongoing("between rows"))
            with m.State("between rows"), m.If(self.start):
                m.d.sync += [
                    left.eq(row_scale_words),
                    beats_left.eq(self.rows >> params.lane_shift),
                    address.eq(0),
                    group.eq(0),
                ]
                m.next = "take scales"
            with m.State("take scales"):
                m.d.comb += [self.i_words.ready.eq(1), write.en.eq(self.i_words.valid)]
                with m.If(self.i_words.valid):
                    m.d.sync += [left.eq(left - 1), address.eq(Mux(left == 1, 0, address + 1))]
                    with m.If(left == 1):
                        m.next = "take codes"
            with m.State("take codes"):
                m.d.comb += [self.i_words.ready.eq(1), read.en.eq(self.i_words.valid)]
                with m.If(self.i_words.valid):
                    m.d.sync += codes.eq(self.i_words.payload)
                    m.next = "select scales"
            with m.State("select scales"):
                m.d.sync += [
                    block_scales.eq(read.data.word_select(group, group_bits)),
                    group.eq(group + 1),
                    within.eq(0),
                ]
                with m.If(group == groups - 1):
                    m.d.sync += address.eq(address + 1)
                m.next = "give codes"
            with m.State("give codes"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.d.sync += [
                        codes.eq(codes >> 8 * lanes),
                        within.eq(within + 1),
                        beats_left.eq(beats_left - 1),
                    ]
                    if word_blocks > 1:
                        with m.If((within & (params.block_beats - 1)) == params.block_beats - 1):
                            m.d.sync += block_scales.eq(block_scales >> 16)
                    with m.If(beats_left == 1):
                        m.next = "between rows"
                    with m.Elif(within == word_beats - 1):
                        m.next = "take codes"
        return m
