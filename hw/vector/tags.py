"""Where each beat belongs: column, block or head, residual address, table address, and what it ends."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from rtlm.hw.common.layouts import COLUMN_BITS, ROWS_BITS
from rtlm.hw.vector.epilogue import Epilogue
from rtlm.hw.vector.params import PACKET_BITS, VectorParams


class BeatTagger(wiring.Component):
    """Return the tags of a command's beats in the order in which the beats arrive.

    Protocol: `start` for one cycle with the command's fields, when no tag of an earlier command is left. Matrix results
    come packet by packet, in a packet's turn for each column; attention results (QUANTISE) column after column; an
    embedding (EMBED) is one column.
    Latency: the first tag is there two cycles after `start`. Throughput: one tag a cycle.

    Parameters
    ----------
    params
        Sizes.

    Ports
    -----
    start, epilogue, rows, column
        The command.
    columns_active
        Columns in use.
    first_head
        ROPE_Q, ROPE_K and VALUE, where there are biases: the head among all heads at which the command's biases begin.
    o
        Tag, and the address of the table values.
    """

    def __init__(self, params: VectorParams):
        self.params = params
        super().__init__(
            {
                "start": In(1),
                "epilogue": In(Epilogue),
                "rows": In(ROWS_BITS),
                "column": In(COLUMN_BITS),
                "columns_active": In(COLUMN_BITS),
                **({"first_head": In(params.bias_head_bits)} if params.biases else {}),
                "o": Out(stream.Signature(params.operand_tag)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the counters."""
        m = Module()
        params = self.params
        beat_bits = ROWS_BITS - params.lane_shift
        longest = max(params.block_beats, params.head_beats, params.pair_beats)
        active = Signal()
        single, whole_columns, rotation = Signal(), Signal(), Signal()
        last_within = Signal(range(longest))
        last_beat, last_but_one = Signal(beat_bits), Signal(beat_bits)
        last_active = Signal(params.column_bits)
        within = Signal(range(longest))
        beat, packet_start = Signal(beat_bits), Signal(beat_bits)
        x_address, x_start = Signal(params.x_bits), Signal(params.x_bits)
        rope_start = Signal(params.table_bits, init=params.norm_rows)
        index = Signal(PACKET_BITS)
        column = Signal(params.column_bits)
        bias_head, is_key = Signal(params.bias_head_bits), Signal()

        # Whether a beat is its column's last is known a cycle before the beat.
        column_last, packet_last, last_column, turn_over = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            packet_last.eq(column_last | (within == last_within)),
            last_column.eq(column == last_active),
            # After the last column's packet the next packet begins; elsewhere the same packet of the next column.
            turn_over.eq(single | Mux(whole_columns, ~column_last, last_column)),
        ]

        advance, out = Signal(), Signal(params.operand_tag, reset_less=True)
        m.d.comb += [advance.eq(active & (~self.o.valid | self.o.ready)), self.o.payload.eq(out)]
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(advance):
            tag = out.tag
            final = column_last & (single | last_column)
            table = Mux(rotation, within, beat)
            m.d.sync += [
                self.o.valid.eq(1),
                tag.x_address.eq(x_address),
                tag.index.eq(index),
                tag.column.eq(column),
                tag.last_column.eq(last_column),
                tag.packet_last.eq(packet_last),
                tag.column_last.eq(column_last),
                tag.final.eq(final),
                out.table_row.eq(Mux(rotation, rope_start, 0) + (table >> params.row_beat_shift)),
                out.table_beat.eq(table[: params.row_beat_shift]),
                within.eq(Mux(packet_last, 0, within + 1)),
                beat.eq(beat + 1),
                column_last.eq(beat == last_but_one),
                x_address.eq(x_address + 1),
            ]
            # Where a head's biases and its norm lie; the key's norm behind the query's.
            within_head = within[: params.head_beat_shift]
            if params.biases:
                m.d.sync += out.bias_beat.eq(Cat(within_head, bias_head))
                with m.If(packet_last & turn_over):
                    m.d.sync += bias_head.eq(bias_head + 1)
            if params.head_norms:
                m.d.sync += out.norm_beat.eq(Cat(within_head, is_key))
            with m.If(final):
                m.d.sync += active.eq(0)
            with m.If(packet_last & turn_over):
                m.d.sync += [index.eq(index + 1), packet_start.eq(beat + 1)]
                with m.If(~single & ~whole_columns):
                    # Column 0 lies at the memory's start.
                    m.d.sync += [
                        column.eq(0),
                        x_address.eq(beat + 1),
                        x_start.eq(beat + 1),
                        rope_start.eq(params.norm_rows),
                    ]
            with m.Elif(packet_last):
                m.d.sync += [
                    column.eq(column + 1),
                    beat.eq(packet_start),
                    column_last.eq(packet_start == last_beat),
                    x_address.eq(x_start + params.x_stride),
                    x_start.eq(x_start + params.x_stride),
                    rope_start.eq(rope_start + params.rope_rows),
                ]
                with m.If(whole_columns):
                    m.d.sync += [beat.eq(0), column_last.eq(last_beat == 0), index.eq(0)]

        with m.If(self.start):
            embed = self.epilogue == Epilogue.EMBED
            beats = self.rows[params.lane_shift :]
            first_x = Mux(embed, self.column[: params.column_bits] * params.x_stride, 0)
            m.d.sync += [
                active.eq(1),
                single.eq(embed),
                whole_columns.eq(self.epilogue == Epilogue.QUANTISE),
                rotation.eq((self.epilogue == Epilogue.ROPE_Q) | (self.epilogue == Epilogue.ROPE_K)),
                last_beat.eq(beats - 1),
                last_but_one.eq(beats - 2),
                column_last.eq(beats == 1),
                last_active.eq(self.columns_active - 1),
                within.eq(0),
                beat.eq(0),
                packet_start.eq(0),
                index.eq(0),
                column.eq(Mux(embed, self.column, 0)),
                x_address.eq(first_x),
                x_start.eq(first_x),
                rope_start.eq(params.norm_rows),
            ]
            with m.Switch(self.epilogue):
                with m.Case(Epilogue.ROPE_Q, Epilogue.ROPE_K, Epilogue.VALUE):
                    m.d.sync += last_within.eq(params.head_beats - 1)
                with m.Case(Epilogue.SWIGLU):
                    m.d.sync += last_within.eq(params.pair_beats - 1)
                with m.Default():
                    m.d.sync += last_within.eq(params.block_beats - 1)
            if params.biases:
                m.d.sync += bias_head.eq(self.first_head)
            if params.head_norms:
                m.d.sync += is_key.eq(self.epilogue == Epilogue.ROPE_K)
        return m
