"""The multiplier array of attention: dot products with the keys, weighted sums of the values."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from rtlm.hw.attention.params import WEIGHT_BITS, AttentionParams
from rtlm.hw.common.stages import held_flag
from rtlm.hw.common.trees import mux_tree, sum_tree
from rtlm.hw.hls import Kernel
from rtlm.hw.kernels.attention import DOT_BITS, key_dots

PIECE = 4
"""Bytes of an operand register."""

FLIP = 0x80808080
"""Adds the offset to four bytes: x + 128 is x with its top bit inverted."""

PRODUCT_BITS = 24

CHAINED_SUMS = 0.6
"""Share of a cycle for sums of products: of more than two sums in a row yosys makes carry-save adders, which take more
tables (5,293 with three, 3,942 with two, for three queries and a key of 64 bytes at 300 MHz)."""


class AttentionArray(wiring.Component):
    """`group` x `bytes_per_cycle` multipliers, used for query x key and for weight x value.

    Protocol: `q_valid` loads the query head in `row`. Each step (`valid`) takes `bytes_per_cycle` bytes of keys
    (``axpy = 0``) or values (``axpy = 1``), part `chunk` of `word` or part `step` of `row`; a beat has
    `beat_cycles` of them. ``first`` marks all cycles of the first value beat of a sum, ``last`` the last step of a
    key beat. ``calibrate`` marks a key beat of zeros that must precede the keys after each change of queries: it
    measures the queries' offset. `shift` goes on to the next `vector_lanes` sums; it must not come within
    `axpy_latency` cycles of a value step. Nothing stalls.

    Latency: `dot_latency` cycles from a key beat's last step to `dot_valid`, `axpy_latency` to the sums.

    Throughput: a step a cycle.

    Numerics: exact. Products are unsigned. A dot product is corrected by ``128 * sum(x)`` and by the calibration; a
    sum holds ``sum(w * (v + 128))``, from which the reader takes ``128 * sum(w)``.

    Parameters
    ----------
    params
        Sizes of the attention unit.

    Ports
    -----
    q_valid, q_head
        Loads a query head.
    valid, axpy, first, last, calibrate, from_word, chunk, step, w
        A step; `w` are the weights of group x positions.
    word, row
        A word of the history, and a head of the local store; the first value in the lowest byte.
    dot_soon, dot_valid, dot
        `dot_soon` comes two cycles before `dot_valid`; dot products of group x positions.
    shift, acc
        `vector_lanes` sums: the first after a value step, then the next with each `shift`.
    """

    def __init__(self, params: AttentionParams):
        self._params = params
        lanes = data.ArrayLayout(data.ArrayLayout(unsigned(WEIGHT_BITS), params.positions), params.group)
        dots = data.ArrayLayout(data.ArrayLayout(signed(DOT_BITS), params.positions), params.group)
        super().__init__(
            {
                "q_valid": In(1),
                "q_head": In(range(max(2, params.group))),
                "valid": In(1),
                "axpy": In(1),
                "first": In(1),
                "last": In(1),
                "calibrate": In(1),
                "from_word": In(1),
                "chunk": In(range(max(2, params.chunks))),
                "step": In(range(max(2, params.beat_cycles))),
                "word": In(params.word_bits),
                "row": In(8 * params.head_dim),
                "w": In(lanes),
                "dot_soon": Out(1),
                "dot_valid": Out(1),
                "dot": Out(dots),
                "shift": In(1),
                "acc": Out(data.ArrayLayout(unsigned(params.acc_bits), params.vector_lanes)),
            }
        )

    axpy_latency = 4
    """Operand, product, sum, selection."""

    @staticmethod
    def dot_latency(params: AttentionParams) -> int:
        """Cycles from the last step of a key beat to its dot products."""
        operand_product, correction = 2, 1
        return operand_product + _kernel(params).schedule(**_pipeline(params)).latency + correction

    def elaborate(self, platform) -> Module:
        """Build the array."""
        m = Module()
        params = self._params
        group, positions = range(params.group), range(params.positions)
        taken = params.bytes_per_cycle
        span = taken // params.positions

        def data_register(shape, name: str) -> Signal:
            return Signal(shape, name=name, reset_less=True)

        # Operands in pieces of 32 bits: the same wires in hardware, but a simulator reads a byte of a short register
        # faster.
        x = [data_register(32, f"x_{i}") for i in range(taken // PIECE)]
        w = [[data_register(WEIGHT_BITS, f"w_{g}_{p}") for p in positions] for g in group]
        first, last, calibrate = (Signal(name=f"operand_{n}") for n in ("first", "last", "calibrate"))
        dot_valid = held_flag(m, self.valid & ~self.axpy, "x_dot")
        axpy_valid = held_flag(m, self.valid & self.axpy, "x_axpy")
        with m.If(self.valid):
            m.d.sync += [first.eq(self.first), last.eq(self.last), calibrate.eq(self.calibrate)]
            with m.If(self.calibrate):
                m.d.sync += [piece.eq(FLIP) for piece in x]
            with m.Elif(self.from_word):
                choose(m, self.chunk, params.chunks, self.word, x, taken)
            with m.Else():
                choose(m, self.step, params.beat_cycles, self.row, x, taken)
        with m.If(self.valid & self.axpy):
            m.d.sync += [w[g][p].eq(self.w[g][p]) for g in group for p in positions]
        # The queries turn by one step's bytes with each key step, so that a step always reads the lowest.
        pieces = params.head_dim // PIECE
        q = [[data_register(32, f"q_{g}_{i}") for i in range(pieces)] for g in group]
        if params.beat_cycles > 1:
            with m.If(dot_valid):
                m.d.sync += [row[i].eq(row[(i + taken // PIECE) % pieces]) for row in q for i in range(pieces)]
        with m.If(self.q_valid), m.Switch(self.q_head):
            for g in group:
                with m.Case(g):
                    choose(m, None, 1, self.row, q[g], params.head_dim)

        # Products, unsigned: 16 x 8 bits.
        product = [[data_register(PRODUCT_BITS, f"product_{g}_{a}") for a in range(taken)] for g in group]
        with m.If(dot_valid | axpy_valid):
            for g in group:
                for a in range(taken):
                    p, i = divmod(a, span)
                    operand = Mux(axpy_valid, w[g][p], byte(q[g], i))
                    m.d.sync += product[g][a].eq(operand * byte(x, a))
        # The sum of the bytes, for the correction, keeps pace with the products.
        x_late = [data_register(32, f"x_late_{i}") for i in range(len(x))]
        with m.If(dot_valid):
            m.d.sync += [late.eq(piece) for late, piece in zip(x_late, x, strict=True)]
        product_dot, product_axpy = held_flag(m, dot_valid, "product_dot"), held_flag(m, axpy_valid, "product_axpy")
        product_first, product_last, product_calibrate = (
            held_flag(m, flag, f"product_{n}")
            for flag, n in ((first, "first"), (last & dot_valid, "last"), (calibrate, "calibrate"))
        )
        self._sums(m, product, product_axpy, product_first)
        self._dots(m, product, x_late, product_dot, product_last, product_calibrate)
        return m

    def _sums(self, m: Module, product: list, valid: Signal, first: Signal) -> None:
        """Accumulators of the weighted values, and the selection of those that leave.

        Selecting costs a third of the tables that shifting the accumulators along a chain would: a chain needs a
        multiplexer behind every adder.
        """
        params = self._params
        dim, lanes, taken = params.head_dim, params.vector_lanes, params.bytes_per_cycle
        acc = [
            [Signal(params.acc_bits, name=f"sum_{g}_{d}", reset_less=True) for d in range(dim)]
            for g in range(params.group)
        ]
        for g, row in enumerate(acc):
            kept = [Mux(first, 0, register) for register in row]
            if params.beat_cycles == 1:
                terms = [[product[g][p * dim + d] for p in range(params.positions)] for d in range(dim)]
                # The register stands second: the first operand also enters the carry chain beside the tables.
                added = [sum_tree(values) + old for values, old in zip(terms, kept, strict=True)]
            else:
                # Turns like the queries: a step always adds to the lowest.
                added = [*row[taken:], *(product[g][a] + kept[a] for a in range(taken))]
            with m.If(valid):
                m.d.sync += [register.eq(sum_) for register, sum_ in zip(row, added, strict=True)]

        sums = [register for row in acc for register in row]
        beats = [Cat(sums[i : i + lanes]) for i in range(0, len(sums), lanes)]
        beat = Signal(range(len(beats)))
        following = Signal.like(beat)
        stale = Signal()
        m.d.comb += following.eq(beat + self.shift)
        with m.If(valid):
            m.d.sync += [beat.eq(0), stale.eq(1)]
        with m.Elif(stale | self.shift):
            m.d.sync += [beat.eq(following), stale.eq(0), self.acc.as_value().eq(mux_tree(following, beats))]

    def _dots(self, m: Module, product: list, x: list, valid: Signal, last: Signal, calibrate: Signal) -> None:
        """Sums of the products with each position's key, and the correction by the calibration."""
        params = self._params
        group, positions = range(params.group), range(params.positions)
        span = params.bytes_per_cycle // params.positions
        kernel = _kernel(params)
        offset = [Signal(signed(DOT_BITS), name=f"offset_{g}", reset_less=True) for g in group]
        for p in positions:
            dots = kernel.component(**_pipeline(params), tag=1 if p == 0 else None)
            m.submodules[f"dots_{p}"] = dots
            m.d.comb += [dots.i.valid.eq(valid), dots.o.ready.eq(1)]
            if params.beat_cycles > 1:
                m.d.comb += dots.i.p.last.eq(last)
            for i in range(span):
                m.d.comb += dots.i.p[f"x_{i}"][0].eq(byte(x, p * span + i))
                m.d.comb += [dots.i.p[f"products_{g}_{i}"][0].eq(product[g][p * span + i]) for g in group]
            sums = [Value.cast(dots.o.p[f"result_{g}"]).as_signed() for g in group]
            if p == 0:
                m.d.comb += dots.i.p.tag.eq(calibrate)
                calibrated, complete = dots.o.valid & dots.o.p.tag, dots.o.valid & ~dots.o.p.tag
                # Every position measures the same.
                with m.If(calibrated):
                    m.d.sync += [register.eq(sum_) for register, sum_ in zip(offset, sums, strict=True)]
            for g, sum_ in enumerate(sums):
                corrected = Signal(signed(DOT_BITS), name=f"dot_{g}_{p}", reset_less=True)
                with m.If(complete):
                    m.d.sync += corrected.eq(sum_ - offset[g])
                m.d.comb += self.dot[g][p].eq(corrected)
        m.d.sync += self.dot_valid.eq(complete)
        soon: Value = valid & last & ~calibrate
        for _ in range(kernel.schedule(**_pipeline(params)).latency - 1):
            soon = held_flag(m, soon, "soon")
        m.d.comb += self.dot_soon.eq(soon)


def _kernel(params: AttentionParams) -> Kernel:
    return key_dots(params.group, params.bytes_per_cycle // params.positions, params.beat_cycles)


def _pipeline(params: AttentionParams) -> dict[str, Any]:
    return {**params.pipeline, "chain": CHAINED_SUMS}


def byte(pieces: list[Signal], index: int) -> Value:
    """One byte of an operand."""
    i, place = divmod(index, PIECE)
    return pieces[i][8 * place : 8 * place + 8]


def choose(m: Module, select: Value | None, count: int, source: Value, pieces: list[Signal], size: int) -> None:
    """Load an operand with one of the source's `count` parts of `size` bytes."""

    def load(part: int) -> None:
        for i, piece in enumerate(pieces):
            start = 8 * (part * size + PIECE * i)
            m.d.sync += piece.eq(source[start : start + 32] ^ FLIP if start < len(source) else 0)

    if count == 1:
        load(0)
    else:
        with m.Switch(select):
            for part in range(count):
                with m.Case(part):
                    load(part)
