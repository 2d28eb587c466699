"""Results wait here and leave in packets, column by column, as floats."""

from typing import Any

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2
from rtlm.hw.common.layouts import COLUMN_BITS, ROWS_BITS
from rtlm.hw.kernels.scale import ACC_BITS, scaled_result
from rtlm.hw.matmul.params import MatmulParams, accumulator_array

MARGIN = 4
"""Half entries kept free beyond those reserved: `room` is a register, and a matrix may end in half an entry."""


def result_job_layout(columns: int) -> data.StructLayout:
    """Return the layout of what the output side needs to know about a matrix."""
    return data.StructLayout(
        {"rows": ROWS_BITS, "packet_shift": 4, "columns_active": COLUMN_BITS, "r": data.ArrayLayout(32, columns)}
    )


class ResultOrder(wiring.Component):
    """Hold the accumulators of finished row groups; give them as floats, packet by packet, column by column.

    Protocol: a row group is announced by `reserve` (only while `room`) before its accumulators come with `i_valid`,
    which is never refused. `i_jobs` describes the matrices in order. The results of a matrix are split in packets of
    ``2**packet_shift`` rows (the last may be shorter); a packet leaves for column 0, then column 1, and so on to the
    last active column. Rows beyond the matrix are dropped. `done` pulses when the last result of a matrix leaves.

    Latency: `latency` cycles from `i_valid` to the first result of a row group.

    Throughput: `vector_lanes` results a cycle.

    Numerics: ``y = F32(acc * 2**-24) * r``.

    Parameters
    ----------
    params
        Size of the matrix unit.
    clock_mhz, technology
        Clock and operator delays that the float pipeline is scheduled for.

    Ports
    -----
    room, reserve, reserve_eight, reserve_end
        Space for a row group; whether its weights have 8 bits (half as many rows), whether it is the last of a matrix.
    i_valid, i, i_eight, i_end
        Accumulators of a row group; with 8-bit weights only the even rows count.
    i_jobs
        Rows (a multiple of `vector_lanes`), packet size, active columns and scalars of a matrix.
    o
        Results.
    done
        Pulse for each matrix.
    """

    def __init__(self, params: MatmulParams, *, clock_mhz: float, technology: str = "generic"):
        self._params = params
        self._pipeline: dict[str, Any] = {"clock_mhz": clock_mhz, "technology": technology}
        self._floats = scaled_result.component(lanes=params.vector_lanes, **self._pipeline, tag=unsigned(1))
        super().__init__(
            {
                "room": Out(1),
                "reserve": In(1),
                "reserve_eight": In(1),
                "reserve_end": In(1),
                "i_valid": In(1),
                "i": In(data.ArrayLayout(accumulator_array(params.rows), params.columns)),
                "i_eight": In(1),
                "i_end": In(1),
                "i_jobs": In(stream.Signature(result_job_layout(params.columns))),
                "o": Out(stream.Signature(data.StructLayout({"y": data.ArrayLayout(32, params.vector_lanes)}))),
                "done": Out(1),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from the accumulators of a row group to its first result."""
        return self.latency_of(**self._pipeline)

    @staticmethod
    def latency_of(*, clock_mhz: float, technology: str) -> int:
        """Return `latency` without making the component."""
        written_fetched_picked = 3
        return written_fetched_picked + scaled_result.schedule(clock_mhz=clock_mhz, technology=technology).latency

    def elaborate(self, platform) -> Module:
        """Build the memory, the reader and the float pipeline."""
        m = Module()
        params = self._params
        rows, lanes, columns = params.rows, params.vector_lanes, params.columns
        entries = params.ring_entries
        half_rows = rows // 2
        half_bits = exact_log2(half_rows)
        # Positions in the ring: entry, half, row; pointers carry one bit more to tell full from empty.
        half_pointer = exact_log2(entries) + 2
        row_pointer = half_pointer + half_bits

        def advanced(pointer, eight, end):
            """Next half entry: an 8-bit row group fills half an entry, a matrix ends with a whole one."""
            return Mux(eight & ~end, pointer + 1, Cat(Const(0, 1), (pointer[1:] + 1)[: half_pointer - 1]))[
                :half_pointer
            ]

        # Space.
        reserved = Signal(half_pointer)
        written = Signal(half_pointer)
        base = Signal(row_pointer)
        used = Signal(half_pointer)
        m.d.comb += used.eq(reserved - base[half_bits:])
        with m.If(self.reserve):
            m.d.sync += reserved.eq(advanced(reserved, self.reserve_eight, self.reserve_end))
        # One row group may be reserved while `room` is being updated: two entries of margin cover both.
        m.d.sync += self.room.eq(used < 2 * entries - MARGIN)

        # Memory: for each column two halves of an entry.
        with m.If(self.i_valid):
            m.d.sync += written.eq(advanced(written, self.i_eight, self.i_end))
        address = Signal(row_pointer)
        read_enable = Signal()
        read = []
        for c in range(columns):
            halves = []
            for half in range(2):
                memory = Memory(shape=unsigned(half_rows * ACC_BITS), depth=entries, init=[])
                m.submodules[f"ring_{c}_{half}"] = memory
                w, r = memory.write_port(), memory.read_port()
                even = Cat(self.i[c][2 * i] for i in range(half_rows))
                plain = Cat(self.i[c][half * half_rows + i] for i in range(half_rows))
                m.d.comb += [
                    w.addr.eq(written[1:-1]),
                    w.data.eq(Mux(self.i_eight, even, plain)),
                    w.en.eq(self.i_valid & (~self.i_eight | (written[0] == half))),
                    r.addr.eq(address[half_bits + 1 : -1]),
                    r.en.eq(read_enable),
                ]
                halves.append(r.data)
            read.append(Cat(halves))

        # The reader walks over the matrix: packets, their columns, their rows.
        job = Signal(result_job_layout(columns), reset_less=True)
        count_bits = params.max_packet_rows.bit_length()
        active, loaded = Signal(), Signal()
        packet, position = Signal(count_bits), Signal(count_bits)
        column = Signal(4)
        # Of the packet: a column of it is one beat, it is the matrix's last; column and position: they are the last.
        short, last_packet, last_column, column_end = Signal(), Signal(), Signal(), Signal()
        following = Signal(row_pointer)  # where the next packet begins
        m.d.comb += self.i_jobs.ready.eq(~active)
        with m.If(~active):
            # A matrix starts with a whole entry.
            m.d.sync += base.eq(base + (-base)[: half_bits + 1])
        with m.If(~active & self.i_jobs.valid):
            m.d.sync += [job.eq(self.i_jobs.payload), active.eq(1)]
        with m.If(active & ~loaded):
            full_packet = (Const(1, 1) << job.packet_shift)[:count_bits]
            one_beat = (job.rows == lanes) | (full_packet == lanes)
            size = Mux(job.rows < full_packet, job.rows, full_packet)
            m.d.sync += [
                packet.eq(size),
                following.eq(base + size),
                address.eq(base),
                short.eq(one_beat),
                column_end.eq(one_beat),
                last_packet.eq(job.rows <= full_packet),
                last_column.eq(job.columns_active == 1),
                loaded.eq(1),
            ]

        # One register in the memory, one behind the selection of column and lanes.
        m.submodules.floats = floats = self._floats
        fetched, picked = Signal(), Signal()
        move_fetched, move_picked = Signal(), Signal()
        m.d.comb += [
            move_picked.eq(~picked | floats.i.ready),
            move_fetched.eq(~fetched | move_picked),
        ]
        packet_end, job_end = Signal(), Signal()
        m.d.comb += [
            packet_end.eq(column_end & last_column),
            job_end.eq(packet_end & last_packet),
        ]
        fetched_column, fetched_part, fetched_last = Signal(4), Signal(max(1, exact_log2(rows // lanes))), Signal()
        fetched_r = Signal(32, reset_less=True)
        m.d.comb += read_enable.eq(loaded & (address[half_bits:] != written) & move_fetched)
        with m.If(move_fetched):
            m.d.sync += fetched.eq(read_enable)
        with m.If(read_enable):
            m.d.sync += [
                fetched_column.eq(column),
                fetched_part.eq(address[exact_log2(lanes) : half_bits + 1]),
                fetched_r.eq(job.r[column] if columns > 1 else job.r[0]),
                fetched_last.eq(job_end),
                position.eq(position + lanes),
                column_end.eq(position + 2 * lanes == packet),
                address.eq(address + lanes),
            ]
            with m.If(column_end):
                m.d.sync += [position.eq(0), column_end.eq(short), address.eq(base), column.eq(column + 1)]
                m.d.sync += last_column.eq(column + 2 == job.columns_active)
            with m.If(packet_end):
                m.d.sync += [column.eq(0), job.rows.eq(job.rows - packet), loaded.eq(0), base.eq(following)]
                with m.If(job_end):
                    m.d.sync += active.eq(0)

        picked_acc = Signal(lanes * ACC_BITS, reset_less=True)
        picked_r = Signal(32, reset_less=True)
        picked_last = Signal()
        with m.If(move_picked):
            m.d.sync += picked.eq(fetched)
        with m.If(fetched & move_picked):
            entry = Array(read)[fetched_column] if columns > 1 else read[0]
            m.d.sync += [
                picked_acc.eq(entry.word_select(fetched_part, lanes * ACC_BITS)),
                picked_r.eq(fetched_r),
                picked_last.eq(fetched_last),
            ]
        m.d.comb += [
            floats.i.valid.eq(picked),
            floats.i.payload.acc.as_value().eq(picked_acc),
            floats.i.payload.r.eq(picked_r),
            floats.i.payload.tag.eq(picked_last),
            self.o.valid.eq(floats.o.valid),
            self.o.payload.y.eq(floats.o.payload.result),
            floats.o.ready.eq(self.o.ready),
            self.done.eq(floats.o.valid & self.o.ready & floats.o.payload.tag),
        ]
        return m
