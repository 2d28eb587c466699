"""Words that stand between scale words and tiles: upper bits of codes, and factors of super-blocks."""

from collections.abc import Iterable
from functools import reduce
from operator import or_

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from rtlm.hw.formats import BLOCK, SUPER_SHIFT, BlockFormat, Factors
from rtlm.hw.formats.description import HALF_BITS
from rtlm.hw.formats.tiles import FACTOR_BITS as PAIR_BITS
from rtlm.hw.formats.tiles import LANE_BITS, QUARTERS
from rtlm.hw.kernels.matmul import FACTOR_BITS, ZERO_BITS
from rtlm.hw.matmul.params import MatmulParams


def is_one_of(format: Value, formats: Iterable[BlockFormat]) -> Value:
    """Say in gates whether a format is one of `formats`."""
    return reduce(or_, [format == each.value for each in formats] or [Const(0)])


class SideWords(wiring.Component):
    """Take factor words and plane words, and give what tiles have of them.

    Protocol: with `load` a command's first tile is next, and its words are wanted. `wanted` says that the next word is
    no tile; `turn` is high in a cycle in which it can be taken: it is, if it is wanted. `take_tile` is the cycle in
    which a tile is taken: its upper bits are `upper` from the next cycle on, until the next tile. `take` is a later
    cycle, before the word behind the next tile: the tile's factors hold from the next cycle on, until the next `take`.

    Throughput: a word a cycle.

    Parameters
    ----------
    params
        Size of the matrix unit; some of its formats have upper bits or super-blocks.

    Ports
    -----
    load, following
        A command is loaded, and its format.
    turn, word
        The next word.
    take_tile, part, format
        A tile, its place in its super-block, and its format.
    wanted
        The next word is no tile.
    held
        The next tile's weights are the upper bits of the nibbles of the word before, where there are pairs.
    zero, halved, weighed, within
        Of `format`: the number of its zero among those of the unit; whether its halves are scaled apart, with a factor
        each; whether its factors multiply the sums of halves; whether its factor words have the scales.
    tables
        Of `format`: a bit for each format of the unit with a table.
    paired
        Of `format`: whether a nibble has bits of two tiles.
    upper
        The upper bits of the last tile's weights: all lower ones, then all upper ones.
    take, take_halved, take_weighed, take_within
        The factors of the last tile are taken; the formats that `halved`, `weighed` and `within` said.
    d, m
        Scale and minimum of the super-block of the last tile, at `take`.
    f, g
        What multiplies the first and the second term of each row: 1 where the format has no super-blocks.
    """

    def __init__(self, params: MatmulParams):
        self._params = params
        halves, factors = (data.ArrayLayout(shape, params.rows) for shape in (HALF_BITS, signed(FACTOR_BITS)))
        super().__init__(
            {
                "load": In(1),
                "following": In(params.format_bits),
                "turn": In(1),
                "word": In(params.word_bits),
                "take_tile": In(1),
                "part": In(SUPER_SHIFT),
                "format": In(params.format_bits),
                "wanted": Out(1),
                "held": Out(1),
                "zero": Out(ZERO_BITS),
                "halved": Out(1),
                "weighed": Out(1),
                "within": Out(1),
                "tables": Out(len(params.tables)),
                "paired": Out(1),
                "upper": Out(params.upper_bits * params.rows * BLOCK),
                "take": In(1),
                "take_halved": In(1),
                "take_weighed": In(1),
                "take_within": In(1),
                "d": Out(halves),
                "m": Out(halves),
                "f": Out(factors),
                "g": Out(factors),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build what says which word is next, and the registers for both kinds."""
        m = Module()
        want_factors, want_planes = Signal(), Signal()
        formats, zeros = self._params.formats, self._params.zeros
        m.d.comb += [
            self.wanted.eq(want_factors | want_planes),
            self.halved.eq(is_one_of(self.format, (each for each in formats if each.has_halves))),
            self.weighed.eq(is_one_of(self.format, (each for each in formats if each.weighs_halves))),
            self.within.eq(is_one_of(self.format, (each for each in formats if each.has_scales_in_factors))),
            self.tables.eq(Cat(self.format == each.value for each in self._params.tables)),
            self.paired.eq(is_one_of(self.format, (each for each in formats if each.is_paired))),
        ]
        for format in formats:
            with m.If(self.format == format.value):
                m.d.comb += self.zero.eq(zeros.index(format.zero))
        if self._params.paired:
            held = Signal()
            m.d.comb += self.held.eq(held)
            with m.If(self.take_tile):
                m.d.sync += held.eq(self.paired & ~self.part[0])
            with m.If(self.load):
                m.d.sync += held.eq(0)
        # Factors stand before planes.
        if self._params.factored:
            self._build_factors(m, want_factors)
        if self._params.upper_bits:
            self._build_planes(m, want_planes, self.turn & want_planes & ~want_factors)
        return m

    def _build_factors(self, m: Module, wanted: Signal) -> None:
        params = self._params
        with_factors = [format for format in params.formats if format.has_factors]
        held = Signal(params.word_bits, name="factor_word", reset_less=True)
        with m.If(self.turn & wanted):
            m.d.sync += [held.eq(self.word), wanted.eq(0)]
        with m.If(self.take_tile & (self.part == (1 << SUPER_SHIFT) - 1)):
            m.d.sync += wanted.eq(is_one_of(self.format, with_factors))
        with m.If(self.load):
            m.d.sync += wanted.eq(is_one_of(self.following, with_factors))

        part = Signal(SUPER_SHIFT)
        with m.If(self.take_tile):
            m.d.sync += part.eq(self.part)
        for r in range(params.rows):
            of_row = held.word_select(r, LANE_BITS << SUPER_SHIFT)
            lanes = [of_row.word_select(tile, LANE_BITS) for tile in range(1 << SUPER_SHIFT)]
            lane = Signal(LANE_BITS, name=f"lane_{r}")
            m.d.comb += [
                Cat(self.d[r], self.m[r]).eq(Cat(each[2 * PAIR_BITS :] for each in lanes)),
                lane.eq(Array(lanes)[part]),
            ]
            f, g = (Signal(signed(FACTOR_BITS), name=f"{name}_{r}", reset_less=True) for name in "fg")
            m.d.comb += [self.f[r].eq(f), self.g[r].eq(g)]
            with m.If(self.take):
                m.d.sync += [f.eq(1), g.eq(1)]
                if params.halved:
                    with m.If(self.take_halved | self.take_weighed):
                        m.d.sync += [f.eq(lane[:FACTOR_BITS]), g.eq(lane[FACTOR_BITS:])]
                first, second = lane[:PAIR_BITS], lane[PAIR_BITS : 2 * PAIR_BITS]
                if params.scales_in_factors:
                    with m.If(self.take_within):
                        m.d.sync += [f.eq(first), g.eq(-second)]
                if any(format.factors is Factors.SHORT_HALVES for format in params.formats):
                    with m.If(self.take_halved & self.take_within):
                        m.d.sync += [f.eq(first.as_signed()), g.eq(second.as_signed())]

    def _build_planes(self, m: Module, wanted: Signal, taken: Value) -> None:
        bits = self._params.rows * BLOCK
        held = [Signal(bits, name=f"plane_{n}", reset_less=True) for n in range(QUARTERS)]
        tile = Signal(range(QUARTERS))
        formats = self._params.formats
        with_planes = [format for format in formats if format.upper_bits]
        two = is_one_of(self.format, (format for format in formats if format.upper_bits == 2))
        with m.If(taken):
            m.d.sync += [plane.eq(self.word.word_select(n, bits)) for n, plane in enumerate(held)]
            m.d.sync += wanted.eq(0)
        with m.If(self.take_tile):
            last = Mux(two, tile[0], tile == QUARTERS - 1)
            m.d.sync += [tile.eq(Mux(last, 0, tile + 1)), wanted.eq(last & is_one_of(self.format, with_planes))]
        with m.If(self.load):
            # Formats without upper bits find zeros.
            m.d.sync += [plane.eq(0) for plane in held]
            m.d.sync += [tile.eq(0), wanted.eq(is_one_of(self.following, with_planes))]

        upper = Signal(len(self.upper), reset_less=True)
        m.d.comb += self.upper.eq(upper)
        sixth = Mux(tile[0], held[3], held[2]) & two.replicate(bits)
        with m.If(self.take_tile):
            m.d.sync += upper.eq(Cat(Array(held)[tile], *([sixth] if self._params.upper_bits == 2 else [])))
