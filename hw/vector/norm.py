"""The normalisation's scalar: squares summed column by column, then the reciprocal root of their mean."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from rtlm.hw.common.clock_gate import add_pipeline
from rtlm.hw.kernels import rms_scale
from rtlm.hw.kernels.rmsnorm import SQUARE_BITS
from rtlm.hw.matmul.activations import vector_scale_layout
from rtlm.hw.vector.params import VectorParams

SUM_BITS = 64


def _add_saturating(a: Value, b: Value) -> Value:
    total = a + b
    if len(total) <= SUM_BITS:
        return total
    return Mux(total[SUM_BITS], (1 << SUM_BITS) - 1, total[:SUM_BITS])


class ColumnScale(wiring.Component):
    """Sum the squares of each column and give the column's scalar ``r``.

    Protocol: squares are always taken; `column_last` ends a column, whose sum then begins anew. `inv_n` and `eps` hold
    still from a column's last square until its scalar is there (`busy` is low when none is awaited).
    Latency: ``log2(lanes) + 1`` cycles and that of `rms_scale`. Throughput: one beat a cycle.
    Numerics: unit 2^-24, 64 bits, saturating; `rms_scale` in F32.

    Parameters
    ----------
    params
        Sizes.

    Ports
    -----
    i
        Squares of one beat, its column, whether the column is the last active one, whether the beat is its last.
    inv_n, eps
        F32 bits of 1/n and epsilon.
    o
        Column, whether it is the last active one, F32 bits of r.
    busy
        A column's scalar is on its way.
    """

    def __init__(self, params: VectorParams):
        self.params = params
        squares = data.StructLayout(
            {
                "square": data.ArrayLayout(SQUARE_BITS, params.lanes),
                "column": params.column_bits,
                "last_column": 1,
                "column_last": 1,
            }
        )
        super().__init__(
            {
                "i": In(stream.Signature(squares, always_ready=True)),
                "inv_n": In(32),
                "eps": In(32),
                "o": Out(stream.Signature(vector_scale_layout(params.columns), always_ready=True)),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the adder tree, the sums and the kernel."""
        m = Module()
        params = self.params
        where = data.StructLayout({"column": params.column_bits, "last_column": 1})
        scale = rms_scale.component(
            lanes=1,
            clock_mhz=params.clock_mhz,
            technology=params.technology,
            tag=where,
            busy=params.clock_gating,
        )
        add_pipeline(m, "scale", scale, gated=params.clock_gating)

        terms: list[Value] = [self.i.p.square[lane] for lane in range(params.lanes)]
        control: Value = Cat(self.i.p.column, self.i.p.last_column, self.i.p.column_last)
        valid: Value = self.i.valid
        level = 0
        while len(terms) > 1:
            sums = [Signal(SUM_BITS, name=f"sum_{level}_{i}", reset_less=True) for i in range(len(terms) // 2)]
            next_control = Signal(len(control), name=f"control_{level}", reset_less=True)
            next_valid = Signal(name=f"valid_{level}")
            m.d.sync += next_valid.eq(valid)
            with m.If(valid):
                m.d.sync += next_control.eq(control)
                m.d.sync += [s.eq(_add_saturating(terms[2 * i], terms[2 * i + 1])) for i, s in enumerate(sums)]
            terms, control, valid = list(sums), next_control, next_valid
            level += 1

        column, last_column, column_last = control[: params.column_bits], control[-2], control[-1]
        send = Signal()
        m.d.sync += send.eq(valid & column_last)
        for c in range(params.columns):
            # The top bit stays once it is set: a sum that went over stays over.
            total = Signal(SUM_BITS + 1, name=f"total_{c}")
            with m.If(valid & (column == c)):
                following = (total[:SUM_BITS] + terms[0]) | Cat(Const(0, SUM_BITS), total[SUM_BITS])
                m.d.sync += total.eq(Mux(column_last, 0, following))
                with m.If(column_last):
                    m.d.sync += scale.i.p.ss[0].eq(Mux(following[SUM_BITS], (1 << SUM_BITS) - 1, following))
        with m.If(valid & column_last):
            m.d.sync += [scale.i.p.tag.column.eq(column), scale.i.p.tag.last_column.eq(last_column)]
        m.d.comb += [
            scale.i.valid.eq(send),
            scale.i.p.inv_n[0].eq(self.inv_n),
            scale.i.p.eps[0].eq(self.eps),
            scale.o.ready.eq(1),
            self.o.valid.eq(scale.o.valid),
            self.o.p.column.eq(scale.o.p.tag.column),
            self.o.p.last_column.eq(scale.o.p.tag.last_column),
            self.o.p.r.eq(scale.o.p.result[0]),
        ]
        ended, given = self.i.valid & self.i.p.column_last, scale.o.valid
        pending = Signal(range(params.columns + 1))
        with m.If(ended & ~given):
            m.d.sync += pending.eq(pending + 1)
        with m.If(given & ~ended):
            m.d.sync += pending.eq(pending - 1)
        m.d.comb += self.busy.eq(pending != 0)
        return m
