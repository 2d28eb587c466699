"""Keys and values on their way to the KV cache: where each row and its scale lie."""

from amaranth.hdl import Array, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2
from rtlm.hw.common.kv_cache import SCALE_PAIR_BYTES
from rtlm.hw.common.layouts import LocalKind
from rtlm.hw.vector.params import VectorParams


class KvWriter(wiring.Component):
    """Write quantised keys and values, and their scales, to the KV cache.

    A KV head's memory is three consecutive regions of whole words: scale pairs (key's BF16, value's BF16) of all
    positions, keys, values.

    Protocol: one row at a time; the codes of the row leave first, `params.write_bytes` at once, then its scale, each
    with strobes for what it carries and `last` on the final one of a run. `position`, `kv_base` and the layer addresses
    hold still meanwhile (`busy`).
    Latency: 4 cycles to the first codes. Throughput: a row in 6 cycles, if everything is taken at once and a head fits
    what is written at once.

    Parameters
    ----------
    params
        Sizes.

    Ports
    -----
    i
        A key or value: kind, column, head, codes, scale.
    key_address, value_address
        Beats from a slot's start to the layer.
    position, kv_base
        Each column's position and the beat address of its slot.
    o
        Writes to memory.
    busy
        A row is being written.
    done
        A row's last write has been taken; with it, whether the row was a value.
    """

    def __init__(self, params: VectorParams):
        self.params = params
        super().__init__(
            {
                "i": In(stream.Signature(params.row_write)),
                "key_address": In(params.address_bits),
                "value_address": In(params.address_bits),
                "position": In(data.ArrayLayout(32, params.columns)),
                "kv_base": In(data.ArrayLayout(32, params.columns)),
                "o": Out(stream.Signature(params.word_write)),
                "busy": Out(1),
                "done": Out(1),
                "done_value": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the address path and the writer."""
        m = Module()
        params = self.params
        bits, write_bytes, beats = params.address_bits, params.write_bytes, params.write_beats
        row_writes = max(1, params.kv.row_bytes // write_bytes)
        row_bytes = min(write_bytes, params.kv.row_bytes)
        rows_at_once = write_bytes // row_bytes
        scales_at_once = write_bytes // SCALE_PAIR_BYTES
        head_beats = params.kv.head_words * params.beats_per_word
        key_beats = params.kv.first_key * params.beats_per_word
        value_beats = params.kv.first_value * params.beats_per_word

        row = Signal(params.row_write, reset_less=True)
        is_value = row.kind == LocalKind.VALUE
        base, place, address, head_offset = (
            Signal(bits, name=name, reset_less=True) for name in ("base", "place", "address", "head_offset")
        )
        position = Signal(params.position_bits, reset_less=True)
        words_left = Signal(range(row_writes + 1))
        in_row, in_scale = Signal(), Signal()
        columns = range(params.columns)
        column = row.column[: params.column_bits]

        with m.FSM():
            with m.State("wait for a row"):
                m.d.comb += self.i.ready.eq(1)
                with m.If(self.i.valid):
                    m.d.sync += row.eq(self.i.payload)
                    m.next = "look up the slot"
            with m.State("look up the slot"):
                layer = Mux(is_value, self.value_address, self.key_address)
                m.d.sync += [
                    base.eq(Array(self.kv_base[c] for c in columns)[column] + layer),
                    head_offset.eq(row.head[: max(1, (params.kv_heads - 1).bit_length())] * head_beats),
                    position.eq(Array(self.position[c] for c in columns)[column]),
                    words_left.eq(row_writes - 1),
                ]
                m.next = "find the head"
            with m.State("find the head"):
                region = Mux(is_value, value_beats, key_beats)
                first_write = (position >> exact_log2(rows_at_once)) * (row_writes * beats)
                m.d.sync += [base.eq(base + head_offset), place.eq(region + first_write)]
                m.next = "find the row"
            with m.State("find the row"):
                m.d.sync += address.eq(base + place)
                m.next = "write the row"
            with m.State("write the row"):
                m.d.comb += in_row.eq(1)
                with m.If(self.o.ready):
                    m.d.sync += [address.eq(address + beats), words_left.eq(words_left - 1)]
                    if row_writes > 1:
                        m.d.sync += row.data.eq(row.data.as_value() >> 8 * write_bytes)
                    with m.If(words_left == 0):
                        m.d.sync += address.eq(base + (position >> exact_log2(scales_at_once)) * beats)
                        m.next = "write the scale"
            with m.State("write the scale"):
                m.d.comb += [in_scale.eq(1), self.done.eq(self.o.ready)]
                with m.If(self.o.ready):
                    m.next = "wait for a row"

        m.d.comb += [
            self.busy.eq(~self.i.ready),
            self.done_value.eq(is_value),
            self.o.valid.eq(in_row | in_scale),
            self.o.p.address.eq(address),
            self.o.p.last.eq(in_scale | (words_left == 0)),
        ]
        codes = row.data.as_value()[: 8 * row_bytes]
        whole_row = Const((1 << row_bytes) - 1, row_bytes)
        row_strobe = _one_of(position[: exact_log2(rows_at_once)], rows_at_once, whole_row)
        pair_strobe = Mux(is_value, 0b1100, 0b0011)
        scale_strobe = _one_of(position[: exact_log2(scales_at_once)], scales_at_once, Value.cast(pair_strobe))
        scale = Value.cast(row.s)
        pair = Mux(is_value, scale << 16, scale)[: 8 * SCALE_PAIR_BYTES]
        m.d.comb += [
            self.o.p.data.eq(Mux(in_scale, pair.replicate(scales_at_once), codes.replicate(rows_at_once))),
            self.o.p.strobe.eq(Mux(in_scale, scale_strobe, row_strobe)),
        ]
        return m


def _one_of(index: Value, count: int, pattern: Value) -> Value:
    """Return `count` fields of which the one at `index` holds `pattern`, the others zero."""
    return Value.cast(pattern) << (index * len(pattern)) if count > 1 else pattern
