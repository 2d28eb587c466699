"""Loads: words from memory into the tables of normalisation weights and rotations, biases and head norms."""

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2
from rtlm.hw.common.layouts import COLUMN_BITS, ROWS_BITS
from rtlm.hw.vector.params import FLOAT_BYTES, VectorParams


class TableLoader(wiring.Component):
    """Write words into the normalisation weight, a column's rotations, or a table of its own.

    Protocol: `start` for one cycle, while `busy` is low, with the command's fields; then
    ``ceil(4 * rows / word_bytes)`` words are taken.
    Latency: a word is written in the cycle in which it is taken. Throughput: a row of a table a cycle.

    Parameters
    ----------
    params
        Sizes.

    Ports
    -----
    start, rotation, rows, column
        The command: rotations of `column` or a table from its start; number of floats.
    i_words
        Words from memory.
    o
        Table writes.
    busy
        Words are awaited.
    """

    def __init__(self, params: VectorParams):
        self.params = params
        super().__init__(
            {
                "start": In(1),
                "rotation": In(1),
                "rows": In(ROWS_BITS),
                "column": In(COLUMN_BITS),
                "i_words": In(stream.Signature(unsigned(8 * params.word_bytes))),
                "o": Out(stream.Signature(params.table_write, always_ready=True)),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the counter."""
        m = Module()
        params = self.params
        address = Signal(params.load_bits)
        left = Signal(ROWS_BITS)
        row = Signal(range(params.word_rows))
        last_row = row == params.word_rows - 1
        word = self.i_words.payload
        m.d.comb += [
            self.i_words.ready.eq(self.busy & last_row),
            self.o.valid.eq(self.busy & self.i_words.valid),
            self.o.p.address.eq(address),
            self.o.p.data.eq(word if params.word_rows == 1 else word.word_select(row, 8 * params.row_bytes)),
        ]
        with m.If(self.o.valid):
            m.d.sync += [address.eq(address + 1), row.eq(row + 1)]
        with m.If(self.o.valid & last_row):
            m.d.sync += [left.eq(left - 1), self.busy.eq(left != 1)]
        with m.If(self.start):
            words = (self.rows * FLOAT_BYTES + params.word_bytes - 1) >> exact_log2(params.word_bytes)
            rope = params.norm_rows + self.column[: params.column_bits] * params.rope_rows
            m.d.sync += [left.eq(words), address.eq(Mux(self.rotation, rope, 0)), self.busy.eq(1)]
        return m
