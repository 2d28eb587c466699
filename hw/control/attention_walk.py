"""Where the keys and values of an ATTENTION instruction lie."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.utils import exact_log2
from rtlm.hw.attention.params import POSITION_BITS
from rtlm.hw.common.kv_cache import SCALE_PAIR_BYTES
from rtlm.hw.common.kv_window import WINDOW_CYCLES, WindowRegisters
from rtlm.hw.common.layouts import ADDRESS_BITS
from rtlm.hw.control.sequencer_params import SequencerParams


class AttentionWalk:
    """The segments of one ATTENTION instruction: for each active column and KV head scales, keys, values.

    Protocol: `begin` for one cycle while `current` is the instruction and every column's history and KV slot stand;
    from then until `finished` each segment, of `words` at `address`, is offered while `valid` and left with `advance`;
    `empty` says that it has no words, as none of its column has. All of these come from registers. Under a window the
    segments are the ends of the regions that `rtlm.hw.common.kv_window.history_part` says.

    Latency: two cycles from `begin`, and from a column's last segment, to the first of the column; with windows
    `WINDOW_CYCLES` more.

    Throughput: a segment a cycle.

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
        self.address = Signal(ADDRESS_BITS, name="walk_address", reset_less=True)
        self.words = Signal(32, name="walk_words")
        self.empty = Signal(name="walk_empty")
        column = Signal(4, name="walk_column")
        head = Signal(8, name="walk_head")
        region = Signal(2, name="walk_region")
        sizing = Signal(name="walk_sizing")  # the first cycle of a column
        columns = range(params.columns)
        history = Array(ports.history[c] for c in columns)[column]
        slot = Array(ports.kv_base[c] for c in columns)[column]
        beats = params.beats_per_word
        word_shift = exact_log2(params.word_bytes)
        scale_words = Signal(32, name="walk_scale_words", reset_less=True)
        row_words = Signal(32, name="walk_row_words", reset_less=True)
        m.d.comb += self.words.eq(Mux(region == 0, scale_words, row_words))
        sized, start = sizing, slot + current.address
        step = Mux(region == 0, params.scale_words, params.row_words) * beats
        if params.windows:
            window = WindowRegisters(
                m,
                position=Array(ports.position[c] for c in columns)[column],
                history=history,
                window=current.imm1[:POSITION_BITS],
                word_positions=params.word_positions,
            )
            history = window.positions
            delay = Signal(WINDOW_CYCLES, name="walk_delay")
            m.d.sync += delay.eq(Mux(self.begin, 0, Cat(sizing, delay)))
            sized = delay[-1] & ~self.begin
            # What is left out at the start of the scales, and of the keys and of the values.
            scales_out = window.words << exact_log2(beats)
            rows_out = window.words << exact_log2(beats * params.row_bytes // SCALE_PAIR_BYTES)
            column_start = Signal(ADDRESS_BITS, name="walk_column_start", reset_less=True)
            to_keys = Signal(ADDRESS_BITS, name="walk_to_keys", reset_less=True)
            to_scales = Signal(ADDRESS_BITS, name="walk_to_scales", reset_less=True)
            m.d.sync += [
                column_start.eq(start),
                to_keys.eq(params.scale_words * beats + rows_out - scales_out),
                to_scales.eq(params.row_words * beats + scales_out - rows_out),
            ]
            start = column_start + scales_out
            step = Array([to_keys, params.row_words * beats, to_scales])[region]
        m.d.sync += sizing.eq(0)
        with m.If(self.begin):
            m.d.sync += [column.eq(0), head.eq(0), region.eq(0), sizing.eq(1), self.valid.eq(0), self.finished.eq(0)]
        with m.If(sized):
            m.d.sync += [
                scale_words.eq(((history << exact_log2(SCALE_PAIR_BYTES)) + params.word_bytes - 1) >> word_shift),
                row_words.eq(((history << exact_log2(params.row_bytes)) + params.word_bytes - 1) >> word_shift),
                self.empty.eq(history == 0),
                self.address.eq(start),
                self.valid.eq(1),
            ]
        with m.If(self.advance):
            m.d.sync += [self.address.eq(self.address + step), region.eq(region + 1)]
            with m.If(region == 2):
                m.d.sync += [region.eq(0), head.eq(head + 1)]
                with m.If(head + 1 == current.kv_heads):
                    m.d.sync += [head.eq(0), column.eq(column + 1), self.valid.eq(0)]
                    with m.If(column + 1 == ports.columns_active):
                        m.d.sync += self.finished.eq(1)
                    with m.Else():
                        m.d.sync += sizing.eq(1)
