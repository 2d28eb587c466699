"""The array: exact dot products of weight nibbles and activations."""

from collections import defaultdict
from collections.abc import Callable
from itertools import product as combinations
from typing import Any

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from rtlm.hw.common.layouts import CODE_BITS
from rtlm.hw.common.mac import CASCADE_BITS, CHAIN, mac
from rtlm.hw.common.stages import held_flag, held_value, registered
from rtlm.hw.formats import BLOCK
from rtlm.hw.formats.description import NIBBLE_BITS, PAIR_BITS
from rtlm.hw.hls import Kernel
from rtlm.hw.kernels.matmul import (
    HALF_SUM_BITS,
    packed_pair_sums,
    packed_product_bits,
    row_pair_half_sums,
    row_pair_sums,
    row_sum_bits,
)
from rtlm.hw.matmul.params import MatmulParams

ROW_BITS = BLOCK * NIBBLE_BITS

BLOCK_CYCLES = 3 + CHAIN - 1
"""From a step to the sum at the end of a chain of blocks: operands, product, sum, and one for each neighbour."""


class DotArray(wiring.Component):
    """Dot products of each nibble row of a word with each column's activation block.

    Protocol: `i_valid` accompanies each step of a word: `word` and `a` hold while `i_step` counts from 0 to
    ``word_cycles - 1``. `o_valid` accompanies the finished sums for a cycle, and the tag that came with the last step.
    Nothing stalls.

    Structure: where the technology has multipliers with registers and an adder inside (`rtlm.hw.common.mac`) and one
    serves two rows, operands and products lie in them, and neighbours add up their products, each a cycle after the one
    before it: so it has its operands a cycle later.

    Latency: `latency_of` cycles from the last step to `o_valid`.

    Throughput: a step a cycle.

    Numerics: exact; a nibble is 0 to 15, an activation -255 to 255, a sum 18 bits (the kernel `row_pair_sums`). With
    formats of 5 or 6 bits elements have upper bits above their nibbles, and sums 1 or 2 bits more.

    Parameters
    ----------
    params
        Size of the matrix unit.
    tag
        Shape of what accompanies a word.

    Ports
    -----
    i_valid, i_step, i_tag
        A step of a word; the tag is taken one cycle later.
    word, a
        The word, and for each column 32 activations, the first lowest.
    upper
        The upper bits of the word's elements, where there are any: all lower ones, then all upper ones.
    paired, second
        Where there are formats of which a nibble has bits of two tiles: the word is of one; its second tile is meant.
    tables
        Where there are formats with tables: a bit for each, which says that the word is of that format.
    o_valid, o, o_tag
        Sums of columns x nibble rows.
    o_second, o_half
        Where halves of a block have a factor each: `o` are the sums of the first halves, these those of the second, and
        the sums of each column's first half of activations.
    """

    def __init__(self, params: MatmulParams, *, tag: Any = 1):
        self._params, self._tag = params, tag
        sums = data.ArrayLayout(
            data.ArrayLayout(signed(row_sum_bits(params.element_bits)), params.rows), params.columns
        )
        others: dict[str, Any] = {}
        if params.upper_bits:
            others["upper"] = In(params.upper_bits * params.rows * BLOCK)
        if params.tables:
            others["tables"] = In(len(params.tables))
        if params.paired:
            others |= {"paired": In(1), "second": In(1)}
        if params.halved:
            others["o_second"] = Out(sums)
            others["o_half"] = Out(data.ArrayLayout(signed(HALF_SUM_BITS), params.columns))
        super().__init__(
            {
                "i_valid": In(1),
                "i_step": In(max(1, (params.word_cycles - 1).bit_length())),
                "i_tag": In(tag),
                "word": In(params.word_bits),
                "a": In(data.ArrayLayout(BLOCK * CODE_BITS, params.columns)),
                "o_valid": Out(1),
                "o": Out(sums),
                "o_tag": Out(tag),
                **others,
            }
        )

    @staticmethod
    def latency_of(params: MatmulParams) -> int:
        """Return the cycles from the last step of a word to its sums."""
        operands = BLOCK_CYCLES if params.product_blocks else 1
        return operands + _kernel(params).schedule(**params.pipeline).latency

    def elaborate(self, platform) -> Module:
        """Build operand registers and, for each column, a pipeline for each pair of rows."""
        m = Module()
        params = self._params
        rows = [self._parts(self._elements(r), params.element_bits) for r in range(params.rows)]
        columns = [self._parts(self.a[c], CODE_BITS) for c in range(params.columns)]
        inputs = self._products(m, rows, columns) if params.product_blocks else self._operands(m, rows, columns)
        last = held_value(m, self.i_valid, self.i_step == params.word_cycles - 1, "last")
        if params.halved and params.word_cycles > 1:
            second = held_value(m, self.i_valid, self.i_step >= params.word_cycles // 2, "second")
        valid, tag = held_flag(m, self.i_valid), self.i_tag
        for _ in range(BLOCK_CYCLES - 1 if params.product_blocks else 0):
            last, valid, tag = registered(m, last, "last"), held_flag(m, valid), registered(m, tag, "tag")
        for c in range(params.columns):
            for r in range(0, params.rows, 2):
                first = c == r == 0
                pair = _kernel(params).component(**params.pipeline, tag=self._tag if first else None)
                m.submodules[f"pair_{c}_{r}"] = pair
                m.d.comb += [pair.i.valid.eq(valid), pair.o.ready.eq(1)]
                m.d.comb += [pair.i.p[name][0].eq(value) for name, value in inputs[c, r].items()]
                m.d.comb += [self.o[c][r].eq(pair.o.p.low), self.o[c][r + 1].eq(pair.o.p.high)]
                if params.word_cycles > 1:
                    m.d.comb += pair.i.p.last.eq(last)
                if params.halved:
                    both = pair.o.p.low_second, pair.o.p.high_second
                    m.d.comb += [self.o_second[c][r + n].eq(value) for n, value in enumerate(both)]
                    if params.word_cycles > 1:
                        m.d.comb += pair.i.p.second[0].eq(second)
                    if r == 0:
                        m.d.comb += self.o_half[c].eq(pair.o.p.a_first)
                if first:
                    m.d.comb += [
                        pair.i.p.tag.eq(tag),
                        self.o_tag.eq(pair.o.p.tag),
                        self.o_valid.eq(pair.o.valid),
                    ]
        return m

    def _parts(self, block: Value, bits: int) -> list[Value]:
        """Return what a step takes of a block of elements or activations."""
        params = self._params
        if params.word_cycles > 1:
            block = block.word_select(self.i_step, len(block) // params.word_cycles)
        return [block[bits * k : bits * (k + 1)] for k in range(params.positions)]

    def _operands(self, m: Module, rows: list, columns: list) -> dict[tuple[int, int], dict[str, Value]]:
        """Return the operands of each column and pair of rows, in registers."""

        def held(name: str, operands: list[Value]) -> list[Value]:
            return [held_value(m, self.i_valid, operand, f"{name}_{k}") for k, operand in enumerate(operands)]

        rows = [held(f"u_{r}", operands) for r, operands in enumerate(rows)]
        columns = [held(f"a_{c}", operands) for c, operands in enumerate(columns)]
        return {
            (c, r): {
                f"{name}_{k}": operand
                for name, operands in (("low", rows[r]), ("high", rows[r + 1]), ("a", activations))
                for k, operand in enumerate(operands)
            }
            for c, activations in enumerate(columns)
            for r in range(0, self._params.rows, 2)
        }

    def _products(self, m: Module, rows: list, columns: list) -> dict[tuple[int, int], dict[str, Value]]:
        """Return the sums of products of each column and pair of rows, from chains of blocks."""
        params = self._params
        space = Const(0, params.field_distance - params.element_bits)
        bits = packed_product_bits(params.element_bits, params.field_distance, CHAIN)
        pairs = {
            (r, k): Cat(rows[r][k], rows[r + 1][k]) for r in range(0, params.rows, 2) for k in range(params.positions)
        }
        codes = {(c, k): code for c, activations in enumerate(columns) for k, code in enumerate(activations)}
        sums: dict[tuple[int, int], dict[str, Value]] = defaultdict(dict)
        cascade: dict[tuple[int, int, int], Signal] = {}
        valid: Value = self.i_valid
        for place in range(CHAIN):
            if place:
                # Neighbours have each step one after the other.
                pairs, codes = (
                    {
                        (n, k): held_value(m, valid, operand, f"{name}_{n}_{k}_{place}")
                        for (n, k), operand in operands.items()
                        if k % CHAIN >= place
                    }
                    for name, operands in (("u", pairs), ("a", codes))
                )
                valid = held_flag(m, valid, f"place_{place}")
            operand = held_flag(m, valid, f"operand_{place}")
            product = held_flag(m, operand, f"product_{place}")
            here = range(place, params.positions, CHAIN)
            for c, k, r in combinations(range(params.columns), here, range(0, params.rows, 2)):
                cascade[c, r, k] = Signal(CASCADE_BITS, name=f"pcout_{c}_{r}_{k}")
                sum_ = Signal(signed(bits), name=f"p_{c}_{r}_{k}")
                low, high = pairs[r, k][: params.element_bits], pairs[r, k][params.element_bits :]
                m.submodules[f"mac_{c}_{r}_{k}"] = mac(
                    a=Cat(low, space, high, Const(0, 1)),
                    load_a=valid,
                    d=Const(0, 2),
                    load_d=Const(0),
                    b=codes[c, k],
                    load_b=valid,
                    use_d=Const(0),
                    multiply=operand,
                    add=Const(0),
                    chain=Const(place > 0),
                    with_product=Const(1),
                    take=product,
                    p=sum_,
                    pcin=cascade[c, r, k - 1] if place else Const(0, CASCADE_BITS),
                    pcout=cascade[c, r, k],
                )
                if place == CHAIN - 1:
                    sums[c, r][f"products_{k // CHAIN}"] = sum_
        return sums

    def _elements(self, row: int) -> Value:
        """Return the elements of a row of the word."""
        params = self._params
        nibbles = self.word[row * ROW_BITS : (row + 1) * ROW_BITS]
        if params.element_bits == NIBBLE_BITS and not params.paired:
            return nibbles
        elements = []
        for k in range(BLOCK):
            nibble = nibbles.word_select(k, NIBBLE_BITS)
            upper = Cat(self.upper[(p * params.rows + row) * BLOCK + k] for p in range(params.upper_bits))
            element = Cat(nibble, upper)
            if params.paired:
                pair = Mux(self.second, nibble[PAIR_BITS:], nibble[:PAIR_BITS])
                element = Mux(self.paired, Cat(pair, upper[:1]), element)
            for place, format in enumerate(params.tables):
                values = Array(Const(value, params.element_bits) for value in format.table or ())
                element = Mux(self.tables[place], values[nibble], element)
            elements.append(Cat(element, Const(0, params.element_bits))[: params.element_bits])
        return Cat(elements)


def row_pair(params: MatmulParams) -> tuple[Callable[..., Kernel], tuple[int | None, ...]]:
    """Return the function that makes the kernel of a pair of rows, and its arguments."""
    field_bits = params.field_distance if params.rows_per_multiplier == 2 else None
    sizes = params.positions, field_bits, params.packed_terms, params.word_cycles, params.element_bits
    if params.product_blocks:
        return packed_pair_sums, (*sizes, params.chain)
    return row_pair_half_sums if params.halved else row_pair_sums, sizes


def _kernel(params: MatmulParams) -> Kernel:
    make, arguments = row_pair(params)
    return make(*arguments)
