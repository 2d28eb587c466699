"""The array: exact dot products of weight nibbles and activations."""

from functools import partial
from typing import Any

from amaranth.hdl import Array, Cat, Const, Module, Mux, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from rtlm.hw.common.layouts import CODE_BITS
from rtlm.hw.common.stages import held_flag, held_value
from rtlm.hw.formats import BLOCK
from rtlm.hw.formats.description import NIBBLE_BITS, PAIR_BITS
from rtlm.hw.hls import Kernel
from rtlm.hw.kernels.matmul import HALF_SUM_BITS, row_pair_half_sums, row_pair_sums, row_sum_bits
from rtlm.hw.matmul.params import MatmulParams

ROW_BITS = BLOCK * NIBBLE_BITS


class DotArray(wiring.Component):
    """Dot products of each nibble row of a word with each column's activation block.

    Protocol: `i_valid` accompanies each step of a word: `word` and `a` hold while `i_step` counts from 0 to
    ``word_cycles - 1``. `o_valid` accompanies the finished sums for a cycle, and the tag that came with the last step.
    Nothing stalls.

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
    pipeline
        Directives for the kernel: clock and technology.

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

    def __init__(self, params: MatmulParams, *, tag: Any = 1, pipeline: dict[str, Any]):
        self._params, self._tag, self._pipeline = params, tag, pipeline
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
    def latency_of(params: MatmulParams, pipeline: dict[str, Any]) -> int:
        """Return the cycles from the last step of a word to its sums."""
        operands = 1
        return operands + _kernel(params).schedule(**pipeline).latency

    def elaborate(self, platform) -> Module:
        """Build operand registers and, for each column, a pipeline for each pair of rows."""
        m = Module()
        params = self._params
        register = partial(held_value, m, self.i_valid)

        def parts(block: Value, bits: int, name: str) -> list[Value]:
            """Registers for what a step takes of a block of nibbles or activations."""
            if params.word_cycles > 1:
                block = block.word_select(self.i_step, len(block) // params.word_cycles)
            return [register(block[bits * k : bits * (k + 1)], f"{name}_{k}") for k in range(params.positions)]

        rows = [parts(self._elements(r), params.element_bits, f"u_{r}") for r in range(params.rows)]
        columns = [parts(self.a[c], CODE_BITS, f"a_{c}") for c in range(params.columns)]
        last = register(self.i_step == params.word_cycles - 1, "last")
        if params.halved and params.word_cycles > 1:
            second = register(self.i_step >= params.word_cycles // 2, "second")
        valid = held_flag(m, self.i_valid)
        for c, activations in enumerate(columns):
            for r in range(0, params.rows, 2):
                first = c == r == 0
                pair = _kernel(params).component(**self._pipeline, tag=self._tag if first else None)
                m.submodules[f"pair_{c}_{r}"] = pair
                m.d.comb += [pair.i.valid.eq(valid), pair.o.ready.eq(1)]
                for name, operands in (("low", rows[r]), ("high", rows[r + 1]), ("a", activations)):
                    m.d.comb += [pair.i.p[f"{name}_{k}"][0].eq(operand) for k, operand in enumerate(operands)]
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
                        pair.i.p.tag.eq(self.i_tag),
                        self.o_tag.eq(pair.o.p.tag),
                        self.o_valid.eq(pair.o.valid),
                    ]
        return m

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


def row_pair_arguments(params: MatmulParams) -> tuple[int, int | None, int, int, int]:
    """Return what the kernels `row_pair_sums` and `row_pair_half_sums` are made with."""
    field_bits = params.field_distance if params.rows_per_multiplier == 2 else None
    return params.positions, field_bits, params.packed_terms, params.word_cycles, params.element_bits


def _kernel(params: MatmulParams) -> Kernel:
    return (row_pair_half_sums if params.halved else row_pair_sums)(*row_pair_arguments(params))
