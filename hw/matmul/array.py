"""The array: exact dot products of weight nibbles and int8 activations."""

from functools import partial

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from rtlm.hw.common.stages import held_flag, held_value
from rtlm.hw.formats import BLOCK
from rtlm.hw.matmul.params import MatmulParams

ROW_SUM_BITS = 17
"""Signed width of the sum of 32 products of a nibble and an activation."""

LEVELS_PER_STAGE = 2
"""Adder levels between registers."""

ROW_BITS = BLOCK * 4
PIECE = 4
"""Positions of two nibble rows that lie in one 32-bit operand register."""


class DotArray(wiring.Component):
    """Dot products of each nibble row of a word with each column's activation block.

    Protocol: `i_valid` accompanies each step of a word: `word` and `a` hold while `i_step` counts from 0 to
    ``word_cycles - 1``. `o_valid` accompanies the finished sums, which hold until the next. Nothing stalls.

    Latency: `latency(params)` cycles from the last step to `o_valid`.

    Throughput: a step a cycle.

    Numerics: exact; a nibble is 0 to 15, an activation -128 to 127, a sum 17 bits. Where two rows share a multiplier,
    the operand is ``(u1 << field_bits) | u0``; packed products are added while both sums fit their fields, then the
    high sum is corrected by the low one's borrow.

    Parameters
    ----------
    params
        Size of the matrix unit.

    Ports
    -----
    i_valid, i_step
        A step of a word.
    word, a
        The word, and for each column 32 activations, the first in the lowest byte.
    o_valid, o
        Sums of columns x nibble rows.
    """

    def __init__(self, params: MatmulParams):
        self._params = params
        super().__init__(
            {
                "i_valid": In(1),
                "i_step": In(max(1, (params.word_cycles - 1).bit_length())),
                "word": In(params.word_bits),
                "a": In(data.ArrayLayout(BLOCK * 8, params.columns)),
                "o_valid": Out(1),
                "o": Out(data.ArrayLayout(data.ArrayLayout(signed(ROW_SUM_BITS), params.rows), params.columns)),
            }
        )

    @staticmethod
    def latency(params: MatmulParams) -> int:
        """Cycles from the last step of a word to its sums."""
        before, after = params.tree_levels
        operands_and_products = 2
        # Telling the fields apart is an addition itself and shares its stage with one level.
        separate = params.rows_per_multiplier == 2
        after = max(0, after - 1) if separate else after
        stages = -(-before // LEVELS_PER_STAGE) + separate - (-after // LEVELS_PER_STAGE)
        return operands_and_products + stages + (params.word_cycles > 1)

    def elaborate(self, platform) -> Module:
        """Build the array."""
        m = Module()
        params = self._params
        valid = self.i_valid
        step = self.i_step

        register, stage = partial(held_value, m), partial(held_flag, m)

        def select(value: Value) -> Value:
            """Take the part of a block (of nibbles or activations) that belongs to the step."""
            return value if params.word_cycles == 1 else value.word_select(step, len(value) // params.word_cycles)

        # Operand registers. Two nibble rows interleaved by pieces of four positions: wiring in hardware, and in a
        # simulator every packed operand is then one shift and one mask of a 32-bit register.
        rows = [select(self.word[r * ROW_BITS : (r + 1) * ROW_BITS]) for r in range(params.rows)]
        nibbles: list[list[Value]] = [[] for _ in rows]
        for r in range(0, params.rows, 2):
            for k in range(0, params.positions, PIECE):
                piece = slice(4 * k, 4 * (k + PIECE))
                pair = register(valid, Cat(rows[r][piece], rows[r + 1][piece]), f"u_{r}_{k}")
                for i in range(PIECE):
                    nibbles[r].append(pair[4 * i : 4 * i + 4])
                    nibbles[r + 1].append(pair[4 * (PIECE + i) : 4 * (PIECE + i) + 4])
        activations = []
        for c in range(params.columns):
            part = select(self.a[c])
            activations.append(
                [register(valid, part[8 * k : 8 * k + 8].as_signed(), f"a_{c}_{k}") for k in range(params.positions)]
            )
        first = register(valid, step == 0, "first")
        last = register(valid, step == params.word_cycles - 1, "last")
        valid = stage(valid)

        if params.rows_per_multiplier == 2:
            spacing = Const(0, params.field_bits - 4)
            operands = [
                [
                    # Four spare bits give the product a round width (32 bits with 16-bit fields); synthesis drops them.
                    Cat(low, spacing, high, Const(0, 4)).as_unsigned()
                    for low, high in zip(nibbles[r], nibbles[r + 1], strict=True)
                ]
                for r in range(0, params.rows, 2)
            ]
            width = params.field_bits + 16
        else:
            operands, width = nibbles, ROW_SUM_BITS

        sums = [
            [
                [
                    register(valid, (u * a)[:width].as_signed(), f"p_{c}_{i}_{k}")
                    for k, (u, a) in enumerate(zip(row, activations[c], strict=True))
                ]
                for i, row in enumerate(operands)
            ]
            for c in range(params.columns)
        ]
        flags = [(first, last)]

        def advance(valid: Value) -> Signal:
            if params.word_cycles > 1:
                f, g = flags[-1]
                flags.append((register(valid, f, "first"), register(valid, g, "last")))
            return stage(valid)

        valid = advance(valid)

        def reduce(values: list[Value], terms: int, name: str, width: int = ROW_SUM_BITS) -> list[Value]:
            """Add neighbours in groups of `terms` into registers; `width` bits hold every sum."""
            out = []
            for i in range(0, len(values), terms):
                total = values[i]
                for value in values[i + 1 : i + terms]:
                    total = (total + value)[:width].as_signed()
                out.append(register(valid, total, f"{name}_{i}"))
            return out

        before, after = params.tree_levels
        while before:
            levels = min(before, LEVELS_PER_STAGE)
            sums = [[reduce(row, 1 << levels, "t", width) for row in column] for column in sums]
            valid = advance(valid)
            before -= levels
        if params.rows_per_multiplier == 2:
            levels = min(after, 1)
            low = slice(0, params.field_bits)
            separated = []
            for column in sums:
                split = []
                for pair in column:
                    split.append(reduce([p[low].as_signed() for p in pair], 1 << levels, "low"))
                    split.append(
                        reduce(
                            [p[params.field_bits :].as_signed() + p[params.field_bits - 1] for p in pair],
                            1 << levels,
                            "high",
                        )
                    )
                separated.append(split)
            sums = separated
            valid = advance(valid)
            after -= levels
        while after:
            levels = min(after, LEVELS_PER_STAGE)
            sums = [[reduce(row, 1 << levels, "s") for row in column] for column in sums]
            valid = advance(valid)
            after -= levels

        if params.word_cycles > 1:
            first, last = flags[-1]
            for c, column in enumerate(sums):
                for r, (total,) in enumerate(column):
                    running = Signal(signed(ROW_SUM_BITS), name=f"partial_{c}_{r}", reset_less=True)
                    with m.If(valid):
                        m.d.sync += running.eq(total + Mux(first, 0, running))
                    column[r] = [running]
            valid = stage(valid & last)
        m.d.comb += self.o_valid.eq(valid)
        for c, column in enumerate(sums):
            for r, (total,) in enumerate(column):
                m.d.comb += self.o[c][r].eq(total)
        return m
