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
SCALE_BITS = 8 * SCALE_BYTES
VALUE_BITS = 9
"""Bits of a signed code in `dequantise_half`."""


class EmbedUnpacker(wiring.Component):
    """Unpack an embedding row: fp16 scales in the first words, then int8 codes from a word's start.

    Protocol: `start` for one cycle with `rows` (a multiple of 32); then exactly the row's words are taken from
    `i_words` and `rows` codes leave, each with the scale of its block. A word is taken when its last part has been
    read.
    Latency: one cycle from a word of codes to its first codes. Throughput: a word of codes in
    ``word_bytes / lanes + 1`` cycles, a scale a cycle.

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
            {"q": data.ArrayLayout(VALUE_BITS, params.lanes), "d": data.ArrayLayout(SCALE_BITS, params.lanes)}
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
        beat_bits, blocks = 8 * params.lanes, max(2, params.max_dim // BLOCK)
        m.submodules.scales = scales = Memory(shape=unsigned(SCALE_BITS), depth=blocks, init=[])
        write, read = scales.write_port(), scales.read_port()

        # A word is read in beats of codes or in scales, several of which are as wide as a beat.
        beat_place_bits = exact_log2(params.word_bytes // params.lanes)
        within_bits = exact_log2(params.lanes // SCALE_BYTES)
        place = Signal(within_bits + beat_place_bits)
        block, last_block = Signal(range(blocks)), Signal(range(blocks))
        in_block = Signal(range(max(2, params.block_beats)))
        scaling, taken, used = Signal(), Signal(), Signal()
        block_end, row_end, word_end = Signal(), Signal(), Signal()
        beat = Signal(beat_bits)
        beat_place = Mux(scaling, place[within_bits:], place)[:beat_place_bits]
        m.d.comb += [
            beat.eq(self.i_words.payload.word_select(beat_place, beat_bits)),
            block_end.eq(scaling | (in_block == params.block_beats - 1)),
            row_end.eq(block_end & (block == last_block)),
            word_end.eq(row_end | Mux(scaling, place.all(), place[:beat_place_bits].all())),
            self.i_words.ready.eq(used),
            write.addr.eq(block),
            write.data.eq(beat.word_select(place[:within_bits], SCALE_BITS) if within_bits else beat),
            write.en.eq(taken & scaling),
            read.addr.eq(block),
            read.en.eq(taken & ~scaling),
        ]
        m.d.sync += used.eq(taken & word_end)
        with m.If(taken):
            m.d.sync += [
                place.eq(Mux(word_end, 0, place + 1)),
                in_block.eq(Mux(block_end, 0, in_block + 1)),
                block.eq(Mux(row_end, 0, block + block_end)),
            ]

        codes = Signal(beat_bits, reset_less=True)
        for lane in range(params.lanes):
            m.d.comb += [
                self.o.p.q[lane].eq(codes[8 * lane : 8 * lane + 8].as_signed()),
                self.o.p.d[lane].eq(read.data),
            ]
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(read.en):
            m.d.sync += [codes.eq(beat), self.o.valid.eq(1)]

        with m.FSM() as fsm:
            m.d.comb += self.busy.eq(~fsm.ongoing("between rows") | self.o.valid | used)
            with m.State("between rows"), m.If(self.start):
                m.d.sync += last_block.eq((self.rows >> exact_log2(BLOCK)) - 1)
                m.next = "take scales"
            with m.State("take scales"):
                m.d.comb += [scaling.eq(1), taken.eq(self.i_words.valid & ~used)]
                with m.If(taken & row_end):
                    m.next = "take codes"
            with m.State("take codes"):
                m.d.comb += taken.eq(self.i_words.valid & ~used & (~self.o.valid | self.o.ready))
                with m.If(taken & row_end):
                    m.next = "between rows"
        return m
