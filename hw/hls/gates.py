"""Floating-point operators as combinational micro-steps."""

from __future__ import annotations

from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Mux, signed, unsigned
from rtlm.hw.common.trees import mux_tree
from rtlm.hw.hls import products
from rtlm.hw.hls.builder import Builder, Net
from rtlm.hw.hls.types import Float, Int


@dataclass
class Parts:
    """A float taken apart; ``significand`` includes the leading one (also for zeros: ask ``zero``)."""

    sign: Net
    field: Net
    significand: Net
    zero: Net
    special: Net
    nan: Net


def unpack(b: Builder, x: Net, type_: Float) -> Parts:
    """Fields and flags; a subnormal counts as zero."""
    m, e, tech = type_.mantissa, type_.exponent, b.tech
    special = b.step(lambda v: v[m : m + e].all(), x, delay=tech.gather(e))
    return Parts(
        sign=b.wire(lambda v: v[-1], x),
        field=b.wire(lambda v: v[m : m + e], x),
        significand=b.wire(lambda v: Cat(v[:m], Const(1, 1)), x),
        zero=b.step(lambda v: ~v[m : m + e].any(), x, delay=tech.gather(e)),
        special=special,
        nan=b.step(lambda v: v[m : m + e].all() & v[:m].any(), x, delay=tech.gather(m + e)),
    )


def clean(b: Builder, x: Net, type_: Float) -> Net:
    """Subnormals to signed zeros, NaN patterns to the NaN."""
    m, e, tech = type_.mantissa, type_.exponent, b.tech
    b.operator(None, "clean")
    zero = b.step(lambda v: ~v[m : m + e].any(), x, delay=tech.gather(e))
    nan = b.step(lambda v: v[m : m + e].all() & v[:m].any(), x, delay=tech.gather(m + e))
    return b.step(
        lambda v, z, n: Mux(n, Const(type_.nan_bits, type_.width), Cat(v[:m] & ~z.replicate(m), v[m:])),
        x,
        zero,
        nan,
        delay=tech.levels(1),
    )


def finish(b: Builder, type_: Float, sign: Net, packed: Net, zero: Net, inf: Net, nan: Net) -> Net:
    """Float from ``packed`` (signed exponent, fraction), with overflow, underflow and the special cases."""
    m, e = type_.mantissa, type_.exponent
    top = packed.width - m  # signed exponent
    over = b.step(
        lambda p, i, z: i | (~z & ~p[-1] & (p[m : m + e].all() | p[m + e : m + top].any())),
        packed, inf, zero, delay=b.tech.gather(top + 2),
    )  # fmt: skip
    under = b.step(lambda p, z: z | p[-1] | ~p[m:].any(), packed, zero, delay=b.tech.gather(top + 1))

    def choose(p, s, o, u, n):
        number = Mux(o, Const(type_.inf_bits, m + e), Mux(u, Const(0, m + e), p[: m + e]))
        return Mux(n, Const(type_.nan_bits, type_.width), Cat(number, s))

    return b.step(choose, packed, sign, over, under, nan, delay=b.tech.levels(1 + b.tech.reset_levels))


def round_pack(b: Builder, type_: Float, exponent: Net, significand: Net) -> Net:
    """Signed exponent and fraction of ``significand`` (leading one at its top), rounded to nearest even."""
    m, extra = type_.mantissa, significand.width - type_.mantissa - 1
    if extra == 0:
        return b.wire(lambda ex, s: Cat(s[:m], ex).as_signed(), exponent, significand)

    def up(s):
        low = s[: extra - 1].any() if extra > 1 else Const(0, 1)
        return s[extra - 1] & (low | s[extra])

    carry = b.step(up, significand, delay=b.tech.gather(extra + 2))
    width = exponent.width + m + 1
    return b.step(
        lambda ex, s, c: (Cat(s[extra : extra + m], ex).as_signed() + c)[:width].as_signed(),
        exponent,
        significand,
        carry,
        delay=b.tech.add(width),
    )


def normalise(b: Builder, x: Net) -> tuple[Net, Net]:
    """Shift the leading one to the top; returns the shifted value and the count of zeros that went."""
    k, counts = 1 << (max(x.width - 1, 1).bit_length() - 1), []
    while k:
        if k < x.width:
            empty = b.step(lambda v, k=k: ~v[-k:].any(), x, delay=b.tech.gather(k))
            x = b.step(lambda v, z, k=k: Mux(z, Cat(Const(0, k), v[:-k]), v), x, empty, delay=b.tech.levels(1))
            counts.append(empty)
        k >>= 1
    return x, b.wire(lambda *bits: Cat(*reversed(bits)), *counts)


def shift_right_sticky(b: Builder, x: Net, count: Net, far: Net) -> Net:
    """``x >> count`` with everything lost OR-ed into the lowest bit; all is lost if ``far``."""
    w = x.width
    positions = 1 << count.width
    lost = b.step(
        lambda v, c, f: (v & (f.replicate(w) | ~(Const((1 << w) - 1, w) << c)[:w])).any(),
        x,
        count,
        far,
        delay=b.tech.levels(1) + b.tech.gather(w),
    )
    moved = b.step(lambda v, c, f: Mux(f, 0, v >> c), x, count, far, delay=b.tech.shift(positions))
    return b.step(lambda v, s: Cat(v[0] | s, v[1:]), moved, lost, delay=b.tech.levels(1))


def _add_core(b: Builder, type_: Float, pa: tuple, pb: tuple, inf: Net, nan: Net) -> Net:
    """Sum of (sign, exponent, significand) triples; significands of one width, those of zeros are 0."""
    (sa, ea, ma), (sb, eb, mb) = pa, pb
    width, tech = ma.width, b.tech
    smaller = b.step(
        lambda e1, m1, e2, m2: (Cat(m1, e1).as_signed() < Cat(m2, e2).as_signed())
        if e1.shape().signed
        else (Cat(m1, e1) < Cat(m2, e2)),
        ea, ma, eb, mb, delay=tech.add(width + ea.width),
    )  # fmt: skip
    ab = b.add(ea, eb, lambda x, y: (x - y)[: ea.width])
    ba = b.add(eb, ea, lambda x, y: (x - y)[: ea.width])
    distance = b.mux(smaller, ba, ab)
    large_e = b.step(lambda c, x, y: Mux(c, y, x), smaller, ea, eb, delay=tech.levels(1))
    large = b.step(lambda c, x, y: Mux(c, y, x), smaller, ma, mb, delay=tech.levels(1))
    small = b.step(lambda c, x, y: Cat(Const(0, 3), Mux(c, x, y)), smaller, ma, mb, delay=tech.levels(1))
    sign = b.step(lambda c, x, y: Mux(c, y, x), smaller, sa, sb, delay=tech.levels(1))
    minus = b.step(lambda x, y: x ^ y, sa, sb, delay=tech.levels(1))
    bits = (width + 2).bit_length()
    if distance.width > bits:
        far = b.step(lambda d: d[bits:].any(), distance, delay=tech.gather(distance.width - bits))
    else:
        far = b.const(0, unsigned(1))
    aligned = shift_right_sticky(b, small, b.wire(lambda d: d[:bits], distance), far)
    total = b.step(
        lambda x, y, n: (Cat(Const(0, 3), x) + (y ^ n.replicate(width + 3)) + n)[: width + 4] ^ n.shift_left(width + 3),
        large, aligned, minus, delay=tech.add(width + 4),
    )  # fmt: skip
    shifted, zeros = normalise(b, total)
    exponent = b.step(
        lambda e, z: (e + 1 - z)[: e.shape().width + 2].as_signed(), large_e, zeros, delay=tech.add(large_e.width + 2)
    )
    zero = b.step(lambda v: ~v[-1], shifted, delay=tech.levels(1))
    packed = round_pack(b, type_, exponent, shifted)
    sign = b.step(lambda s, z, n: s & ~(z & n), sign, zero, minus, delay=tech.levels(1))
    return finish(b, type_, sign, packed, zero, inf, nan)


def _significand(b: Builder, p: Parts) -> Net:
    return b.step(lambda s, z: s & ~z.replicate(s.shape().width), p.significand, p.zero, delay=b.tech.levels(1))


def add(b: Builder, x: Net, y: Net, type_: Float) -> Net:
    """Sum."""
    p, q = unpack(b, x, type_), unpack(b, y, type_)
    inf = b.step(lambda i, j: i | j, p.special, q.special, delay=b.tech.levels(1))
    nan = b.step(
        lambda n1, n2, i, j, s1, s2: n1 | n2 | (i & j & (s1 ^ s2)), p.nan, q.nan, p.special, q.special, p.sign, q.sign,
        delay=b.tech.levels(1),
    )  # fmt: skip
    return _add_core(b, type_, (p.sign, p.field, _significand(b, p)), (q.sign, q.field, _significand(b, q)), inf, nan)


def _product(b: Builder, type_: Float, p: Parts, q: Parts) -> tuple[Net, Net, Net, Net, Net, Net]:
    """Sign, signed exponent, significand (leading one at the top), zero, infinity, NaN of a product."""
    e = type_.exponent
    sign = b.step(lambda s, r: s ^ r, p.sign, q.sign, delay=b.tech.levels(1))
    raw = products.multiply(b, p.significand, q.significand)
    exponent = b.add(p.field, q.field, lambda x, y: (x + y - type_.bias)[: e + 2].as_signed())
    significand = b.step(lambda v: Mux(v[-1], v, Cat(Const(0, 1), v[:-1])), raw, delay=b.tech.levels(1))
    exponent = b.step(lambda x, v: (x + v[-1])[: e + 2].as_signed(), exponent, raw, delay=b.tech.add(e + 2))
    zero = b.step(lambda z, y: z | y, p.zero, q.zero, delay=b.tech.levels(1))
    inf = b.step(lambda i, j: i | j, p.special, q.special, delay=b.tech.levels(1))
    nan = b.step(lambda n, o, z, i: n | o | (z & i), p.nan, q.nan, zero, inf, delay=b.tech.levels(1))
    return sign, exponent, significand, zero, inf, nan


def multiply(b: Builder, x: Net, y: Net, type_: Float) -> Net:
    """Product."""
    sign, exponent, significand, zero, inf, nan = _product(b, type_, unpack(b, x, type_), unpack(b, y, type_))
    return finish(b, type_, sign, round_pack(b, type_, exponent, significand), zero, inf, nan)


def fma(b: Builder, x: Net, y: Net, z: Net, type_: Float) -> Net:
    """Product plus sum, rounded once."""
    e, m = type_.exponent, type_.mantissa
    p, q, r = (unpack(b, v, type_) for v in (x, y, z))
    sign, exponent, significand, zero, inf, nan = _product(b, type_, p, q)
    lowest = -(1 << (e + 1))
    exponent = b.step(lambda v, k: Mux(k, Const(lowest, signed(e + 2)), v), exponent, zero, delay=b.tech.levels(1))
    significand = b.step(lambda v, k: v & ~k.replicate(2 * m + 2), significand, zero, delay=b.tech.levels(1))
    addend = b.wire(lambda v: Cat(Const(0, m + 1), v), _significand(b, r))
    field = b.step(lambda v, k: Mux(k, Const(lowest, signed(e + 2)), v), r.field, r.zero, delay=b.tech.levels(1))
    any_inf = b.step(lambda i, j: i | j, inf, r.special, delay=b.tech.levels(1))
    any_nan = b.step(
        lambda n, o, i, j, s, u: n | o | (i & j & (s ^ u)),
        nan,
        r.nan,
        inf,
        r.special,
        sign,
        r.sign,
        delay=b.tech.levels(1),
    )
    # an infinity must be the larger operand, so that its sign wins
    highest = (1 << (e + 1)) - 1
    exponent = b.step(lambda v, i: Mux(i, Const(highest, signed(e + 2)), v), exponent, inf, delay=b.tech.levels(1))
    field = b.step(lambda v, i: Mux(i, Const(highest, signed(e + 2)), v), field, r.special, delay=b.tech.levels(1))
    return _add_core(b, type_, (sign, exponent, significand), (r.sign, field, addend), any_inf, any_nan)


def compare(b: Builder, op: str, x: Net, y: Net, type_: Float) -> Net:
    """``lt``, ``le`` or ``eq``; false with a NaN."""
    p, q = key(b, x, type_), key(b, y, type_)
    functions_ = {"lt": lambda i, j: i < j, "le": lambda i, j: i <= j, "eq": lambda i, j: i == j}
    nan_key = type_.nan_bits | 1 << (type_.width - 1)
    nan = b.step(lambda i, j: (i == nan_key) | (j == nan_key), p, q, delay=b.tech.gather(2 * type_.width))
    result = b.step(functions_[op], p, q, delay=b.tech.add(type_.width))
    return b.step(lambda v, n: v & ~n, result, nan, delay=b.tech.levels(1))


def key(b: Builder, x: Net, type_: Float) -> Net:
    """Unsigned integer in the order of the floats, -0 and +0 alike, NaN on top."""
    m, e = type_.mantissa, type_.exponent
    top = 1 << (type_.width - 1)
    nan = b.step(lambda v: v[m : m + e].all() & v[:m].any(), x, delay=b.tech.gather(m + e))
    zero = b.step(lambda v: ~v[m : m + e].any(), x, delay=b.tech.gather(e))
    return b.step(
        lambda v, n, z: Mux(
            n, Const(type_.nan_bits | top, m + e + 1), Mux(z, Const(top, m + e + 1), Mux(v[-1], ~v, Cat(v[:-1],
            Const(1, 1))))
        ),
        x, nan, zero, delay=b.tech.levels(1),
    )  # fmt: skip


def unkey(b: Builder, x: Net, type_: Float) -> Net:
    """Float of a key."""
    return b.step(lambda v: Mux(v[-1], Cat(v[:-1], Const(0, 1)), ~v), x, delay=b.tech.levels(1))


def to_int(b: Builder, x: Net, type_: Float, result, frac: int) -> Net:
    """``round(x * 2**frac)``, saturating; NaN gives 0."""
    m, e, tech = type_.mantissa, type_.exponent, b.tech
    is_signed = result.low < 0
    magnitude = result.width - is_signed
    p = unpack(b, x, type_)
    width = max(magnitude, m + 1) + 2
    offset = magnitude - 1 - frac + type_.bias  # field of a value whose leading one is the top magnitude bit
    shift = b.step(lambda f: Const(offset) - f, p.field, delay=tech.add(e + 2))
    over = b.step(lambda c, s: (c < 0) | s, shift, p.special, delay=tech.levels(1))
    bits = width.bit_length()
    far = b.step(lambda c: c >= width, shift, delay=max(tech.levels(2), tech.add(shift.width)))
    small = b.wire(lambda s: Cat(Const(0, width - m - 1), s), p.significand)
    moved = shift_right_sticky(b, small, b.wire(lambda c: c[:bits] if len(c) >= bits else c.as_unsigned(), shift), far)
    extra = width - magnitude
    up = b.step(lambda v: v[extra - 1] & (v[: extra - 1].any() | v[extra]), moved, delay=tech.gather(extra + 1))
    negative = b.step(lambda s, z: s & ~z, p.sign, p.zero, delay=tech.levels(1))
    zero = b.step(lambda z, n: z | n, p.zero, p.nan, delay=tech.levels(1))
    if is_signed:
        rounded = b.step(
            lambda v, u, s: (v[extra:] ^ s.replicate(magnitude)) + (u ^ s), moved, up, p.sign, delay=tech.add(magnitude)
        )
        carried = b.step(lambda v, u: v[extra:].all() & u, moved, up, delay=tech.gather(magnitude + 1))
        full = b.step(lambda o, c: o | c, over, carried, delay=tech.levels(1))
        moved_zero = b.step(lambda v, u: ~v[extra:].any() & ~u, moved, up, delay=tech.gather(magnitude + 1))
        zero = b.step(lambda z, y, o: z | (y & ~o), zero, moved_zero, over, delay=tech.levels(1))

        def choose(v, f, s, z):
            number = Mux(
                f, Mux(s, Const(result.low, result.shape), Const(result.high, result.shape)), Cat(v[:magnitude], s)
            )
            return Mux(z, 0, number)[: result.width].as_signed()

        return b.step(choose, rounded, full, p.sign, zero, delay=tech.levels(1))
    rounded = b.step(lambda v, u: v[extra:] + u, moved, up, delay=tech.add(magnitude))
    return b.step(
        lambda v, o, z, n: Mux(z | n, 0, Mux(o | v[magnitude], Const(result.high, result.shape),
        v[:magnitude]))[:magnitude],
        rounded, over, zero, negative, delay=tech.levels(1),
    )  # fmt: skip


def to_float(b: Builder, x: Net, type_: Float, frac: int) -> Net:
    """Integer to float, rounded once."""
    width, tech = x.width, b.tech
    if x.shape.signed:
        sign = b.wire(lambda v: v[-1], x)
        x = b.step(lambda v: Mux(v < 0, -v, v)[:width], x, delay=tech.add(width) + tech.select(width))
    else:
        sign = b.const(0, unsigned(1))
    if width < type_.mantissa + 2:
        pad = type_.mantissa + 2 - width
        x = b.wire(lambda v: Cat(Const(0, pad), v), x)
    shifted, zeros = normalise(b, x)
    top = width - 1 - frac + type_.bias
    bits = max(top.bit_length(), abs(top - width - 1).bit_length(), type_.exponent) + 2
    exponent = b.step(lambda z: _fit(Const(top) - z, bits), zeros, delay=tech.add(bits))
    zero = b.step(lambda v: ~v[-1], shifted, delay=tech.levels(1))
    none = b.const(0, unsigned(1))
    return finish(b, type_, sign, round_pack(b, type_, exponent, shifted), zero, none, none)


def _fit(value, bits: int):
    """Low ``bits`` bits of a value, sign-extended if it is signed and shorter."""
    value = value if value.shape().signed else Cat(value, Const(0, 1)).as_signed()
    return Cat(value, value[-1].replicate(max(0, bits - len(value))))[:bits].as_signed()


def convert(b: Builder, x: Net, source: Float, result: Float) -> Net:
    """Another float format; widening at the same exponent width is wires only (and may leave odd NaN patterns)."""
    if source.exponent == result.exponent and source.mantissa <= result.mantissa:
        return b.wire(lambda v: Cat(Const(0, result.mantissa - source.mantissa), v), x)
    p = unpack(b, x, source)
    bits = max(source.exponent, result.exponent) + 2
    change = result.bias - source.bias
    if change:
        exponent = b.step(lambda f: _fit(f + Const(change, signed(bits)), bits), p.field, delay=b.tech.add(bits))
    else:
        exponent = b.wire(lambda f: Cat(f, Const(0, bits - source.exponent)).as_signed(), p.field)
    if source.mantissa < result.mantissa:
        pad = result.mantissa - source.mantissa
        p.significand = b.wire(lambda s: Cat(Const(0, pad), s), p.significand)
    packed = round_pack(b, result, exponent, p.significand)
    return finish(b, result, p.sign, packed, p.zero, p.special, p.nan)


def ldexp(b: Builder, x: Net, k: Net, type_: Float) -> Net:
    """``x * 2**k``."""
    p = unpack(b, x, type_)
    m = type_.mantissa
    bits = max(type_.exponent, k.width) + 2
    exponent = b.step(lambda f, c: _fit(Cat(f, Const(0, 1)).as_signed() + c, bits), p.field, k, delay=b.tech.add(bits))
    packed = b.wire(lambda v, ex: Cat(v[:m], ex).as_signed(), x, exponent)
    return finish(b, type_, p.sign, packed, p.zero, p.special, p.nan)


FINE_BITS = 4
"""Bits of a distance that one shifter serves; above them a window of the operand is selected."""


def shift(b: Builder, x: Net, k: Net, type_: Int, *, half_up: bool) -> Net:
    """``x * 2**k`` of integers, by one shifter to the right.

    To the left the operand begins above it. Either way the distance is ``~k``, one place less than it ought to be: the
    last one follows the rounding.
    """
    width, bits = max(x.width, type_.width), k.width - 1
    fine = min(bits, FINE_BITS)
    span = width + (1 << fine)

    def window(x, k):
        x = x if x.shape().signed else Cat(x, Const(0, 1)).as_signed()
        skipped = range(0, 1 << bits, 1 << fine)
        from_left = [Cat(Const(0, min(span, (1 << bits) - n)), x)[:span].as_signed() for n in skipped]
        from_right = [x.shift_right(n) | Const(0, signed(span)) for n in skipped]  # sign-extended
        return mux_tree(~k[fine:], from_right + from_left)[:span].as_signed()

    found = b.step(window, x, k, delay=b.tech.shift(2 << bits - fine))
    moved = b.step(lambda v, k: (v >> ~k[:fine])[: width + 1], found, k, delay=b.tech.shift(1 << fine))
    if half_up:
        moved = b.step(lambda v, k: (v + k[-1])[: width + 1], moved, k, delay=b.tech.add(width + 1))

    def result(v):
        low = v[1 : type_.width + 1]
        return low.as_signed() if type_.low < 0 else low

    return b.wire(result, moved)
