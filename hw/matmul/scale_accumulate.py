"""Scales of a run of tiles, and the accumulators that add scaled block sums (docs/numerics.md, "Matrix product")."""

from functools import partial
from itertools import pairwise

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from rtlm.hw.common.stages import held_flag, held_value
from rtlm.hw.kernels.scale import ACC_BITS
from rtlm.hw.matmul.array import ROW_SUM_BITS
from rtlm.hw.matmul.model import MAX_LEFT_SHIFT, MAX_RIGHT_SHIFT, TERM_BIAS
from rtlm.hw.matmul.params import ACTIVATION_LAYOUT, SUM_BITS, MatmulParams, accumulator_array

HALF = 16
QUARTERS = 4
"""A scale word is used up in quarters: the scales of one Q4_1, two Q4_0 or four Q8_0 tiles."""

BLOCK_SUM_BITS = 21
"""Signed width of the sum of 32 products of an 8-bit weight and an activation."""

SCALE_PRODUCT_BITS = 20
"""Signed width of an fp16 significand (12) times a BF16 significand (8, unsigned)."""

TERM_BITS = BLOCK_SUM_BITS + SCALE_PRODUCT_BITS
SHIFT_BITS = 6

TILE_CONTROL = data.StructLayout({"eight": 1, "minimum": 1, "zero": 1, "first": 1, "last": 1, "end": 1})
"""A tile: 8-bit weights, minima, a zero point other than 0, first and last block of a row group, last of the matrix."""


class ScaleAccumulate(wiring.Component):
    """Hold the scales of a run of tiles; scale the array's sums and accumulate them over the blocks of a row group.

    Protocol: `load` takes a scale word. `i_first` and `i_last` accompany the first and the last step of a tile
    (together where a word takes one step) with its control and activation block; `part` is the tile's place in the
    quarter of the scale word in use, and `advance` discards the quarter after this tile. The array's sums follow with
    `DotArray.latency`. `o_valid` accompanies the accumulators of a finished row group for one cycle. Nothing stalls.

    Latency: `LATENCY` cycles from the sums to `o_valid`.

    Throughput: a tile a cycle.

    Numerics: integer; a term is rounded half up to the accumulator's unit, accumulators wrap at 48 bits.

    Parameters
    ----------
    params
        Size of the matrix unit.
    array_latency
        Cycles from the last step of a tile to its sums.

    Ports
    -----
    load, word
        A scale word.
    i_first, i_last, control, part, advance, activations
        A tile.
    sums
        Sums of nibbles of columns x nibble rows.
    o_valid, o, o_eight, o_end
        Accumulators of columns x rows. With 8-bit weights only the even ones count.
    """

    LATENCY = 6
    """Cycles from the array's sums to the accumulators."""

    def __init__(self, params: MatmulParams, *, array_latency: int):
        self._params = params
        self._array_latency = array_latency
        sums = data.ArrayLayout(data.ArrayLayout(signed(ROW_SUM_BITS), params.rows), params.columns)
        super().__init__(
            {
                "load": In(1),
                "word": In(params.word_bits),
                "i_first": In(1),
                "i_last": In(1),
                "control": In(TILE_CONTROL),
                "part": In(2),
                "advance": In(1),
                "activations": In(data.ArrayLayout(ACTIVATION_LAYOUT, params.columns)),
                "sums": In(sums),
                "o_valid": Out(1),
                "o": Out(data.ArrayLayout(accumulator_array(params.rows), params.columns)),
                "o_eight": Out(1),
                "o_end": Out(1),
            }
        )

    def _tile_scales(self, m: Module) -> list[tuple[Value, Value]]:
        """Hold the scale word; give the current tile's ``d`` and ``m`` for each accumulator."""
        rows, size = self._params.rows, self._params.word_bits // QUARTERS
        quarters = [Signal(size, name=f"scales_{i}", reset_less=True) for i in range(QUARTERS)]
        with m.If(self.load):
            for i, quarter in enumerate(quarters):
                m.d.sync += quarter.eq(self.word[i * size : (i + 1) * size])
        with m.Elif(self.i_first & self.advance):
            for quarter, following in pairwise(quarters):
                m.d.sync += quarter.eq(following)

        def half(index: int) -> Value:
            return quarters[0][index * HALF : (index + 1) * HALF]

        scales = []
        for r in range(rows):
            four_bit = Mux(
                self.control.minimum,
                half(2 * r),
                Mux(self.part[0], half(rows + r), half(r)),
            )
            if r % 2:
                d = four_bit
            else:
                low = Mux(self.part[0], half(rows // 2 + r // 2), half(r // 2))
                high = Mux(self.part[0], half(3 * rows // 2 + r // 2), half(rows + r // 2))
                d = Mux(self.control.eight, Mux(self.part[1], high, low), four_bit)
            scales.append((d, half(2 * r + 1)))
        return scales

    def elaborate(self, platform) -> Module:
        """Build the scale register and the accumulators."""
        m = Module()
        params = self._params

        register, stage = partial(held_value, m), partial(held_flag, m)

        # Raw scales wait for the sums: fewer bits than anything computed from them.
        fields = []
        for d, minimum in self._tile_scales(m):
            fields += [("d", d), ("m", minimum)]
        activations = [self.activations[c] for c in range(params.columns)]
        if params.word_cycles > 1:
            fields = [(n, register(self.i_first, v, n)) for n, v in fields]
        for block in activations:
            fields += [("s", block.s), ("suma", block.suma.as_signed())]
        fields.append(("control", self.control))
        valid = self.i_last
        for _ in range(self._array_latency - 1):
            fields = [(n, register(valid & fields[-1][1].minimum if n == "m" else valid, v, n)) for n, v in fields]
            valid = stage(valid)
        held = [value for _, value in fields]
        scales = [(held[2 * r], held[2 * r + 1]) for r in range(params.rows)]
        blocks = [tuple(held[2 * (params.rows + c) : 2 * (params.rows + c) + 2]) for c in range(params.columns)]
        control = held[-1]

        # Significands are multiplied while the sums arrive.
        here, with_minimum = valid, valid & control.minimum
        decoded = []
        for c, (s, suma) in enumerate(blocks):
            s_sig = Mux(s[7:] == 0, 0, Cat(s[:7], Const(1, 1)))
            zero = register(here, Mux(control.zero, Mux(control.eight, suma << 7, suma << 3), 0), f"zero_{c}")
            total = register(with_minimum, (suma * s_sig)[: SUM_BITS + 8].as_signed(), f"total_{c}")
            rows = []
            for r, (d, minimum) in enumerate(scales):
                d_sig, d_exp = _fp16(d)
                m_sig, m_exp = _fp16(minimum)
                rows.append(
                    (
                        register(here, (d_sig * s_sig)[:SCALE_PRODUCT_BITS].as_signed(), f"sd_{c}_{r}"),
                        register(here, (d_exp + s[7:] - TERM_BIAS), f"hd_{c}_{r}"),
                        register(with_minimum, m_sig, f"sm_{c}_{r}"),
                        register(with_minimum, (m_exp + s[7:] - TERM_BIAS), f"hm_{c}_{r}"),
                    )
                )
            decoded.append((zero, total, rows))
        control = register(here, control, "control")
        valid = stage(here)

        # The sums are here.
        here, with_minimum = valid, valid & control.minimum
        products = []
        for c, (zero, total, rows) in enumerate(decoded):
            for r, (sd, hd, sm, hm) in enumerate(rows):
                own = self.sums[c][r]
                if r % 2 == 0:
                    own = own + Mux(control.eight, self.sums[c][r + 1] << 4, 0)
                block_sum = register(here, (own - zero)[:BLOCK_SUM_BITS].as_signed(), f"sum_{c}_{r}")
                sd = register(here, sd, f"sd_{c}_{r}")
                shift_d = _shift(register, here, hd, f"d_{c}_{r}")
                minimum = register(with_minimum, (total * sm)[:TERM_BITS].as_signed(), f"pm_{c}_{r}")
                shift_m = _shift(register, with_minimum, hm, f"m_{c}_{r}")
                products.append((block_sum, sd, shift_d, minimum, shift_m))
        control = register(here, control, "control")
        valid = stage(here)

        here, with_minimum = valid, valid & control.minimum
        terms = []
        for i, (block_sum, sd, shift_d, minimum, shift_m) in enumerate(products):
            product = register(here, (block_sum * sd)[:TERM_BITS].as_signed(), f"pd_{i}")
            terms.append(
                (
                    product,
                    [register(here, v, f"shift_d_{i}") for v in shift_d],
                    register(with_minimum, _half_up(minimum, *shift_m), f"rm_{i}"),
                    [register(with_minimum, v, f"shift_m_{i}") for v in shift_m],
                )
            )
        control = register(here, control, "control")
        valid = stage(here)

        here, with_minimum = valid, valid & control.minimum
        rounded = []
        for i, (product, by_d, minimum, by_m) in enumerate(terms):
            rounded.append(
                (
                    register(here, _half_up(product, *by_d), f"rd_{i}"),
                    [register(here, v, f"shift_d_{i}") for v in by_d],
                    register(with_minimum, _shifted(minimum, *by_m), f"tm_{i}"),
                )
            )
        control = register(here, control, "control")
        valid = stage(here)

        here, with_minimum = valid, valid & control.minimum
        shifted = []
        for i, (product, by_d, minimum) in enumerate(rounded):
            shifted.append(
                (
                    register(here, _shifted(product, *by_d), f"td_{i}"),
                    register(with_minimum, minimum, f"tm_{i}"),
                )
            )
        control = register(here, control, "control")
        valid = stage(here)

        here = valid
        both = [
            register(here, (td + Mux(control.minimum, tm, 0))[:ACC_BITS], f"term_{i}")
            for i, (td, tm) in enumerate(shifted)
        ]
        control = register(here, control, "control")
        valid = stage(here)

        for i, term in enumerate(both):
            acc = Signal(ACC_BITS, name=f"acc_{i}", reset_less=True)
            with m.If(valid):
                m.d.sync += acc.eq(term + Mux(control.first, 0, acc))
            m.d.comb += self.o[i // params.rows][i % params.rows].eq(acc)
        m.d.comb += [
            self.o_eight.eq(register(valid, control.eight, "eight")),
            self.o_end.eq(register(valid, control.end, "end")),
            self.o_valid.eq(stage(valid & control.last)),
        ]
        return m


def _shift(register, enable: Value, h: Value, name: str) -> tuple[Signal, Signal]:
    """Register direction (1: right) and limited distance of a shift."""
    right = h < 0
    distance = Mux(
        right,
        Mux(h < -MAX_RIGHT_SHIFT, MAX_RIGHT_SHIFT, -h),
        Mux(h > MAX_LEFT_SHIFT, MAX_LEFT_SHIFT, h),
    )
    return register(enable, right, f"right_{name}"), register(enable, distance[:SHIFT_BITS], f"distance_{name}")


def _fp16(bits: Value) -> tuple[Value, Value]:
    """Return signed significand (12 bits) and exponent ``max(e, 1)`` of an fp16."""
    magnitude = Cat(bits[:10], bits[10:15] != 0)
    significand = Mux(bits[15], -magnitude, magnitude)[:12].as_signed()
    return significand, Mux(bits[10:15] == 0, 1, bits[10:15])


def _half_up(product: Value, right: Value, distance: Value) -> Value:
    """Add half a unit of the result before a shift to the right."""
    half = ((Const(1, 1) << distance) >> 1)[:MAX_RIGHT_SHIFT]
    return (product + Mux(right, half, 0))[:ACC_BITS].as_signed()


def _shifted(product: Value, right: Value, distance: Value) -> Value:
    """Shift a rounded product into place, modulo the accumulator's width."""
    left = product
    # The large steps by selection: a single shift by six bits would be 110 bits wide on its way to 48.
    for i in (5, 4):
        left = Mux(distance[i], left << (1 << i), left)[:ACC_BITS].as_signed()
    left = (left << distance[:4])[:ACC_BITS].as_signed()
    return Mux(right, product >> distance, left)[:ACC_BITS]
