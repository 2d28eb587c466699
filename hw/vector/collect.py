"""Quantised values gathered into blocks for the activation banks and heads for attention and the KV cache."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from rtlm.hw.common.kv_codes import encoded
from rtlm.hw.common.layouts import CODE_BITS, STORED_BITS
from rtlm.hw.common.trees import sum_tree
from rtlm.hw.formats import BLOCK
from rtlm.hw.matmul.activations import block_write_layout
from rtlm.hw.matmul.params import SUM_BITS
from rtlm.hw.vector.params import Destination, VectorParams, is_stored


class PacketCollector(wiring.Component):
    """Gather the quantiser's beats into whole packets and hand each to its destination.

    Protocol: a packet ends with `last`; all its beats have its tag and scale. Banks and local buffers always take; a
    key or value also goes to the KV writer, and the next packet waits until that has taken it. `i.ready` is a register.
    Latency: one cycle from the last beat of a packet, or of a part for attention. Throughput: one beat a cycle.
    Numerics: with codes of 4 bits those of keys and values are rounded to them here (`rtlm.hw.common.kv_codes`).

    Parameters
    ----------
    params
        Sizes.

    Ports
    -----
    i
        Codes, scale, `last` and tag as the quantiser gives them.
    o_bank
        A block for an activation bank.
    o_local
        A head for the attention unit, or a part of one.
    o_row
        A key or value for the KV cache.
    done
        A packet has left; with a key or value, the KV writer has taken it.
    """

    def __init__(self, params: VectorParams):
        self.params = params
        beat = data.StructLayout(
            {"q": data.ArrayLayout(CODE_BITS, params.lanes), "scale": 16, "last": 1, "tag": params.packet_tag}
        )
        super().__init__(
            {
                "i": In(stream.Signature(beat)),
                "o_bank": Out(
                    stream.Signature(block_write_layout(params.columns, params.max_blocks), always_ready=True)
                ),
                "o_local": Out(stream.Signature(params.local_write, always_ready=True)),
                "o_row": Out(stream.Signature(params.row_write)),
                "done": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the shift register."""
        m = Module()
        params = self.params
        beat_bits = CODE_BITS * params.lanes
        size = CODE_BITS * max(BLOCK, params.head_dim)
        # Packets shift in from the top, so that a short one ends up in the top bits.
        codes = Signal(size, reset_less=True)
        suma = Signal(signed(SUM_BITS), reset_less=True)
        scale = Signal(16, reset_less=True)
        tag = Signal(params.packet_tag, reset_less=True)
        first, ready = Signal(init=1), Signal(init=1)
        full = Signal()
        take = self.i.valid & self.i.ready
        ends = take & self.i.p.last
        to = self.i.p.tag.destination
        to_bank = (to == Destination.BANK_0) | (to == Destination.BANK_1)
        second, to_row = Signal(), Signal()

        m.d.comb += [
            to_row.eq(is_stored(tag.destination)),
            self.done.eq(full & (~to_row | self.o_row.ready)),
            self.i.ready.eq(ready),
        ]
        with m.If(ends & is_stored(to)):
            m.d.sync += ready.eq(0)
        with m.Elif(self.done):
            m.d.sync += ready.eq(1)
        bank, local, row = self.o_bank.p, self.o_local.p, self.o_row.p
        part_ends: Value = ends
        if params.head_parts > 1:
            part_beats = params.head_beats // params.head_parts
            beat, part = Signal(range(part_beats)), Signal(range(params.head_parts))
            part_ends = take & (beat == part_beats - 1)
            with m.If(take):
                m.d.sync += [beat.eq(Mux(self.i.p.last | part_ends, 0, beat + 1)), local.part.eq(part)]
            with m.If(ends):
                m.d.sync += part.eq(0)
            with m.Elif(part_ends):
                m.d.sync += part.eq(part + 1)
        m.d.sync += [self.o_bank.valid.eq(ends & to_bank), self.o_local.valid.eq(part_ends & ~to_bank)]
        with m.If(take):
            lanes = [self.i.p.q[lane].as_signed() for lane in range(params.lanes)]
            incoming = Cat(self.i.p.q[lane] for lane in range(params.lanes))
            if params.kv_bits < STORED_BITS:
                incoming = Cat(Mux(is_stored(to), encoded(each), each)[:CODE_BITS] for each in lanes)
            m.d.sync += [
                codes.eq(Cat(codes[beat_bits:], incoming)),
                suma.eq(sum_tree(lanes) + Mux(first, 0, suma)),
                first.eq(self.i.p.last),
                scale.eq(self.i.p.scale),
                tag.eq(self.i.p.tag),
                second.eq(to == Destination.BANK_1),
            ]
        with m.If(ends):
            m.d.sync += full.eq(1)
        with m.Elif(self.done):
            m.d.sync += full.eq(0)

        head = codes[size - CODE_BITS * params.head_dim :]
        kind = Signal(unsigned(2))
        m.d.comb += [
            kind.eq(Value.cast(tag.destination)[:2]),
            bank.bank.eq(second),
            bank.column.eq(tag.column),
            bank.block.eq(tag.index),
            bank.last_column.eq(tag.last_column),
            bank.a.eq(codes[size - CODE_BITS * BLOCK :]),
            bank.s.eq(scale),
            bank.suma.eq(suma),
            Value.cast(local.kind).eq(kind),
            local.column.eq(tag.column),
            local.head.eq(tag.index),
            local.data.eq(codes[size - len(local.data.as_value()) :]),
            local.s.eq(scale),
            self.o_row.valid.eq(full & to_row),
            *(row[name].eq(local[name]) for name in row.shape().members if name != "data"),
            *(row.data[k].eq(head.word_select(k, CODE_BITS).as_signed()) for k in range(params.head_dim)),
        ]
        return m
