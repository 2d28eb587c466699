"""Where the keys and values of an ATTENTION instruction lie."""

from amaranth.hdl import Array, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.utils import exact_log2
from rtlm.hw.common.kv_cache import SCALE_PAIR_BYTES
from rtlm.hw.common.layouts import ADDRESS_BITS
from rtlm.hw.control.sequencer_params import SequencerParams


class AttentionWalk:
    """The segments of one ATTENTION instruction: for each active column and KV head scales, keys, values.

    Protocol: `begin` for one cycle while `current` is the instruction and every column's history and KV slot stand;
    from then until `finished` each segment, of `words` at `address`, is offered while `valid` and left with `advance`.

    Parameters
    ----------
    m
        Module of the sequencer, to which the gates are added.
    params
        Its sizes.
    ports
        The sequencer, for what the host has written.
    current
        The decoded instruction.
    """

    def __init__(self, m: Module, params: SequencerParams, ports: wiring.Component, current: data.View):
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
            scale_words.eq(((history << exact_log2(SCALE_PAIR_BYTES)) + params.word_bytes - 1) >> word_shift),
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
