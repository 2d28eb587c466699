"""The operands that join an incoming beat: residual values, and normalisation weights or rotations."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from rtlm.hw.common.register_slice import RegisterSlice
from rtlm.hw.matmul.activations import ONE
from rtlm.hw.vector.params import VectorParams


class OperandFetch(wiring.Component):
    """Join each incoming beat with its tag, its residual values `x` and its table values `w`.

    One memory holds the residual vectors of all columns, `lanes` values an entry. Another holds the normalisation
    weight and then a rotation table for each column; it is written as fast as words come, and read a few values at a
    time. Where the engine adds biases, those of queries, keys and values lie in one more such memory, and where it
    normalises heads, the norms of a query and a key in another.

    Protocol: beats and tags are taken in pairs; writes are always taken and may not hit an entry that a beat in flight
    reads. `uses_x`, `uses_table` and the like may change only while no beat is in flight; an unused `x` is zero, an
    unused `w` is anything, an unused head norm is 1. The last stage is a register slice: `ready` comes from registers,
    but for whether there is a tag.
    Latency: 3 cycles. Throughput: one beat in `params.slice_interval` cycles.

    Parameters
    ----------
    params
        Sizes.

    Ports
    -----
    i, i_tags, o
        Incoming values, their tags, both with the operands.
    uses_x, uses_table, uses_bias, uses_head_norm
        Which operands the present command needs; a bias takes the place of `x`.
    x_write, table_write, bias_write, head_norm_write
        Writes: residual values of one beat, one row of a table.
    """

    def __init__(self, params: VectorParams):
        self.params = params
        x_write = data.StructLayout({"address": params.x_bits, "data": params.floats})
        table_write = params.table_write
        further: dict[str, Any] = {}
        if params.biases:
            further |= {"uses_bias": In(1), "bias_write": In(stream.Signature(table_write, always_ready=True))}
        if params.head_norms:
            further |= {
                "uses_head_norm": In(1),
                "head_norm_write": In(stream.Signature(table_write, always_ready=True)),
            }
        super().__init__(
            {
                "i": In(stream.Signature(params.floats)),
                "i_tags": In(stream.Signature(params.operand_tag)),
                "uses_x": In(1),
                "uses_table": In(1),
                "o": Out(stream.Signature(params.operands)),
                "x_write": In(stream.Signature(x_write, always_ready=True)),
                "table_write": In(stream.Signature(table_write, always_ready=True)),
                **further,
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build memories and pipeline."""
        m = Module()
        params = self.params
        beat_bits = 32 * params.lanes
        m.submodules.residuals = residuals = Memory(
            shape=unsigned(beat_bits), depth=max(2, params.columns * params.x_stride), init=[]
        )
        x_in, x_out = residuals.write_port(), residuals.read_port()
        m.d.comb += [
            x_in.en.eq(self.x_write.valid),
            x_in.addr.eq(self.x_write.p.address),
            x_in.data.eq(self.x_write.p.data),
        ]

        enable, take = Signal(), Signal()
        valid = [Signal(name=f"valid_{stage}") for stage in (1, 2)]
        y = [Signal(params.floats, name=f"y_{stage}", reset_less=True) for stage in (1, 2)]
        tag = [Signal(params.operand_tag, name=f"tag_{stage}", reset_less=True) for stage in (1, 2)]
        m.submodules.slice = slice_ = RegisterSlice(params.operands, entries=params.slice_entries)
        wiring.connect(m, slice_.o, wiring.flipped(self.o))
        out = slice_.i.p
        m.d.comb += [
            slice_.i.valid.eq(valid[1]),
            out.y.eq(y[1]),
            out.x.eq(Mux(self.uses_x, x_out.data, 0)),
            out.tag.eq(tag[1].tag),
            enable.eq(~valid[1] | slice_.i.ready),
            take.eq(enable & self.i.valid & self.i_tags.valid),
            self.i.ready.eq(enable & self.i_tags.valid),
            self.i_tags.ready.eq(enable & self.i.valid),
            x_out.en.eq(enable & valid[0] & self.uses_x),
            x_out.addr.eq(tag[0].tag.x_address),
        ]
        first, second = tag
        shift = params.row_beat_shift
        m.d.comb += out.w.eq(
            self._table(
                m,
                "tables",
                params.table_rows,
                write=self.table_write,
                enable=enable & valid[0] & self.uses_table,
                row=first.table_row,
                beat=second.table_beat,
            )
        )
        if params.biases:
            bias = self._table(
                m,
                "biases",
                params.bias_rows,
                write=self.bias_write,
                enable=enable & valid[0] & self.uses_bias,
                row=first.bias_beat >> shift,
                beat=second.bias_beat[:shift],
            )
            m.d.comb += out.x.eq(Mux(self.uses_bias, bias, Mux(self.uses_x, x_out.data, 0)))
        if params.head_norms:
            norm = self._table(
                m,
                "head_norms",
                params.head_norm_rows,
                write=self.head_norm_write,
                enable=enable & valid[0] & self.uses_head_norm,
                row=first.norm_beat >> shift,
                beat=second.norm_beat[:shift],
            )
            ones = Cat(Const(ONE, 32) for _ in range(params.lanes))
            m.d.comb += out.head_norm.eq(Mux(self.uses_head_norm, norm, ones))
        with m.If(enable):
            m.d.sync += [valid[0].eq(take), valid[1].eq(valid[0])]
        with m.If(take):
            m.d.sync += [y[0].eq(self.i.payload), tag[0].eq(self.i_tags.payload)]
        with m.If(enable & valid[0]):
            m.d.sync += [y[1].eq(y[0]), tag[1].eq(tag[0])]
        return m

    def _table(self, m: Module, name: str, rows: int, *, write: Any, enable: Value, row: Value, beat: Value) -> Value:
        """Add a memory; return the values of a beat, whose row is asked for in the stage before."""
        params = self.params
        # Wide and short: a tool that counts bits would take tables, twice as many as a slice of them can hold.
        table = Memory(shape=unsigned(8 * params.row_bytes), depth=max(2, rows), init=[], attrs={"ram_style": "block"})
        m.submodules[name] = table
        values_in, values_out = table.write_port(), table.read_port()
        m.d.comb += [
            values_in.en.eq(write.valid),
            values_in.addr.eq(write.p.address),
            values_in.data.eq(write.p.data),
            values_out.en.eq(enable),
            values_out.addr.eq(row),
        ]
        return values_out.data if params.row_beats == 1 else values_out.data.word_select(beat, 32 * params.lanes)
