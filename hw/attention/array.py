"""The multiplier array of attention: dot products with the keys, weighted sums of the values."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from rtlm.hw.attention.params import WEIGHT_BITS, AttentionParams
from rtlm.hw.common.kv_codes import KV_VALUES
from rtlm.hw.common.layouts import CODE_BITS, STORED_BITS
from rtlm.hw.common.mac import mac
from rtlm.hw.common.stages import held_flag, held_value
from rtlm.hw.common.trees import mux_tree, sum_tree
from rtlm.hw.hls import Kernel
from rtlm.hw.kernels.attention import BYTE_OFFSET, DOT_BITS, QUERY_OFFSET, key_dots

PIECE = 4
"""Codes of an operand register."""

PRODUCT_BITS = 24

CHAINED_SUMS = 0.6
"""Share of a cycle for sums of products: of more than two sums in a row yosys makes carry-save adders, which take more
tables (5,293 with three, 3,942 with two, for three queries and a key of 64 bytes at 300 MHz)."""


class AttentionArray(wiring.Component):
    """`group` x `codes_per_cycle` multipliers, used for query x key and for weight x value.

    Protocol: `q_valid` loads the query head in `row`. Each step (`valid`) takes `codes_per_cycle` codes of keys
    (``axpy = 0``) or values (``axpy = 1``), part `chunk` of `word` or part `step` of `row`; a beat has
    `beat_cycles` of them. ``first`` marks all cycles of the first value beat of a sum, ``last`` the last step of a
    key beat or of a sum; between these two steps of a sum come no keys. ``calibrate`` marks a key beat of zeros that
    must precede the keys after each change of queries: it measures the queries' offset. `shift` goes on to the next
    `vector_lanes` sums; it must not come within `axpy_latency` cycles of a value step. Nothing stalls.

    Structure: where the technology has multipliers with registers and an adder inside (`rtlm.hw.common.mac`) and a beat
    takes a cycle, operands and products lie in them. With one position in a beat each multiplier also holds a sum,
    which moves to a register of its own with the last value, because dot products take its place. Otherwise sums are
    registers behind adders: those of several positions are one sum, and one multiplier has several sums where a beat
    takes several cycles.

    Latency: `dot_latency` cycles from a key beat's last step to `dot_valid`, `axpy_latency` to the sums.

    Throughput: a step a cycle.

    Numerics: exact. Products are unsigned. A dot product is corrected by ``256 * sum(x)`` and by the calibration; a
    sum holds ``sum(w * (v + 128))``, from which the reader takes ``128 * sum(w)``. Codes of 4 bits become the bytes
    that they stand for in front of the operands (`rtlm.hw.common.kv_codes`).

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
        A word of the history and a head of the local store, the first code lowest; of keys and values the lower
        `kv_bits` of each count.
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
                "row": In(CODE_BITS * params.head_dim),
                "w": In(lanes),
                "dot_soon": Out(1),
                "dot_valid": Out(1),
                "dot": Out(dots),
                "shift": In(1),
                "acc": Out(data.ArrayLayout(unsigned(params.acc_bits), params.vector_lanes)),
            }
        )

    @staticmethod
    def axpy_latency(params: AttentionParams) -> int:
        """Return the cycles from a value step to the sums: operand, product, sum, selection; with blocks one more."""
        return 4 + params.product_blocks

    @staticmethod
    def dot_latency(params: AttentionParams) -> int:
        """Return the cycles from the last step of a key beat to its dot products."""
        operand_product, correction = 2 + params.product_blocks, 1
        return operand_product + _kernel(params).schedule(**_pipeline(params)).latency + correction

    def elaborate(self, platform) -> Module:
        """Build the array."""
        m = Module()
        params = self._params
        # Operands in pieces of 4 codes: the same wires in hardware, but a simulator reads a code of a short register
        # faster.
        pieces = range(params.codes_per_cycle // PIECE)
        taken = [Signal(PIECE * STORED_BITS, name=f"taken_{i}") for i in pieces]
        chosen = taken
        if params.kv_bits < STORED_BITS:
            chosen = [Signal(PIECE * params.kv_bits, name=f"chosen_{i}") for i in pieces]
        stored = Cat(self.row.word_select(d, CODE_BITS)[: params.kv_bits] for d in range(params.head_dim))
        with m.If(self.calibrate):
            m.d.comb += [piece.eq(offsets(BYTE_OFFSET)) for piece in taken]
        with m.Elif(self.from_word):
            choose(m, self.chunk, params.chunks, self.word, chosen, params)
        with m.Else():
            choose(m, self.step, params.beat_cycles, stored, chosen, params)
        if chosen is not taken:
            with m.If(~self.calibrate):
                m.d.comb += [
                    piece.eq(Cat(decoded(code([short], place)) for place in range(PIECE)))
                    for piece, short in zip(taken, chosen, strict=True)
                ]
        query = [Signal(PIECE * CODE_BITS, name=f"query_{i}") for i in range(params.head_dim // PIECE)]
        m.d.comb += [
            piece.eq(self.row.word_select(i, len(piece)) ^ offsets(QUERY_OFFSET)) for i, piece in enumerate(query)
        ]
        operand = _Step(
            dot=held_flag(m, self.valid & ~self.axpy, "operand_dot"),
            axpy=held_flag(m, self.valid & self.axpy, "operand_axpy"),
            first=held_value(m, self.valid, self.first, "operand_first"),
            last=held_value(m, self.valid, self.last, "operand_last"),
            calibrate=held_value(m, self.valid, self.calibrate, "operand_calibrate"),
        )
        x = _held_pieces(m, self.valid, taken, "x")
        if params.product_blocks:
            self._in_blocks(m, operand, taken, query, x)
        else:
            self._in_registers(m, operand, query, x)
        return m

    def _loads_query(self, group: int) -> Value:
        return self.q_valid & (self.q_head == group)

    def _in_registers(self, m: Module, operand: "_Step", query: list[Signal], x: list[Signal]) -> None:
        """Multipliers between registers of the array."""
        params = self._params
        group = range(params.group)
        pieces, step_pieces = len(query), len(x)
        loads_weight = self.valid & self.axpy
        w = [[held_value(m, loads_weight, self.w[g][p], f"w_{g}_{p}") for p in range(params.positions)] for g in group]
        # The queries turn by one step's bytes with each key step, so that a step always reads the lowest.
        q = [[Signal.like(query[i], name=f"q_{g}_{i}", reset_less=True) for i in range(pieces)] for g in group]
        if params.beat_cycles > 1:
            with m.If(operand.dot):
                m.d.sync += [row[i].eq(row[(i + step_pieces) % pieces]) for row in q for i in range(pieces)]
        for g, row in enumerate(q):
            with m.If(self._loads_query(g)):
                m.d.sync += [held.eq(piece) for held, piece in zip(row, query, strict=True)]
        product = [
            [
                held_value(
                    m,
                    operand.dot | operand.axpy,
                    (Mux(operand.axpy, w[g][p], code(q[g], i)) * code(x, a))[:PRODUCT_BITS],
                    f"product_{g}_{a}",
                )
                for a, p, i in self._multipliers()
            ]
            for g in group
        ]
        step = operand.moved(m, "product")
        self._select(m, self._sums(m, product, step), step.axpy)
        self._dots(m, product, _held_pieces(m, operand.dot, x, "x_late"), step)

    def _in_blocks(
        self, m: Module, operand: "_Step", taken: list[Signal], query: list[Signal], x: list[Signal]
    ) -> None:
        """Multipliers with all registers inside, and the sums too where each of them is one multiplier's.

        Sums that are complete move out of the way of the next dot products.
        """
        params = self._params
        product = operand.moved(m, "product")
        step = product.moved(m, "sum")
        add = operand.axpy & ~operand.first if params.sum_blocks else Const(0)
        bits = params.acc_bits if params.sum_blocks else PRODUCT_BITS
        sums = [[Signal(bits, name=f"p_{g}_{a}") for a in range(params.codes_per_cycle)] for g in range(params.group)]
        for g, row in enumerate(sums):
            for a, p, i in self._multipliers():
                m.submodules[f"mac_{g}_{a}"] = mac(
                    a=code(query, i),
                    load_a=self._loads_query(g),
                    d=self.w[g][p],
                    load_d=self.valid & self.axpy,
                    b=code(taken, a),
                    load_b=self.valid,
                    use_d=self.axpy,
                    multiply=operand.dot | operand.axpy,
                    add=add,
                    take=product.dot | product.axpy,
                    p=row[a],
                )
        if params.sum_blocks:
            complete = step.axpy & step.last
            left = [
                [held_value(m, complete, sum_, f"sum_{g}_{d}") for d, sum_ in enumerate(row)]
                for g, row in enumerate(sums)
            ]
            self._select(m, left, complete)
        else:
            self._select(m, self._sums(m, sums, step), step.axpy)
        x_late = _held_pieces(m, operand.dot, x, "x_late")
        self._dots(m, sums, _held_pieces(m, product.dot, x_late, "x_later"), step)

    def _multipliers(self) -> Iterator[tuple[int, int, int]]:
        """Yield for each multiplier of a query head its number, its position of the beat, and its code of the query."""
        span = self._params.codes_per_cycle // self._params.positions
        for a in range(self._params.codes_per_cycle):
            yield a, *divmod(a, span)

    def _sums(self, m: Module, product: list, step: "_Step") -> list:
        """Return accumulators of the weighted values."""
        params = self._params
        dim, taken = params.head_dim, params.codes_per_cycle
        acc = [
            [Signal(params.acc_bits, name=f"sum_{g}_{d}", reset_less=True) for d in range(dim)]
            for g in range(params.group)
        ]
        for g, row in enumerate(acc):
            kept = [Mux(step.first, 0, register) for register in row]
            if params.beat_cycles == 1:
                terms = [[product[g][p * dim + d] for p in range(params.positions)] for d in range(dim)]
                # The register stands second: the first operand also enters the carry chain beside the tables.
                added = [sum_tree(values) + old for values, old in zip(terms, kept, strict=True)]
            else:
                # Turns like the queries: a step always adds to the lowest.
                added = [*row[taken:], *(product[g][a] + kept[a] for a in range(taken))]
            with m.If(step.axpy):
                m.d.sync += [register.eq(sum_) for register, sum_ in zip(row, added, strict=True)]
        return acc

    def _select(self, m: Module, acc: list, change: Value) -> None:
        """Select the sums that leave, the first ones after the cycle in which they `change`.

        Selecting costs a third of the tables that shifting the sums along a chain would: a chain needs a multiplexer
        in front of every register. The selection is a register, so that `shift` is no more than an enable.
        """
        lanes = self._params.vector_lanes
        sums = [register for row in acc for register in row]
        beats = [Cat(sums[i : i + lanes]) for i in range(0, len(sums), lanes)]
        following = Signal(range(len(beats)))
        stale = Signal()
        selected = Signal(len(beats[0]), reset_less=True)
        m.d.comb += self.acc.as_value().eq(selected)
        with m.If(change):
            m.d.sync += [following.eq(0), stale.eq(1)]
        with m.Elif(stale | self.shift):
            m.d.sync += [following.eq(following + 1), stale.eq(0), selected.eq(mux_tree(following, beats))]

    def _dots(self, m: Module, product: list, x: list[Signal], step: "_Step") -> None:
        """Sums of the products with each position's key, and the correction by the calibration."""
        params = self._params
        group, positions = range(params.group), range(params.positions)
        span = params.codes_per_cycle // params.positions
        kernel = _kernel(params)
        offset = [Signal(signed(DOT_BITS), name=f"offset_{g}", reset_less=True) for g in group]
        for p in positions:
            dots = kernel.component(**_pipeline(params), tag=1 if p == 0 else None)
            m.submodules[f"dots_{p}"] = dots
            m.d.comb += [dots.i.valid.eq(step.dot), dots.o.ready.eq(1)]
            if params.beat_cycles > 1:
                m.d.comb += dots.i.p.last.eq(step.last)
            for i in range(span):
                m.d.comb += dots.i.p[f"x_{i}"][0].eq(code(x, p * span + i))
                m.d.comb += [dots.i.p[f"products_{g}_{i}"][0].eq(product[g][p * span + i]) for g in group]
            sums = [Value.cast(dots.o.p[f"result_{g}"]).as_signed() for g in group]
            if p == 0:
                m.d.comb += dots.i.p.tag.eq(step.calibrate)
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
        soon: Value = step.dot & step.last & ~step.calibrate
        for _ in range(kernel.schedule(**_pipeline(params)).latency - 1):
            soon = held_flag(m, soon, "soon")
        m.d.comb += self.dot_soon.eq(soon)


@dataclass(frozen=True, kw_only=True)
class _Step:
    """What is done with the operands in a stage: flags that move along with them."""

    dot: Signal
    axpy: Signal
    first: Signal
    last: Signal
    calibrate: Signal

    def moved(self, m: Module, stage: str) -> "_Step":
        """Return the flags in the next stage."""
        return _Step(**{f.name: held_flag(m, getattr(self, f.name), f"{stage}_{f.name}") for f in fields(self)})


def _held_pieces(m: Module, enable: Value, pieces: list[Signal], name: str) -> list[Signal]:
    return [held_value(m, enable, piece, f"{name}_{i}") for i, piece in enumerate(pieces)]


def _kernel(params: AttentionParams) -> Kernel:
    return key_dots(params.group, params.codes_per_cycle // params.positions, params.beat_cycles)


def _pipeline(params: AttentionParams) -> dict[str, Any]:
    return {**params.pipeline, "chain": CHAINED_SUMS}


def code(pieces: list[Signal], index: int) -> Value:
    """One code of an operand."""
    i, place = divmod(index, PIECE)
    return pieces[i].word_select(place, len(pieces[i]) // PIECE)


def offsets(offset: int) -> int:
    """Which bits of a piece to invert to add an offset to each code: x + 128 is x with its top bit inverted."""
    return sum(offset << offset.bit_length() * place for place in range(PIECE))


def decoded(short: Value) -> Value:
    """Return the byte, value + 128, that a code of 4 bits stands for."""
    return Array(Const(value + BYTE_OFFSET, STORED_BITS) for value in KV_VALUES)[short]


def choose(
    m: Module, select: Value | None, count: int, source: Value, pieces: list[Signal], params: AttentionParams
) -> None:
    """Set an operand to one of the source's `count` parts; bytes get their offset."""
    inverted = offsets(BYTE_OFFSET) if params.kv_bits == STORED_BITS else 0

    def load(part: int) -> None:
        for i, piece in enumerate(pieces):
            start = params.kv_bits * (part * params.codes_per_cycle + PIECE * i)
            m.d.comb += piece.eq(source[start : start + len(piece)] ^ inverted if start < len(source) else 0)

    if count == 1:
        load(0)
    else:
        with m.Switch(select):
            for part in range(count):
                with m.Case(part):
                    load(part)
