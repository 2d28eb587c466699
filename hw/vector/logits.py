"""The last results of a step: the arg-max of the logits, and the logits themselves on their way to memory."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2
from rtlm.hw.common.clock_gate import add_pipeline
from rtlm.hw.common.layouts import COLUMN_BITS, ROWS_BITS
from rtlm.hw.formats import BLOCK
from rtlm.hw.kernels import argmax
from rtlm.hw.vector.params import FLOAT_BYTES, VectorParams


class ArgMax(wiring.Component):
    """Find the largest logit of each column, and its index.

    Protocol: packets of 32 logits (the last of a column may be shorter), in a packet's turn for each column. A column's
    winner is there when its last beat has been counted; `done` pulses when that is so for the beat tagged `final`.
    Latency: that of the kernel `argmax` and one cycle. Throughput: one beat a cycle.
    Numerics: the largest F32, the lowest index among equals; -0 equals +0, a NaN is largest.

    Parameters
    ----------
    params
        Sizes.

    Ports
    -----
    i
        Logits with their tag.
    best_index, best_value
        Winner of each column and its logit (F32 bits).
    done
        All columns are complete.
    """

    def __init__(self, params: VectorParams):
        self.params = params
        beat = data.StructLayout({"y": params.floats, "tag": params.beat_tag})
        super().__init__(
            {
                "i": In(stream.Signature(beat)),
                "best_index": Out(data.ArrayLayout(ROWS_BITS, params.columns)),
                "best_value": Out(data.ArrayLayout(32, params.columns)),
                "done": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the kernel."""
        m = Module()
        params = self.params
        kernel = argmax.component(
            lanes=params.lanes, **params.pipeline, busy=params.gated, keys=params.columns, tag=unsigned(1)
        )
        add_pipeline(m, "kernel", kernel, params.clock_gating)
        tag = self.i.p.tag
        within = Signal(range(max(2, params.block_beats)))
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += within.eq(Mux(tag.packet_last, 0, within + 1))
        beat = Cat(within[: exact_log2(params.block_beats)], tag.index)
        m.d.comb += [
            kernel.i.valid.eq(self.i.valid),
            self.i.ready.eq(kernel.i.ready),
            kernel.i.p.logit.eq(self.i.p.y),
            kernel.i.p.last.eq(tag.column_last),
            kernel.i.p.tag.eq(tag.final),
            kernel.o.ready.eq(1),
        ]
        for lane in range(params.lanes):
            m.d.comb += kernel.i.p.index[lane].eq(Cat(Value.cast(lane + params.lanes)[: params.lane_shift], beat))

        best, column = kernel.o.p, 0
        if params.columns > 1:
            m.d.comb += kernel.i.p.key.eq(tag.column)
            column = best.key
        m.d.sync += self.done.eq(kernel.o.valid & best.tag)
        with m.If(kernel.o.valid):
            m.d.sync += [self.best_value[column].eq(best.logit), self.best_index[column].eq(best.index)]
        return m


class LogitWriter(wiring.Component):
    """Pack logits and write them, column after column apart, to memory, `params.write_bytes` at once.

    Column ``c`` lies ``c * ceil(4 * rows / word_bytes)`` words behind `address`. Packets of several columns alternate,
    so what is gathered before it leaves is at most a packet: where more is written at once, it is in several parts.

    Protocol: `start` for one cycle with the command's fields, then exactly the command's beats. `last` marks the final
    write, and every one after which the address does not continue in the next one.
    Latency: one cycle from the beat that completes a write. Throughput: one beat a cycle.

    Parameters
    ----------
    params
        Sizes.

    Ports
    -----
    start, address, rows, columns_active
        The command.
    i
        Logits with their tag.
    o
        Writes to memory.
    busy
        A write is incomplete or has not been taken.
    """

    def __init__(self, params: VectorParams):
        self.params = params
        beat = data.StructLayout({"y": params.floats, "tag": params.beat_tag})
        super().__init__(
            {
                "start": In(1),
                "address": In(params.address_bits),
                "rows": In(ROWS_BITS),
                "columns_active": In(COLUMN_BITS),
                "i": In(stream.Signature(beat)),
                "o": Out(stream.Signature(params.word_write)),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build addresses and packer."""
        m = Module()
        params = self.params
        part_bytes = min(params.write_bytes, FLOAT_BYTES * BLOCK)
        parts = params.write_bytes // part_bytes
        slots = part_bytes // (FLOAT_BYTES * params.lanes)
        beat_bits = 32 * params.lanes
        columns = range(params.columns)

        # The start addresses of the columns, one a cycle.
        setup = Signal()
        setup_column = Signal(range(params.columns + 1))
        next_address, step = (
            Signal(params.address_bits, name=name, reset_less=True) for name in ("next_address", "step")
        )
        addresses = [Signal(params.address_bits, name=f"address_{c}", reset_less=True) for c in columns]
        with m.If(setup):
            m.d.sync += [next_address.eq(next_address + step), setup_column.eq(setup_column + 1)]
            for c in columns:
                with m.If(setup_column == c):
                    m.d.sync += addresses[c].eq(next_address)
            with m.If(setup_column == params.columns - 1):
                m.d.sync += setup.eq(0)
        with m.If(self.start):
            words = (self.rows * FLOAT_BYTES + params.word_bytes - 1) >> exact_log2(params.word_bytes)
            beats = words * params.beats_per_word
            m.d.sync += [setup.eq(1), setup_column.eq(0), next_address.eq(self.address), step.eq(beats)]

        # Beats shift in from the top; a short packet is followed by empty ones until its first beat is at the bottom.
        gathered = Signal(8 * part_bytes, reset_less=True)
        filled = Signal(slots)
        count = Signal(range(slots + 1))
        flushing, final, part_of_packet_end = Signal(), Signal(), Signal()
        column = Signal(params.column_bits)
        part = Signal(range(max(2, parts)))
        full = count == slots
        leave = full & self.o.ready
        shift = Signal()
        m.d.comb += [
            self.i.ready.eq(~setup & ~flushing & (~full | self.o.ready)),
            shift.eq((self.i.valid & self.i.ready) | (flushing & ~full)),
        ]
        with m.If(shift):
            incoming = Mux(flushing, 0, self.i.p.y.as_value())
            m.d.sync += [
                gathered.eq(Cat(gathered[beat_bits:], incoming)),
                filled.eq(Cat(filled[1:], ~flushing)),
                count.eq(Mux(full, 1, count + 1)),
            ]
        with m.Elif(leave):
            m.d.sync += count.eq(0)
        with m.If(self.i.valid & self.i.ready):
            tag = self.i.p.tag
            m.d.sync += [
                column.eq(tag.column),
                final.eq(tag.final),
                part_of_packet_end.eq(tag.packet_last),
                flushing.eq(tag.packet_last & (count != slots - 1) & ~(full & (slots == 1))),
            ]
            if parts > 1:
                m.d.sync += part.eq(tag.index)
        with m.Elif(leave):
            m.d.sync += flushing.eq(0)
        with m.If(leave):
            for c in columns:
                with m.If((column == c) & (part == parts - 1)):
                    m.d.sync += addresses[c].eq(addresses[c] + params.write_beats)

        strobe = Cat(bit.replicate(FLOAT_BYTES * params.lanes) for bit in filled)
        m.d.comb += [
            self.o.valid.eq(full),
            self.o.p.address.eq(Array(addresses)[column]),
            self.o.p.data.eq(gathered.replicate(parts)),
            self.o.p.strobe.eq(strobe << (part * part_bytes) if parts > 1 else strobe),
            self.o.p.last.eq(final | (parts > 1) | (part_of_packet_end & (self.columns_active != 1))),
            self.busy.eq(setup | (count != 0)),
        ]
        return m
