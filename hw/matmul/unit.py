"""The matrix unit: streams a blocked matrix past the activation vectors of a bank."""

from collections.abc import Iterable

import numpy as np
from amaranth.hdl import Array, Const, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from numpy.typing import NDArray
from rtlm.hw.common.layouts import COLUMN_BITS, ROWS_BITS, SCALE_BITS
from rtlm.hw.common.stages import held_value
from rtlm.hw.formats import DEFAULT_FORMATS, MAX_GROUP_SHIFT, BlockFormat, Blocks, code_bits
from rtlm.hw.formats.description import HALF_BITS
from rtlm.hw.hls import Directives, Kernel
from rtlm.hw.hls.sharing import shared_within
from rtlm.hw.kernels import scaled_result
from rtlm.hw.kernels.matmul import FACTOR_BITS, SUM_BITS, ZERO_BITS, general_row_group, row_group
from rtlm.hw.matmul.activations import ONE, ActivationRead
from rtlm.hw.matmul.array import DotArray
from rtlm.hw.matmul.model import accumulate
from rtlm.hw.matmul.params import MatmulParams
from rtlm.hw.matmul.result_order import ResultOrder, result_job_layout
from rtlm.hw.matmul.scales import TileScales
from rtlm.hw.matmul.side_words import SideWords, is_one_of

__all__ = ["MATMUL_COMMAND", "MatmulParams", "MatrixUnit", "matmul_command"]


def matmul_command(formats: Iterable[BlockFormat]) -> data.StructLayout:
    """Return the layout of a matrix product's command.

    It has the `BlockFormat`, log2 of the blocks that share a scale (3 for super-blocks), blocks in a row (not 0, a
    multiple of ``1 << group_shift``), rows (a multiple of the vector lanes, not 0), bank that holds the activations,
    log2 of the rows of a result packet, active columns. The unit relies on it; the sequencer refuses other values
    (`rtlm.hw.control.legality`).

    Parameters
    ----------
    formats
        Formats of the matrices.
    """
    return data.StructLayout(
        {
            "format": unsigned(code_bits(formats)),
            "group_shift": unsigned(2),
            "k_blocks": unsigned(16),
            "rows": unsigned(ROWS_BITS),
            "bank": unsigned(1),
            "packet_shift": unsigned(4),
            "columns_active": unsigned(COLUMN_BITS),
        }
    )


MATMUL_COMMAND = matmul_command(DEFAULT_FORMATS)
"""The command of a unit that has no other formats."""

MAX_IN_FLIGHT = 7
"""Matrices between their command and their last result."""

JOBS = 2
"""Matrices whose description can wait for the output side."""


class MatrixUnit(wiring.Component):
    """Multiply matrices, streamed in tile order, with the activation vectors of a bank.

    Protocol: a command starts when the one before has taken its last word; its words follow directly, scales before
    their tiles (`rtlm.hw.formats.tiles`). A word waits while its block is not yet valid in the bank, and the last word
    of a row group while there is no room for its results. `i_command` is ready only when every earlier command has seen
    all of its blocks and has taken the scalars of its vectors: from then on the bank may be cleared.

    Latency: `latency` cycles from the last word of a row group to its first result; with `word_cycles` above 1 up to
    ``word_cycles - 1`` more, as the accumulators of rows share operators.

    Throughput: a word a cycle (a word each `word_cycles` cycles with fewer than 128 lanes), also across commands;
    a scale word takes a cycle (none where it hides behind the cycles of a word). Of the words 1 in 5, 9 or 17 holds
    scales (`Q4_1`, `Q4_0`, `Q8_0`), with scales for groups of 128 weights 1 in 17, 33 or 65. Formats with super-blocks
    have a word of factors for 8 tiles, those of 5 and 6 bits a word of upper bits for 4 and 2 tiles. A word of a format
    of 2 or 3 bits takes two cycles (two times `word_cycles`), one for each of its tiles.

    Numerics: see docs/numerics.md, "Matrix product"; `model`.

    Parameters
    ----------
    params
        Size of the unit.

    Ports
    -----
    i_command
        Matrix products, in order.
    i_words
        Words in tile order.
    read
        Read side of the activation banks.
    o
        Results: `vector_lanes` F32 a beat; packet by packet of ``2**packet_shift`` rows, in a packet column by column.
    busy, starved, blocked_activation, blocked_output
        What the array does in this cycle, at most one: works on weights; could take a word but none is there; waits for
        an activation block; waits for room for results.
    idle
        No command waits and no result is on its way.
    """

    def __init__(self, params: MatmulParams):
        self.params = params
        self._results = ResultOrder(params, **params.pipeline)
        super().__init__(
            {
                "i_command": In(stream.Signature(matmul_command(params.formats))),
                "i_words": In(stream.Signature(unsigned(params.word_bits))),
                "read": Out(ActivationRead(params.columns, params.max_k_blocks)),
                "o": Out(stream.Signature(data.StructLayout({"y": data.ArrayLayout(32, params.vector_lanes)}))),
                "busy": Out(1),
                "starved": Out(1),
                "blocked_activation": Out(1),
                "blocked_output": Out(1),
                "idle": Out(1),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from the last word of a row group to its first result."""
        return self.latency_of(self.params)

    @staticmethod
    def latency_of(params: MatmulParams) -> int:
        """Return `latency` of a unit without making it."""
        word_register = 1
        # Further steps of a word, and the register in which its sums wait.
        steps = 0 if params.word_cycles == 1 else params.word_cycles
        accumulators = _row_group(params).schedule(row_group_directives(params)).latency
        array, results = DotArray.latency_of(params), ResultOrder.latency_of(**params.pipeline)
        return word_register + steps + array + accumulators + results

    @staticmethod
    def model(
        weights: Blocks, a: NDArray[np.int16], scale: NDArray[np.uint16], r: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Compute the results of a command.

        Parameters
        ----------
        weights
            Matrix of (rows, blocks).
        a
            Activations, shape (columns, blocks, 32).
        scale
            Their BF16 scales as bit patterns, shape (columns, blocks).
        r
            Scalars, shape (columns,); 1 for bank 1.

        Returns
        -------
        NDArray[np.float32]
            Shape (columns, rows).
        """
        acc = accumulate(weights, a, scale)
        return np.stack([scaled_result.model(row, factor) for row, factor in zip(acc, r, strict=True)])

    @staticmethod
    def order(y: NDArray[np.float32], packet_rows: int) -> NDArray[np.float32]:
        """Put results of shape (columns, rows) in the order in which they leave, shape (columns * rows,)."""
        rows = y.shape[1]
        return np.concatenate([y[:, i : i + packet_rows].reshape(-1) for i in range(0, rows, packet_rows)])

    def elaborate(self, platform) -> Module:
        """Build the front, which matches words with commands and blocks, and connect the parts."""
        m = Module()
        params = self.params
        m.submodules.array = array = DotArray(params, tag=tile_layout(params))
        m.submodules.scales = scales = TileScales(params)
        m.submodules.accumulate = accumulate = _row_group(params).component(
            row_group_directives(params), tag=data.StructLayout({"eight": 1, "end": 1})
        )
        m.submodules.results = results = self._results
        wiring.connect(m, results.o, wiring.flipped(self.o))

        # Commands: one in progress, one that follows, one of them perhaps still without its scalars.
        following, current, newest = (
            Signal(self.i_command.payload.shape(), name=name, reset_less=True)
            for name in ("following", "current", "newest")
        )
        following_valid, current_valid = Signal(), Signal()
        in_flight = Signal(range(MAX_IN_FLIGHT + 1))
        incomplete = Signal()
        jobs = [Signal(result_job_layout(params.columns), name=f"job_{i}", reset_less=True) for i in range(JOBS)]
        job_count = Signal(range(JOBS + 1))
        accepted = Signal()
        m.d.comb += [
            self.i_command.ready.eq(~following_valid & ~incomplete & (in_flight != MAX_IN_FLIGHT)),
            accepted.eq(self.i_command.valid & self.i_command.ready),
            self.idle.eq(in_flight == 0),
        ]
        with m.If(accepted):
            m.d.sync += [following.eq(self.i_command.payload), newest.eq(self.i_command.payload)]
            m.d.sync += [following_valid.eq(1), incomplete.eq(1)]
        with m.If(accepted & ~results.done):
            m.d.sync += in_flight.eq(in_flight + 1)
        with m.Elif(results.done & ~accepted):
            m.d.sync += in_flight.eq(in_flight - 1)

        # A command's blocks and scalars are seen before the next command may clear the bank.
        count = Array(self.read.count[b] for b in range(2))
        job_out = results.i_jobs.valid & results.i_jobs.ready
        complete = Signal()
        m.d.comb += [
            results.i_jobs.valid.eq(job_count != 0),
            results.i_jobs.payload.eq(jobs[0]),
            complete.eq(
                incomplete
                & (job_count != JOBS)
                & (newest.bank | self.read.r_valid)
                & (count[newest.bank] >= newest.k_blocks)
            ),
        ]
        with m.If(complete):
            m.d.sync += incomplete.eq(0)
        with m.If(complete | job_out):
            m.d.sync += job_count.eq(job_count + complete - job_out)
        with m.If(job_out):
            m.d.sync += jobs[0].eq(jobs[1])
        job = Signal(result_job_layout(params.columns))
        m.d.comb += [
            job.rows.eq(newest.rows),
            job.packet_shift.eq(newest.packet_shift),
            job.columns_active.eq(newest.columns_active),
        ]
        m.d.comb += [job.r[c].eq(Mux(newest.bank, ONE, self.read.r[c])) for c in range(params.columns)]
        with m.If(complete):
            with m.If(job_count == job_out):
                m.d.sync += jobs[0].eq(job)
            with m.Else():
                m.d.sync += jobs[1].eq(job)

        # The tile in turn.
        eight = Signal()
        minimum = Signal()
        control = Signal(tile_control(params))
        # Of formats with scales of a byte a scale word lasts as long as with 8-bit weights.
        short = is_one_of(current.format, (format for format in params.formats if format.has_short_scales))
        lasting = eight | short if params.short_scales else eight
        part, advance = Signal(2), Signal()
        block = Signal(params.block_bits)
        last_block, last_group, first_group = Signal(), Signal(), Signal()
        remaining = Signal(len(current.rows))
        # Tiles of the scale word that are done count in groups, those of a group apart.
        tile, in_group, group_end = Signal(4), Signal(MAX_GROUP_SHIFT), Signal()
        want_scales = Signal()
        group_rows = Mux(eight, params.rows // 2, params.rows)
        of_eight = [format for format in params.formats if format.has_eight_bits]
        with_minima = [format for format in params.formats if format.has_minimum and format.scale_bytes]
        with_own_scales = [format for format in params.formats if format.has_scales_in_factors]
        m.d.comb += [
            eight.eq(is_one_of(current.format, of_eight)),
            minimum.eq(is_one_of(current.format, with_minima)),
            group_end.eq((in_group | ~((Const(1) << current.group_shift) - 1)[:MAX_GROUP_SHIFT]).all()),
        ]
        word_valid, step, last_step = Signal(), Signal.like(array.i_step), Signal()
        take_scales, take_tile = Signal(), Signal()
        tile_ready, block_there, room = Signal(), Signal(), Signal()
        # Scale words stand before the other words between tiles.
        side = SideWords(params) if params.general else None
        want_word = want_scales | side.wanted if side else want_scales
        # Of words of pairs the second tile is still there.
        held = side.held if side else Const(0)
        can_take = tile_ready & block_there & room
        there = self.i_words.valid | held if params.paired else self.i_words.valid
        # Whether the bank has the block, a cycle late; a command begins with a scale word, which needs none.
        written, load_command = Signal(), Signal()
        m.d.sync += written.eq((count[current.bank] > Mux(take_tile, block + 1, block)) & ~load_command)
        m.d.comb += [
            last_step.eq(step == params.word_cycles - 1),
            # Of a command that is complete, the bank may already be empty again for the next writer.
            block_there.eq(~first_group | following_valid | ~incomplete | written),
            room.eq(~last_block | results.room),
            tile_ready.eq(current_valid & ~want_word & (~word_valid | last_step)),
            self.i_words.ready.eq((current_valid & want_word) | (can_take & ~held if params.paired else can_take)),
            take_scales.eq(self.i_words.valid & current_valid & want_scales),
            take_tile.eq(there & tile_ready & block_there & room),
            self.busy.eq(word_valid),
            self.starved.eq(self.i_words.ready & ~self.i_words.valid),
            self.blocked_activation.eq(tile_ready & ~block_there),
            self.blocked_output.eq(tile_ready & block_there & ~room),
        ]
        with m.If(take_scales):
            m.d.sync += want_scales.eq(0)
        with m.If(take_tile):
            m.d.sync += [block.eq(block + 1), last_block.eq(block + 2 == current.k_blocks), in_group.eq(in_group + 1)]
            run_end = Mux(lasting, tile == 15, Mux(minimum, tile[:2] == 3, tile[:3] == 7))
            with m.If(group_end):
                m.d.sync += [tile.eq(tile + 1), in_group.eq(0)]
                with m.If(run_end):
                    m.d.sync += [want_scales.eq(~side.within if side else 1), tile.eq(0)]
            with m.If(last_block):
                m.d.sync += [
                    block.eq(0),
                    last_block.eq(current.k_blocks == 1),
                    first_group.eq(0),
                    remaining.eq(remaining - group_rows),
                    last_group.eq(remaining <= group_rows << 1),
                ]
                with m.If(last_group):
                    m.d.comb += load_command.eq(1)
        with m.If(~current_valid):
            m.d.comb += load_command.eq(1)
        with m.If(load_command):
            m.d.sync += current_valid.eq(following_valid)
            with m.If(following_valid):
                m.d.sync += [
                    current.eq(following),
                    following_valid.eq(0),
                    block.eq(0),
                    last_block.eq(following.k_blocks == 1),
                    first_group.eq(1),
                    remaining.eq(following.rows),
                    last_group.eq(
                        following.rows <= Mux(is_one_of(following.format, of_eight), params.rows // 2, params.rows)
                    ),
                    want_scales.eq(~is_one_of(following.format, with_own_scales) if side else 1),
                    tile.eq(0),
                    in_group.eq(0),
                ]

        # A word and its activation block stand side by side.
        word = Signal(params.word_bits, reset_less=True)
        m.d.comb += [
            self.read.enable.eq(take_tile),
            self.read.bank.eq(current.bank),
            self.read.block.eq(block),
            results.reserve.eq(take_tile & last_block),
            results.reserve_eight.eq(eight),
            results.reserve_end.eq(last_group),
        ]
        with m.If(take_tile & ~held if params.paired else take_tile):
            m.d.sync += word.eq(self.i_words.payload)
        with m.If(take_tile):
            m.d.sync += [
                part.eq(tile[:2]),
                advance.eq(group_end & Mux(lasting, tile[:2] == 3, minimum | tile[0])),
                control.eight.eq(eight),
                control.minimum.eq(minimum),
                control.last.eq(last_block),
                control.end.eq(last_block & last_group),
            ]
        if params.word_cycles == 1:
            m.d.sync += word_valid.eq(take_tile)
        else:
            with m.If(word_valid):
                m.d.sync += step.eq(step + 1)
            with m.If(take_tile):
                m.d.sync += word_valid.eq(1)
            with m.Elif(last_step):
                m.d.sync += word_valid.eq(0)

        # A word's scales and sums accompany it from the operand registers on.
        tile_in = array.i_tag
        beside = Signal(tile_layout(params), reset_less=True)
        with m.If(word_valid):
            m.d.sync += beside.control.eq(control)
            for c in range(params.columns):
                m.d.sync += [beside.s[c].eq(self.read.data[c].s), beside.suma[c].eq(self.read.data[c].suma)]
        m.d.comb += [
            scales.load.eq(take_scales),
            scales.word.eq(self.i_words.payload),
            scales.take.eq(word_valid & (step == 0)),
            scales.eight.eq(control.eight),
            scales.minimum.eq(control.minimum),
            scales.part.eq(part),
            scales.advance.eq(advance),
            array.i_valid.eq(word_valid),
            array.i_step.eq(step),
            array.word.eq(word),
            tile_in.control.eq(beside.control),
            tile_in.s.eq(beside.s),
            tile_in.suma.eq(beside.suma),
            tile_in.d.eq(scales.d),
            tile_in.m.eq(scales.m),
        ]
        m.d.comb += [array.a[c].eq(self.read.data[c].a) for c in range(params.columns)]
        if side:
            m.submodules.side_words = side
            m.d.comb += [
                side.load.eq(load_command & following_valid),
                side.following.eq(following.format),
                side.turn.eq(self.i_words.valid & current_valid & ~want_scales),
                side.word.eq(self.i_words.payload),
                side.take_tile.eq(take_tile),
                side.part.eq(in_group),
                side.format.eq(current.format),
                side.take.eq(scales.take),
                side.take_halved.eq(control.halved),
                side.take_weighed.eq(control.weighed),
                side.take_within.eq(control.within),
            ]
            with m.If(take_tile):
                m.d.sync += [
                    control.zero.eq(side.zero),
                    control.halved.eq(side.halved),
                    control.weighed.eq(side.weighed),
                    control.within.eq(side.within),
                ]
            if params.upper_bits:
                m.d.comb += array.upper.eq(side.upper)
            if params.tables:
                tables = Signal.like(array.tables)
                with m.If(take_tile):
                    m.d.sync += tables.eq(side.tables)
                m.d.comb += array.tables.eq(tables)
            if params.paired:
                paired, second = Signal(), Signal()
                with m.If(take_tile):
                    m.d.sync += [paired.eq(side.paired), second.eq(held)]
                m.d.comb += [array.paired.eq(paired), array.second.eq(second)]
            if params.short_scales:
                of_short = Signal()
                with m.If(take_tile):
                    m.d.sync += of_short.eq(short)
                m.d.comb += scales.short.eq(of_short)
            if params.halved:
                m.d.comb += scales.halved.eq(control.halved)
            if params.scales_in_factors:
                m.d.comb += [scales.given.eq(control.within), scales.given_d.eq(side.d), scales.given_m.eq(side.m)]
            if params.factored:
                m.d.comb += [tile_in.f.eq(side.f), tile_in.g.eq(side.g)]

        # Where words are cycles apart, sums wait for the turn of the operators that they share.
        sums = [array.o, array.o_tag, *((array.o_second, array.o_half) if params.halved else ())]
        summing = array.o_valid
        if params.word_cycles > 1:
            sums = [held_value(m, array.o_valid, each, f"sums_{n}") for n, each in enumerate(sums)]
            summing = Signal()
            with m.If(array.o_valid):
                m.d.sync += summing.eq(1)
            with m.Elif(accumulate.i.ready):
                m.d.sync += summing.eq(0)
        of_rows, summed, *of_halves = sums
        into = accumulate.i.p
        for r in range(params.rows):
            m.d.comb += [into[f"d_{r}"][0].eq(summed.d[r]), into[f"m_{r}"][0].eq(summed.m[r])]
            for c in range(params.columns):
                m.d.comb += into[f"sums_{c}_{r}"][0].eq(of_rows[c][r])
                m.d.comb += results.i[c][r].eq(accumulate.o.p[f"result_{c}_{r}"])
        for c in range(params.columns):
            m.d.comb += [into[f"s_{c}"][0].eq(summed.s[c]), into[f"suma_{c}"][0].eq(summed.suma[c])]
        m.d.comb += [
            accumulate.i.valid.eq(summing),
            into.eight[0].eq(summed.control.eight),
            into.zero[0].eq(summed.control.zero if side else ~summed.control.minimum),
            into.last.eq(summed.control.last),
            into.tag.eight.eq(summed.control.eight),
            into.tag.end.eq(summed.control.end),
            accumulate.o.ready.eq(1),
            results.i_valid.eq(accumulate.o.valid),
            results.i_eight.eq(accumulate.o.p.tag.eight),
            results.i_end.eq(accumulate.o.p.tag.end),
        ]
        if params.factored:
            for r in range(params.rows):
                m.d.comb += [into[f"f_{r}"][0].eq(summed.f[r]), into[f"g_{r}"][0].eq(summed.g[r])]
        if params.halved:
            m.d.comb += [into.halved[0].eq(summed.control.halved), into.weighed[0].eq(summed.control.weighed)]
            seconds, halves = of_halves
            for c in range(params.columns):
                m.d.comb += into[f"half_{c}"][0].eq(halves[c])
                m.d.comb += [into[f"seconds_{c}_{r}"][0].eq(seconds[c][r]) for r in range(params.rows)]
        return m


def tile_control(params: MatmulParams) -> data.StructLayout:
    """Return what is said of a tile.

    It has 8-bit weights, minima among its scales, is the last block of a row group, the last of the matrix. Where there
    are other formats: the number of its zero, whether its halves are scaled apart, or multiplied before; scales among
    its factors.
    """
    others = {"zero": ZERO_BITS, "halved": 1, "weighed": 1, "within": 1} if params.general else {}
    return data.StructLayout({"eight": 1, "minimum": 1, "last": 1, "end": 1, **others})


def tile_layout(params: MatmulParams) -> data.StructLayout:
    """Return what accompanies the sums of a tile: scales (and factors) of rows, scales and sums of activations."""
    halves = data.ArrayLayout(HALF_BITS, params.rows)
    scales, sums = (data.ArrayLayout(bits, params.columns) for bits in (SCALE_BITS, SUM_BITS))
    members = {"control": tile_control(params), "d": halves, "m": halves, "s": scales, "suma": sums}
    if params.factored:
        factors = data.ArrayLayout(signed(FACTOR_BITS), params.rows)
        members |= {"f": factors, "g": factors}
    return data.StructLayout(members)


def _row_group(params: MatmulParams) -> Kernel:
    if not params.general:
        return row_group(params.rows, params.columns)
    return general_row_group(*general_row_group_arguments(params, params.rows, params.columns))


def row_group_directives(params: MatmulParams) -> Directives:
    """Return what the accumulators are built for: a block comes in `word_cycles` cycles, and operators take turns."""
    return shared_within(_row_group(params), Directives(**params.pipeline), params.word_cycles)


def general_row_group_arguments(params: MatmulParams, rows: int, columns: int) -> tuple:
    """Return what the kernel `general_row_group` is made with, for some rows and columns."""
    return rows, columns, params.element_bits, params.zeros, params.factored, params.halved, params.weighed
