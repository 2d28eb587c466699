"""The multiplier array of attention: dot products with the keys, weighted sums of the values."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Any

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2
from rtlm.hw.attention.params import WEIGHT_BITS, AttentionParams
from rtlm.hw.common.kv_codes import KV_VALUES
from rtlm.hw.common.layouts import CODE_BITS, STORED_BITS
from rtlm.hw.common.mac import CASCADE_BITS, mac
from rtlm.hw.common.stages import held_flag, held_value
from rtlm.hw.common.trees import mux_tree, sum_tree
from rtlm.hw.hls import Kernel
from rtlm.hw.kernels.attention import DOT_BITS, key_dots

PIECE = 4
"""Codes of an operand register."""

PRODUCT_BITS = 24

DOT_WARNING = 2
"""Cycles by which `dot_soon` precedes a dot product."""

CHAINED_SUMS = 0.6
"""Share of a cycle for sums of products: of more than two sums in a row yosys makes carry-save adders, which take more
tables (5,293 with three, 3,942 with two, for three queries and a key of 64 bytes at 300 MHz)."""


class AttentionArray(wiring.Component):
    """`group` x `codes_per_cycle` multipliers, used for query x key and for weight x value.

    Protocol: `q_valid` loads part `step` of a query head, which is in `row`. Each step (`valid`) takes
    `codes_per_cycle` codes of keys (``axpy = 0``) or values (``axpy = 1``), those in `word` or in `row`: part `step` of
    a beat, which has `beat_cycles` of them. ``first`` marks all cycles of the first value beat of a sum, ``last`` the
    last step of a key beat or of a sum; between these two steps of a sum come no keys. Queries must not change within
    `chain` cycles of a key step, and no step may come while `draining`, which follows a sum's last step. `shift` goes
    on to the next `vector_lanes` sums; it must not come within `axpy_latency` cycles of a value step. Nothing stalls.

    Structure: where the technology has multipliers with registers and an adder inside (`rtlm.hw.common.mac`) and a beat
    takes a cycle, operands and products lie in them, and `chain` neighbours add up their products of a dot product,
    each a cycle after the one before it: so it has its operands a cycle later. With one position in a beat each
    multiplier also holds a sum. Complete sums make room for dot products: they leave through their neighbours, along
    cascades of `cascade` multipliers, into a memory. Otherwise sums are registers behind adders, those of several
    positions one sum. Where a beat takes several cycles, each multiplier has several codes of a query and several sums:
    they lie in memories, a row for each step.

    Latency: `dot_latency` cycles from a key beat's last step to `dot_valid`, `axpy_latency` to the sums.

    Throughput: a step a cycle.

    Numerics: exact, two's complement. Codes of 4 bits become the bytes that they stand for in front of the operands
    (`rtlm.hw.common.kv_codes`).

    Parameters
    ----------
    params
        Sizes of the attention unit.

    Ports
    -----
    q_valid, q_head
        Loads a query head.
    valid, axpy, first, last, from_word, step, w
        A step; `w` are the weights of group x positions.
    word, row
        What a step takes of a word of the history, and of a head of the local store, the first code lowest; of keys and
        values in `row` the lower `kv_bits` of each count.
    dot_soon, dot_valid, dot
        `dot_soon` comes two cycles before `dot_valid`; dot products of group x positions.
    shift, acc
        `vector_lanes` sums: the first after a value step, then the next with each `shift`.
    draining
        No step may come.
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
                "from_word": In(1),
                "step": In(range(max(2, params.beat_cycles))),
                "word": In(params.chunk_bits),
                "row": In(CODE_BITS * params.part_codes),
                "w": In(lanes),
                "dot_soon": Out(1),
                "dot_valid": Out(1),
                "dot": Out(dots),
                "shift": In(1),
                "acc": Out(data.ArrayLayout(signed(params.acc_bits), params.vector_lanes)),
                "draining": Out(1),
            }
        )

    @staticmethod
    def axpy_latency(params: AttentionParams) -> int:
        """Return the cycles from a value step to the sums: operand, product, sum, selection, and those of blocks."""
        return 4 + params.product_blocks + params.sum_blocks + params.chain - 1

    @staticmethod
    def dot_latency(params: AttentionParams) -> int:
        """Return the cycles from the last step of a key beat to its dot products."""
        operand_product = 2 + params.product_blocks
        return operand_product + params.chain - 1 + _kernel(params).schedule(**_pipeline(params)).latency

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
            m.d.comb += [
                piece.eq(Cat(decoded(code([short], place)) for place in range(PIECE)))
                for piece, short in zip(taken, chosen, strict=True)
            ]
        # Of several positions those of the local store are one.
        stored = Cat(self.row.word_select(d, CODE_BITS)[: params.kv_bits] for d in range(params.part_codes))
        bits = PIECE * params.kv_bits
        for i, piece in enumerate(chosen):
            m.d.comb += piece.eq(Mux(self.from_word, self.word.word_select(i, bits), stored[i * bits : (i + 1) * bits]))
        step = _Step(dot=self.valid & ~self.axpy, axpy=self.valid & self.axpy, first=self.first, last=self.last)
        if params.product_blocks:
            self._in_blocks(m, step, taken)
        elif params.beat_cycles > 1:
            self._in_memories(m, step, taken)
        else:
            self._in_registers(m, step, taken)
        return m

    def _loads_query(self, group: int) -> Value:
        return self.q_valid & (self.q_head == group)

    def _in_registers(self, m: Module, step: "_Step", taken: list[Signal]) -> None:
        """Multipliers between registers of the array."""
        params = self._params
        operand, x, w = self._operands(m, step, taken)
        pieces = range(params.head_dim // PIECE)
        q = [
            [
                held_value(m, self._loads_query(g), self.row.word_select(i, PIECE * CODE_BITS), f"q_{g}_{i}")
                for i in pieces
            ]
            for g in range(params.group)
        ]
        product = self._products(m, operand, q, x, w)
        stage = operand.moved(m, "product")
        self._select(m, self._sums(m, product, [stage]), stage.axpy)
        self._dots(m, product, stage)

    def _in_memories(self, m: Module, step: "_Step", taken: list[Signal]) -> None:
        """Multipliers between registers, in front of them a memory of queries, behind them one of sums."""
        params = self._params
        group, codes = range(params.group), params.codes_per_cycle
        part_bits = CODE_BITS * codes
        queries = m.submodules.queries = _rows(params.group * part_bits, params.beat_cycles)
        query_write, query = queries.write_port(granularity=part_bits), queries.read_port(domain="comb")
        m.d.comb += [
            query_write.addr.eq(self.step),
            query_write.data.eq(self.row.replicate(params.group)),
            query_write.en.eq(Cat(self._loads_query(g) for g in group)),
            query.addr.eq(self.step),
        ]
        operand, x, w = self._operands(m, step, taken)
        held = held_value(m, step.dot, query.data, "q")
        pieces = codes // PIECE
        q = [[held.word_select(g * pieces + i, PIECE * CODE_BITS) for i in range(pieces)] for g in group]
        product = self._products(m, operand, q, x, w)
        stage = operand.moved(m, "product")
        # A row of sums is read with the operands and written behind the products: before it is read again, as a beat
        # has two steps at least.
        rows, width = params.beat_cycles, params.group * codes * params.acc_bits
        sums = m.submodules.sums = _rows(width, rows)
        write, read = sums.write_port(), sums.read_port(domain="comb")
        operand_row = held_value(m, self.valid, self.step, "operand_row")
        product_row = held_value(m, operand.axpy, operand_row, "product_row")
        before = held_value(m, operand.axpy, read.data, "before")
        leaving = Signal(range(rows))
        added = [
            product[g][i] + Mux(stage.first, 0, before.word_select(g * codes + i, params.acc_bits).as_signed())
            for g in group
            for i in range(codes)
        ]
        m.d.comb += [
            read.addr.eq(Mux(operand.axpy, operand_row, leaving)),
            write.en.eq(stage.axpy),
            write.addr.eq(product_row),
            write.data.eq(Cat(each[: params.acc_bits] for each in added)),
        ]
        self._leave_rows(m, read.data, leaving, rows, stage.axpy)
        self._dots(m, product, stage)

    def _operands(self, m: Module, step: "_Step", taken: list[Signal]) -> tuple["_Step", list[Signal], list]:
        """Return the stage behind a step, with the codes that it took, and weights by query head and position."""
        params = self._params
        x = [held_value(m, self.valid, piece, f"x_{i}") for i, piece in enumerate(taken)]
        w = [
            [held_value(m, step.axpy, self.w[g][p], f"w_{g}_{p}") for p in range(params.positions)]
            for g in range(params.group)
        ]
        return step.moved(m, "operand"), x, w

    def _products(self, m: Module, operand: "_Step", q: list, x: list[Signal], w: list) -> list:
        """Return the registers of the products, by query head and multiplier."""
        return [
            [
                held_value(
                    m,
                    operand.dot | operand.axpy,
                    (Mux(operand.axpy, w[g][p], code(q[g], i)) * code(x, a))[:PRODUCT_BITS].as_signed(),
                    f"product_{g}_{a}",
                )
                for a, p, i in self._multipliers()
            ]
            for g in range(self._params.group)
        ]

    def _in_blocks(self, m: Module, step: "_Step", taken: list[Signal]) -> None:
        """Multipliers with all registers inside, and the sums too where each of them is one multiplier's."""
        params = self._params
        group, multipliers = range(params.group), list(self._multipliers())
        bits = params.acc_bits if params.sum_blocks else PRODUCT_BITS
        sums = [[Signal(signed(bits), name=f"p_{g}_{a}") for a, _, _ in multipliers] for g in group]
        cascade = [[Signal(CASCADE_BITS, name=f"pcout_{g}_{a}") for a, _, _ in multipliers] for g in group]
        codes = {a: code(taken, a) for a, _, _ in multipliers}
        weights = {(g, p): self.w[g][p] for g in group for p in range(params.positions)}
        begin, move = Signal(), Signal()
        stages = []
        for place in range(params.chain):
            if place:
                # Neighbours have each step one after the other.
                codes = {
                    a: held_value(m, step.dot | step.axpy, codes[a], f"code_{a}_{place}")
                    for a, _, i in multipliers
                    if self._place(i) >= place
                }
                weights = {at: held_value(m, step.axpy, w, f"w_{at[0]}_{at[1]}_{place}") for at, w in weights.items()}
                step = step.moved(m, f"place_{place}")
            operand = step.moved(m, f"operand_{place}")
            product = operand.moved(m, f"product_{place}")
            stages.append(product.moved(m, f"sum_{place}"))
            here = [(g, *each) for g in group for each in multipliers if self._place(each[2]) == place]
            for g, a, p, i in here:
                alone = i + params.cascades >= params.head_dim
                m.submodules[f"mac_{g}_{a}"] = mac(
                    a=self.row.word_select(i, CODE_BITS),
                    load_a=self._loads_query(g),
                    d=Cat(weights[g, p], Const(0, 1)),
                    load_d=step.axpy,
                    b=codes[a],
                    load_b=step.dot | step.axpy,
                    use_d=step.axpy,
                    multiply=operand.dot | operand.axpy | begin,
                    add=operand.axpy & ~operand.first if params.sum_blocks else Const(0),
                    chain=operand.dot | begin if place else begin,
                    with_product=~begin,
                    take=product.dot | product.axpy | move,
                    p=sums[g][a],
                    pcin=Const(0, CASCADE_BITS) if alone else cascade[g][a + params.cascades],
                    pcout=cascade[g][a],
                )
        if params.sum_blocks:
            m.d.comb += begin.eq(stages[-1].axpy & stages[-1].last)
            self._drain(m, sums, begin, move)
        else:
            self._select(m, self._sums(m, sums, stages), stages[-1].axpy)
        ends = [[row[a] for a, _, i in multipliers if self._place(i) == params.chain - 1] for row in sums]
        self._dots(m, ends, stages[-1])

    def _place(self, i: int) -> int:
        """Return a multiplier's place in its chain, by its code of the query: cascades end with the lowest codes."""
        params = self._params
        return (params.cascade - 1 - i // params.cascades) % params.chain

    def _drain(self, m: Module, sums: list, begin: Value, move: Signal) -> None:
        """Move complete sums, from `begin` on, through the cascades into a memory; they leave from there."""
        params = self._params
        length, width = params.cascade, params.cascades
        store = m.submodules.sums = _rows(params.group * width * params.acc_bits, length)
        write, read = store.write_port(), store.read_port(domain="comb")
        row, leaving = Signal(range(length)), Signal(range(length))
        m.d.comb += [
            write.en.eq(move),
            write.addr.eq(row),
            write.data.eq(Cat(head[:width] for head in sums)),
            read.addr.eq(leaving),
        ]
        with m.If(begin):
            m.d.sync += [move.eq(1), row.eq(0)]
        with m.Elif(move):
            m.d.sync += [move.eq(row != length - 1), row.eq(row + 1)]
        # A step has its sum behind an operand and a product: it may come that much earlier.
        with m.If(self.valid & self.axpy & self.last):
            m.d.sync += self.draining.eq(1)
        with m.Elif(move & (row == max(0, length - 4))):
            m.d.sync += self.draining.eq(0)
        self._leave_rows(m, read.data, leaving, length, move & (row == 0))

    def _leave_rows(self, m: Module, word: Value, row: Signal, rows: int, change: Value) -> None:
        """Let sums leave that lie in `rows` of a memory: `row` asks for a `word` with as many of every query head."""
        params = self._params
        beat_bits = params.acc_bits * params.vector_lanes
        beats = len(word) // beat_bits
        low = exact_log2(beats // params.group)
        high = low + exact_log2(rows)

        def beat(index: Value) -> Value:
            return mux_tree(Cat(index[:low], index[high:]), [word.word_select(i, beat_bits) for i in range(beats)])

        following = self._leave(m, beats * rows, beat, change)
        m.d.comb += row.eq(following[low:high])

    def _multipliers(self) -> Iterator[tuple[int, int, int]]:
        """Yield for each multiplier of a query head its number, its position of the beat, and its code of the query."""
        span = self._params.codes_per_cycle // self._params.positions
        for a in range(self._params.codes_per_cycle):
            yield a, *divmod(a, span)

    def _sums(self, m: Module, product: list, stages: list["_Step"]) -> list:
        """Return accumulators of the weighted values; `stages` are those of the places of a chain."""
        params = self._params
        dim = params.head_dim
        acc = [
            [Signal(signed(params.acc_bits), name=f"sum_{g}_{d}", reset_less=True) for d in range(dim)]
            for g in range(params.group)
        ]
        for g, row in enumerate(acc):
            for d, register in enumerate(row):
                stage = stages[self._place(d)]
                # The register stands second: the first operand also enters the carry chain beside the tables.
                added = sum_tree([product[g][p * dim + d] for p in range(params.positions)])
                with m.If(stage.axpy):
                    m.d.sync += register.eq(added + Mux(stage.first, 0, register))
        return acc

    def _select(self, m: Module, acc: list, change: Value) -> None:
        """Select the sums that leave, the first ones after the cycle in which they `change`.

        Selecting costs a third of the tables that shifting the sums along a chain would: a chain needs a multiplexer
        in front of every register.
        """
        lanes = self._params.vector_lanes
        sums = [register for row in acc for register in row]
        beats = [Cat(sums[i : i + lanes]) for i in range(0, len(sums), lanes)]
        self._leave(m, len(beats), lambda index: mux_tree(index, beats), change)

    def _leave(self, m: Module, beats: int, beat: Callable[[Value], Value], change: Value) -> Signal:
        """Offer the first beat of sums after a `change`, then the next with each `shift`; return the next one's index.

        A register behind the selection makes `shift` no more than an enable.
        """
        following = Signal(range(beats))
        stale = Signal()
        selected = Signal(len(self.acc.as_value()), reset_less=True)
        m.d.comb += self.acc.as_value().eq(selected)
        with m.If(change):
            m.d.sync += [following.eq(0), stale.eq(1)]
        with m.Elif(stale | self.shift):
            m.d.sync += [following.eq(following + 1), stale.eq(0), selected.eq(beat(following))]
        return following

    def _dots(self, m: Module, product: list, stage: "_Step") -> None:
        """Sums of the products with each position's key."""
        params = self._params
        terms = params.codes_per_cycle // params.positions // params.chain
        for p in range(params.positions):
            m.submodules[f"dots_{p}"] = dots = _kernel(params).component(**_pipeline(params))
            m.d.comb += [dots.i.valid.eq(stage.dot), dots.o.ready.eq(1)]
            if params.beat_cycles > 1:
                m.d.comb += dots.i.p.last.eq(stage.last)
            for g in range(params.group):
                m.d.comb += [dots.i.p[f"products_{g}_{i}"][0].eq(product[g][p * terms + i]) for i in range(terms)]
                m.d.comb += self.dot[g][p].eq(Value.cast(dots.o.p[f"result_{g}"]).as_signed())
            if p == 0:
                m.d.comb += self.dot_valid.eq(dots.o.valid)
        soon: Value = self.valid & ~self.axpy & self.last
        for _ in range(self.dot_latency(params) - DOT_WARNING):
            soon = held_flag(m, soon, "soon")
        m.d.comb += self.dot_soon.eq(soon)


@dataclass(frozen=True, kw_only=True)
class _Step:
    """What is done with the operands in a stage: flags that move along with them."""

    dot: Value
    axpy: Value
    first: Value
    last: Value

    def moved(self, m: Module, stage: str) -> "_Step":
        """Return the flags in the next stage."""
        return _Step(**{f.name: held_flag(m, getattr(self, f.name), f"{stage}_{f.name}") for f in fields(self)})


def _kernel(params: AttentionParams) -> Kernel:
    return key_dots(params.group, params.codes_per_cycle // params.positions, params.beat_cycles, params.chain)


def _pipeline(params: AttentionParams) -> dict[str, Any]:
    return {**params.pipeline, "chain": CHAINED_SUMS}


def code(pieces: list[Signal], index: int) -> Value:
    """One code of an operand."""
    i, place = divmod(index, PIECE)
    return pieces[i].word_select(place, len(pieces[i]) // PIECE).as_signed()


def decoded(short: Value) -> Value:
    """Return the byte that a code of 4 bits stands for."""
    return Array(Const(value, signed(STORED_BITS)) for value in KV_VALUES)[short.as_unsigned()]


def _rows(width: int, depth: int) -> memory.Memory:
    """Return a memory in tables, short and wide, which is read in the cycle of its address."""
    return memory.Memory(shape=width, depth=depth, init=[], attrs={"ram_style": "distributed"})
