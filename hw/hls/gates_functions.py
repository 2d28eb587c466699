"""exp2, reciprocal and reciprocal square root as micro-steps: the same integers as :mod:`rtlm.hw.hls.functions`."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, signed, unsigned
from rtlm.hw.hls import functions, gates, products
from rtlm.hw.hls.builder import Builder, Net
from rtlm.hw.hls.functions import GUARD, Interpolator
from rtlm.hw.hls.types import BF16, F32, Float, SInt, int_type


def _interpolate(b: Builder, table: Interpolator, segment: Net, t: Net | None) -> Net:
    """Interpolated value, rounded to fraction width: ``mantissa + 2`` bits."""
    half = 1 << (GUARD - 1)  # rounding, folded into the table
    rows = [[c + half for c in table.c0], table.c1, table.c2]
    shapes = [int_type(min(row), max(row)).shape for row in rows]
    words = [
        sum(
            (c & ((1 << s.width) - 1)) << sum(x.width for x in shapes[:i])
            for i, (c, s) in enumerate(zip(column, shapes, strict=True))
        )
        for column in zip(*rows, strict=True)
    ]
    word = b.rom(segment, words, unsigned(sum(s.width for s in shapes)))

    def field(i: int) -> Net:
        start, shape = sum(x.width for x in shapes[:i]), shapes[i]
        return b.wire(
            lambda w: w[start : start + shape.width].as_signed() if shape.signed else w[start : start + shape.width],
            word,
        )

    bits = table.fraction - GUARD + 2
    if t is None:
        return b.wire(lambda c: Cat(c[GUARD:], Const(0, bits))[:bits], field(0))
    w = table.width
    inner = b.wire(lambda p: p.shift_right(w), products.multiply(b, field(2), t))
    slope = b.add(field(1), inner)
    outer = b.wire(lambda p: p.shift_right(w), products.multiply(b, slope, t))
    return b.add(field(0), outer, lambda c, p: (c + p)[GUARD : GUARD + bits])


def _assemble(b: Builder, type_: Float, field: Net, y: Net) -> Net:
    m, e = type_.mantissa, type_.exponent
    exponent = b.step(lambda f, v: gates._fit(f + v[m + 1], e + 2), field, y, delay=b.tech.add(e + 2))
    return b.wire(lambda v, ex: Cat(v[:m], ex).as_signed(), y, exponent)


def _split(b: Builder, table: Interpolator, f: Net) -> tuple[Net, Net | None]:
    w = table.width
    return b.wire(lambda v: v[w:], f), (b.wire(lambda v: v[:w], f) if w else None)


def exp2(b: Builder, x: Net, type_: Float) -> Net:
    """Two to the power of ``x``."""
    table, bits = functions.exp2_table(type_)
    e = type_.exponent
    nan = gates.unpack(b, x, type_).nan
    fixed = gates.to_int(b, x, type_, SInt(e + 1 + bits), bits)
    y = _interpolate(b, table, *_split(b, table, b.wire(lambda v: v[:bits], fixed)))
    field = b.step(lambda v: v[bits:].as_signed() + type_.bias, fixed, delay=b.tech.add(e + 2))
    none = b.const(0, unsigned(1))
    return gates.finish(b, type_, none, _assemble(b, type_, field, y), none, none, nan)


def recip(b: Builder, x: Net, type_: Float) -> Net:
    """Reciprocal."""
    table, m = functions.recip_table(type_), type_.mantissa
    p = gates.unpack(b, x, type_)
    y = _interpolate(b, table, *_split(b, table, b.wire(lambda v: v[:m], x)))
    field = b.step(lambda f: Const(2 * type_.bias - 1) - f, p.field, delay=b.tech.add(type_.exponent + 1))
    return gates.finish(b, type_, p.sign, _assemble(b, type_, field, y), p.special, p.zero, p.nan)


def rsqrt(b: Builder, x: Net, type_: Float) -> Net:
    """Reciprocal square root."""
    table, m, e = functions.rsqrt_table(type_), type_.mantissa, type_.exponent
    p = gates.unpack(b, x, type_)
    segment, t = _split(b, table, b.wire(lambda v: v[:m], x))
    even_field_is_odd = type_.bias & 1
    segment = b.wire(lambda s, v: Cat(s, v[m] ^ even_field_is_odd), segment, x)
    y = _interpolate(b, table, segment, t)
    field = b.step(
        lambda f: Const(type_.bias - 1) - ((f - Const(type_.bias, signed(e + 1))).shift_right(1)),
        p.field,
        delay=2 * b.tech.add(e + 2),
    )
    nan = b.step(lambda n, s, z: n | (s & ~z), p.nan, p.sign, p.zero, delay=b.tech.levels(1))
    none = b.const(0, unsigned(1))
    return gates.finish(b, type_, none, _assemble(b, type_, field, y), p.special, p.zero, nan)


def recip_exact(b: Builder, x: Net) -> Net:
    """Correctly rounded reciprocal of a BF16 as F32."""
    p = gates.unpack(b, x, BF16)
    y = b.rom(b.wire(lambda v: v[:7], x), list(functions.recip_exact_table()), unsigned(25))
    field = b.step(lambda f: Const(2 * F32.bias - 1) - f, p.field, delay=b.tech.add(9))
    none = b.step(lambda z, s: z | s, p.zero, p.special, delay=b.tech.levels(1))
    return gates.finish(b, F32, p.sign, _assemble(b, F32, field, y), none, b.const(0, unsigned(1)), p.nan)
