"""Quantised matrix products as one streaming component: the matrix unit with its own activation banks."""

from dataclasses import dataclass, replace

import numpy as np
from amaranth.hdl import Array, Const, Module, Signal, Value, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2
from numpy.typing import NDArray
from rtlm.hw.common.layouts import CODE_BITS, SCALE_BITS
from rtlm.hw.common.trees import sum_tree
from rtlm.hw.formats import BLOCK, Blocks
from rtlm.hw.matmul.activations import BANKS, ONE, ActivationBanks
from rtlm.hw.matmul.params import MAX_FIELD_BITS, SUM_BITS, MatmulParams
from rtlm.hw.matmul.unit import MATMUL_COMMAND, MatrixUnit, matmul_command

__all__ = ["ACTIVATION_BLOCK", "GEMV_COMMAND", "QMATMUL_COMMAND", "Gemv", "GemvParams", "QMatmul"]

ACTIVATION_BLOCK = data.StructLayout({"a": data.ArrayLayout(signed(CODE_BITS), BLOCK), "s": unsigned(SCALE_BITS)})
"""32 activations, codes of 9 bits, and their scale: BF16 without its sign, which is always positive."""


def _without(command: data.StructLayout, *names: str) -> data.StructLayout:
    return data.StructLayout({name: shape for name, shape in command.members.items() if name not in names})


QMATMUL_COMMAND = _without(MATMUL_COMMAND, "bank")
"""A product: as `rtlm.hw.matmul.unit.MATMUL_COMMAND`, but the banks alternate by themselves, and any
number of rows from 1 is taken."""

GEMV_COMMAND = _without(MATMUL_COMMAND, "bank", "packet_shift", "columns_active")
"""A product with one vector: the other fields are always the same."""

ONE_COLUMN_PACKET_SHIFT = 5
"""With one column results leave in the order of the rows, whatever the packets are."""


class QMatmul(wiring.Component):
    """Multiply quantised matrices, streamed in tile order, with quantised activation vectors.

    Protocol: a command brings one matrix and `columns_active` vectors. Their blocks follow on `i_activations`, block
    by block and in each block column by column; the matrix follows on `i_words` (`rtlm.hw.formats.pack_tiles`). The
    vectors of a command may come while the matrix before is still being multiplied. A command is taken when the
    vectors of the one before have been taken and one of the two banks is free. The first words wait for their blocks.
    Results leave in whole beats: where `vector_lanes` does not divide the rows, the lanes behind a column's last row
    hold the results of the rows that fill the last tile up, which are zeros.

    Latency: `latency` cycles from the last word of a row group to its first result.

    Throughput: a word a cycle (a word each `MatmulParams.word_cycles` cycles with fewer than 128 lanes); a block of
    activations a cycle.

    Numerics: docs/numerics.md, "Matrix product", with r = 1; `model`.

    Parameters
    ----------
    params
        Size of the unit.

    Ports
    -----
    i_command
        `QMATMUL_COMMAND`; with other formats than all units have, their codes are longer.
    i_activations
        `ACTIVATION_BLOCK`.
    i_words
        Words in tile order.
    o
        Results: `vector_lanes` F32 a beat; packet by packet of ``2**packet_shift`` rows, in a packet column by column.
    idle
        No command is under way.
    """

    def __init__(self, params: MatmulParams):
        self.params = params
        self._matrix = MatrixUnit(params)
        self._command = _without(matmul_command(params.formats), "bank")
        results = data.StructLayout({"y": data.ArrayLayout(32, params.vector_lanes)})
        super().__init__(
            {
                "i_command": In(stream.Signature(self._command)),
                "i_activations": In(stream.Signature(ACTIVATION_BLOCK)),
                "i_words": In(stream.Signature(unsigned(params.word_bits))),
                "o": Out(stream.Signature(results)),
                "idle": Out(1),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from the last word of a row group to its first result."""
        return self._matrix.latency

    @staticmethod
    def model(weights: Blocks, a: NDArray[np.int16], scale: NDArray[np.uint16]) -> NDArray[np.float32]:
        """Compute the results of a command, bit for bit.

        Parameters
        ----------
        weights
            Matrix of (rows, blocks).
        a
            Activations, shape (columns, blocks, 32).
        scale
            Their BF16 scales as bit patterns, shape (columns, blocks).

        Returns
        -------
        NDArray[np.float32]
            Shape (columns, rows); `MatrixUnit.order` puts them in the order in which they leave.
        """
        return MatrixUnit.model(weights, a, scale, np.ones(len(a), dtype=np.float32))

    def elaborate(self, platform: object) -> Module:
        """Build the control around the matrix unit and the banks."""
        m = Module()
        params = self.params
        m.submodules.matrix = matrix = self._matrix
        m.submodules.banks = banks = ActivationBanks(columns=params.columns, max_k_blocks=params.max_k_blocks)
        wiring.connect(m, matrix.read, banks.read)
        wiring.connect(m, wiring.flipped(self.i_words), matrix.i_words)
        wiring.connect(m, matrix.o, wiring.flipped(self.o))

        command, bank = Signal(self._command), Signal()
        send, loading = Signal(), Signal()
        block, column = Signal(params.block_bits), Signal(4)
        accepted, last_column, last_block = Signal(), Signal(), Signal()
        m.d.comb += [
            accepted.eq(self.i_command.valid & self.i_command.ready),
            matrix.i_command.valid.eq(send),
            matrix.i_command.payload.bank.eq(bank),
            last_column.eq(column + 1 == command.columns_active),
            last_block.eq(block + 1 == command.k_blocks),
        ]
        m.d.comb += [matrix.i_command.payload[name].eq(command[name]) for name in QMATMUL_COMMAND.members]
        with m.If(matrix.i_command.ready):
            m.d.sync += send.eq(0)

        # The matrix unit gives whole beats of results only.
        beats = Signal(len(command.rows))
        lanes = params.vector_lanes
        m.d.comb += beats.eq((self.i_command.payload.rows + lanes - 1) >> exact_log2(lanes))

        # The bank is emptied as its command is taken, and the command goes on one cycle later: the matrix unit never
        # sees the count of the vectors that were there before.
        with m.If(accepted):
            m.d.comb += banks.clear.eq(1 << ~bank)
            m.d.sync += [command.eq(self.i_command.payload), bank.eq(~bank), send.eq(1), loading.eq(1)]
            m.d.sync += command.rows.eq(beats << exact_log2(params.vector_lanes))
            m.d.sync += [block.eq(0), column.eq(0)]

        write = Signal(banks.i_write.payload.shape())
        write_valid = Signal()
        taken = Signal()
        source = self.i_activations.payload
        m.d.comb += [
            self.i_activations.ready.eq(loading),
            taken.eq(self.i_activations.valid & loading),
            banks.i_write.valid.eq(write_valid),
            banks.i_write.payload.eq(write),
            # Products are not scaled: the scalar of bank 0 is 1, that of bank 1 always is.
            banks.i_scale.valid.eq(write_valid & ~write.bank & (write.block == 0)),
            banks.i_scale.payload.column.eq(write.column),
            banks.i_scale.payload.last_column.eq(write.last_column),
            banks.i_scale.payload.r.eq(ONE),
        ]
        m.d.sync += write_valid.eq(taken)
        with m.If(taken):
            m.d.sync += [
                write.bank.eq(bank),
                write.column.eq(column),
                write.block.eq(block),
                write.last_column.eq(last_column),
                write.a.eq(source.a),
                write.s.eq(source.s),
                write.suma.eq(sum_tree([source.a[k] for k in range(BLOCK)])[:SUM_BITS].as_signed()),
                column.eq(column + 1),
            ]
            with m.If(last_column):
                m.d.sync += [column.eq(0), block.eq(block + 1), loading.eq(~last_block)]

        self._count_commands(m, accepted, beats, send | loading | write_valid)
        return m

    def _count_commands(self, m: Module, accepted: Signal, size: Signal, entering: Value) -> None:
        """Know which banks are in use: a command's, of `size` beats a column, is free when its last result has left."""
        rows_bits = len(self.i_command.payload.rows)
        left = [Signal(rows_bits, name=f"beats_left_{b}") for b in range(BANKS)]
        active = [Signal(4, name=f"columns_left_{b}") for b in range(BANKS)]
        beats = [Signal(rows_bits, name=f"beats_{b}") for b in range(BANKS)]
        newest, oldest, count = Signal(), Signal(), Signal(range(BANKS + 1))
        moved, done = Signal(), Signal()
        m.d.comb += [
            self.i_command.ready.eq(~entering & (count != BANKS)),
            self.idle.eq(count == 0),
            moved.eq(self.o.valid & self.o.ready),
            done.eq(moved & (Array(left)[oldest] == 1) & (Array(active)[oldest] == 1)),
        ]
        m.d.sync += count.eq(count + accepted - done)
        with m.If(done):
            m.d.sync += oldest.eq(~oldest)
        with m.If(accepted):
            m.d.sync += newest.eq(~newest)
        for b in range(BANKS):
            with m.If(moved & (oldest == b)):
                m.d.sync += left[b].eq(left[b] - 1)
                with m.If(left[b] == 1):
                    m.d.sync += [left[b].eq(beats[b]), active[b].eq(active[b] - 1)]
            with m.If(accepted & (newest == b)):
                m.d.sync += [left[b].eq(size), beats[b].eq(size), active[b].eq(self.i_command.payload.columns_active)]


@dataclass(frozen=True, kw_only=True)
class GemvParams:
    """Size of a `Gemv`.

    Parameters
    ----------
    lanes
        4-bit multiply-accumulates a cycle; a power of two from 32 to 8192.
    vector_lanes
        Results given in a cycle: a power of two, at least 2 and at most half the nibble rows.
    max_k_blocks
        Blocks of 32 in the longest activation vector.
    rows_per_multiplier, field_bits
        As for `MatmulParams`.
    """

    lanes: int = 128
    vector_lanes: int = 2
    max_k_blocks: int = 64
    rows_per_multiplier: int = 2
    field_bits: int = MAX_FIELD_BITS

    def __post_init__(self) -> None:
        """Validate."""
        _ = self.matmul

    @property
    def matmul(self) -> MatmulParams:
        """Parameters of the matrix unit inside."""
        return MatmulParams(
            lanes=self.lanes,
            columns=1,
            vector_lanes=self.vector_lanes,
            max_k_blocks=self.max_k_blocks,
            max_packet_rows=1 << ONE_COLUMN_PACKET_SHIFT,
            rows_per_multiplier=self.rows_per_multiplier,
            field_bits=self.field_bits,
        )

    @property
    def word_bytes(self) -> int:
        """Bytes of a word of weights."""
        return self.matmul.tile.word_bytes


class Gemv(wiring.Component):
    """Multiply a quantised matrix with a quantised activation vector: `QMatmul` with one column.

    Protocol: a command brings one matrix and one vector. The vector follows on `i_activations`, the matrix on `i_words`
    (`rtlm.hw.formats.pack_tiles`); the vector may come while the matrix before is still being multiplied. Results leave
    in whole beats: where `vector_lanes` does not divide the rows, the lanes behind the last row hold zeros.

    Latency: `latency` cycles from the last word of a row group to its first result.

    Throughput: a word a cycle (a word each ``128 / lanes`` cycles with fewer than 128 lanes).

    Numerics: docs/numerics.md, "Matrix product", with r = 1; `model`.

    Parameters
    ----------
    params
        Size of the unit.
    clock_mhz, technology
        Target for which the pipelines are scheduled.

    Ports
    -----
    i_command
        `GEMV_COMMAND`.
    i_activations
        `ACTIVATION_BLOCK`.
    i_words
        Words in tile order.
    o
        Results in the order of the rows, `vector_lanes` F32 a beat.
    idle
        No command is under way.
    """

    def __init__(self, params: GemvParams, *, clock_mhz: float = 300, technology: str = "generic"):
        self.params = params
        self._product = QMatmul(replace(params.matmul, clock_mhz=clock_mhz, technology=technology))
        inner = self._product.signature.members
        super().__init__(
            {"i_command": In(stream.Signature(GEMV_COMMAND))} | {n: x for n, x in inner.items() if n != "i_command"}
        )

    @property
    def latency(self) -> int:
        """Cycles from the last word of a row group to its first result."""
        return self._product.latency

    @staticmethod
    def model(weights: Blocks, a: NDArray[np.int16], scale: NDArray[np.uint16]) -> NDArray[np.float32]:
        """Compute the product, bit for bit.

        Parameters
        ----------
        weights
            Matrix of (rows, blocks).
        a
            Activations, shape (blocks, 32).
        scale
            Their BF16 scales as bit patterns, shape (blocks,).

        Returns
        -------
        NDArray[np.float32]
            Shape (rows,).
        """
        return QMatmul.model(weights, a[None], scale[None])[0]

    def elaborate(self, platform: object) -> Module:
        """Fix the number of columns."""
        m = Module()
        m.submodules.product = product = self._product
        for name in ("i_activations", "i_words"):
            wiring.connect(m, wiring.flipped(getattr(self, name)), getattr(product, name))
        wiring.connect(m, product.o, wiring.flipped(self.o))
        given, inner = self.i_command, product.i_command
        m.d.comb += [
            self.idle.eq(product.idle),
            inner.valid.eq(given.valid),
            given.ready.eq(inner.ready),
            inner.payload.columns_active.eq(Const(1)),
            inner.payload.packet_shift.eq(ONE_COLUMN_PACKET_SHIFT),
        ]
        m.d.comb += [inner.payload[name].eq(given.payload[name]) for name in GEMV_COMMAND.members]
        return m
