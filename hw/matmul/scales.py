"""Scales of a run of tiles: a scale word, used up quarter by quarter."""

from itertools import pairwise

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from rtlm.hw.formats.description import HALF_BITS
from rtlm.hw.matmul.params import MatmulParams

QUARTERS = 4
"""A scale word is used up in quarters: the scales of one Q4_1, two Q4_0 or four Q8_0 or MXFP4 tiles."""


class TileScales(wiring.Component):
    """Hold a scale word and give the scales of each tile.

    Protocol: `load` takes a scale word. `take` asks for a tile's scales; `part` is the tile's place in the quarter in
    use, and `advance` discards the quarter behind this tile.
    Latency: a cycle from `take` to `d` and `m`, which hold until the next. Throughput: a tile a cycle.

    Parameters
    ----------
    params
        Size of the matrix unit.

    Ports
    -----
    load, word
        A scale word.
    take, eight, minimum, part, advance
        A tile: whether its weights have 8 bits, whether it has minima, and where its scales lie.
    d, m
        Scale and minimum (0 where there is none) of each nibble row, fp16. With 8-bit weights only those of even rows
        count.
    halved
        Where there are formats in which halves of a block have a factor each: the tile is of one; `m` is `d` then.
    short
        Where there are formats of which a scale word has the upper bytes of scales alone: the tile is of one.
    given, given_d, given_m
        Where there are formats with scales in factor words: the tile is of one, and its scales are these.
    """

    def __init__(self, params: MatmulParams):
        self._params = params
        halves = data.ArrayLayout(HALF_BITS, params.rows)
        others = {"halved": In(1)} if params.halved else {}
        if params.short_scales:
            others["short"] = In(1)
        if params.scales_in_factors:
            others |= {"given": In(1), "given_d": In(halves), "given_m": In(halves)}
        super().__init__(
            {
                "load": In(1),
                "word": In(params.word_bits),
                "take": In(1),
                "eight": In(1),
                "minimum": In(1),
                "part": In(2),
                "advance": In(1),
                "d": Out(halves),
                "m": Out(halves),
                **others,
            }
        )

    def elaborate(self, platform) -> Module:
        """Build the word's registers and the selection."""
        m = Module()
        rows, size = self._params.rows, self._params.word_bits // QUARTERS
        quarters = [Signal(size, name=f"quarter_{i}", reset_less=True) for i in range(QUARTERS)]
        with m.If(self.load):
            for i, quarter in enumerate(quarters):
                m.d.sync += quarter.eq(self.word[i * size : (i + 1) * size])
        with m.Elif(self.take & self.advance):
            for quarter, following in pairwise(quarters):
                m.d.sync += quarter.eq(following)

        def half(index: int) -> Value:
            return quarters[0][index * HALF_BITS : (index + 1) * HALF_BITS]

        scales, minima = (Signal(self.d.shape(), name=name, reset_less=True) for name in ("scales", "minima"))
        m.d.comb += [self.d.eq(scales), self.m.eq(minima)]
        with m.If(self.take):
            for r in range(rows):
                d = Mux(self.minimum, half(2 * r), Mux(self.part[0], half(rows + r), half(r)))
                if r % 2 == 0:
                    low = Mux(self.part[0], half(rows // 2 + r // 2), half(r // 2))
                    high = Mux(self.part[0], half(3 * rows // 2 + r // 2), half(rows + r // 2))
                    d = Mux(self.eight, Mux(self.part[1], high, low), d)
                if self._params.short_scales:
                    upper = Array(quarters[0].word_select(n * rows + r, HALF_BITS // 2) for n in range(4))[self.part]
                    d = Mux(self.short, Cat(Const(0, HALF_BITS // 2), upper), d)
                minimum = Mux(self.minimum, half(2 * r + 1), 0)
                if self._params.halved:
                    minimum = Mux(self.halved, d, minimum)
                if self._params.scales_in_factors:
                    d, minimum = (
                        Mux(self.given, given[r], own) for given, own in ((self.given_d, d), (self.given_m, minimum))
                    )
                m.d.sync += [scales[r].eq(d), minima[r].eq(minimum)]
        return m
