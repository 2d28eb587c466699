"""Float operators of the model against exact fractions: code that shares nothing with the model."""

from fractions import Fraction

import numpy as np
import pytest
from rtlm.hw.hls import (
    BF16,
    F16,
    F32,
    Float,
    SInt,
    UInt,
    convert,
    fma,
    from_bits,
    kernel,
    ldexp,
    maximum,
    to_bits,
    to_float,
    to_int,
)

COUNT = 1500
FORMATS = [F32, BF16, F16, Float(6, 5)]


def decode(bits, f):
    """Bits to ('nan',), ('inf', sign) or (Fraction, sign)."""
    sign, field, fraction = bits >> (f.width - 1), bits >> f.mantissa & f.special, bits & ((1 << f.mantissa) - 1)
    if field == f.special:
        return ("nan", 0) if fraction else ("inf", sign)
    if field == 0:
        return Fraction(0), sign
    value = Fraction((1 << f.mantissa) + fraction) * Fraction(2) ** (field - f.bias - f.mantissa)
    return (-value if sign else value), sign


def encode(value, f, zero_sign=0):
    """Exact value to bits: nearest even with unbounded exponent, then flush or infinity."""
    if value == 0:
        return zero_sign << (f.width - 1)
    sign, size = int(value < 0), abs(value)
    e = size.numerator.bit_length() - size.denominator.bit_length()
    if size < Fraction(2) ** e:
        e -= 1
    scaled = size / Fraction(2) ** (e - f.mantissa)
    n = round(scaled)  # Python rounds a Fraction half to even
    if n == 2 << f.mantissa:
        n, e = n >> 1, e + 1
    field = e + f.bias
    if field <= 0:
        return sign << (f.width - 1)
    if field >= f.special:
        return sign << (f.width - 1) | f.inf_bits
    return sign << (f.width - 1) | field << f.mantissa | (n - (1 << f.mantissa))


def patterns(rng, f, count=COUNT):
    halves = [
        x << f.mantissa | y for x in (0, 1, 2, f.bias, f.special - 1, f.special) for y in (0, 1, (1 << f.mantissa) - 1)
    ]
    corners = np.array([h | s << (f.width - 1) for h in halves for s in (0, 1)])
    anything = rng.integers(0, 1 << f.width, size=count)
    near = (rng.integers(0, 2, size=count) << (f.width - 1)) | (
        rng.integers(f.bias - 3, f.bias + 4, size=count) << f.mantissa
    )
    near |= rng.integers(0, 1 << f.mantissa, size=count)
    half_scale = rng.integers(f.bias // 2 - 2, f.bias // 2 + 3, size=count) << f.mantissa
    half_scale |= rng.integers(0, 1 << f.mantissa, size=count)
    return np.choose(rng.integers(0, 4, size=count), [rng.choice(corners, size=count), anything, near, half_scale])


def add_oracle(a, b, f):
    (x, s), (y, r) = decode(a, f), decode(b, f)
    if x == "nan" or y == "nan" or (x == "inf" and y == "inf" and s != r):
        return f.nan_bits
    if x == "inf" or y == "inf":
        return (s if x == "inf" else r) << (f.width - 1) | f.inf_bits
    return encode(x + y, f, s & r)


def mul_oracle(a, b, f):
    (x, s), (y, r) = decode(a, f), decode(b, f)
    if "nan" in (x, y) or (x == "inf" and y == 0) or (y == "inf" and x == 0):
        return f.nan_bits
    if "inf" in (x, y):
        return (s ^ r) << (f.width - 1) | f.inf_bits
    return encode(x * y, f, s ^ r)


def fma_oracle(a, b, c, f):
    (x, s), (y, r), (z, q) = (decode(v, f) for v in (a, b, c))
    if "nan" in (x, y, z) or (x == "inf" and y == 0) or (y == "inf" and x == 0):
        return f.nan_bits
    if "inf" in (x, y):
        return f.nan_bits if z == "inf" and q != s ^ r else (s ^ r) << (f.width - 1) | f.inf_bits
    if z == "inf":
        return q << (f.width - 1) | f.inf_bits
    return encode(x * y + z, f, (s ^ r) & q)


def compare(kern, f, oracle, arity, rng):
    args = [patterns(rng, f) for _ in range(arity)]
    got = to_bits(kern.model(*(from_bits(a, f) for a in args)), f)
    for n, operands in enumerate(zip(*(a.tolist() for a in args), strict=True)):
        assert got[n] == oracle(*operands, f), ([hex(v) for v in operands], hex(got[n]), hex(oracle(*operands, f)))


@pytest.mark.parametrize("f", FORMATS, ids=str)
def test_arithmetic(f, seed):
    rng = np.random.default_rng(seed)

    @kernel
    def add(a: f, b: f) -> f:
        return a + b

    @kernel
    def mul(a: f, b: f) -> f:
        return a * b

    @kernel
    def multiply_add(a: f, b: f, c: f) -> f:
        return fma(a, b, c)

    compare(add, f, add_oracle, 2, rng)
    compare(mul, f, mul_oracle, 2, rng)
    compare(multiply_add, f, fma_oracle, 3, rng)


def test_products_just_below_the_smallest_normal(seed):
    """Unbounded-exponent rounding and float32's gradual underflow differ here."""

    @kernel
    def mul(a: F32, b: F32) -> F32:
        return a * b

    rng = np.random.default_rng(seed)
    a = rng.integers(1 << 23, 1 << 24, size=20000)
    b = (1 << 47) // a + rng.integers(-1, 2, size=20000)  # products next to a power of two
    x, y = (a * 2.0**-86).astype(np.float32), (b * 2.0**-87).astype(np.float32)
    got = to_bits(mul.model(x, y), F32)
    for n in range(0, 20000, 7):
        assert got[n] == mul_oracle(int(to_bits(x[n], F32)), int(to_bits(y[n], F32)), F32)
    one_below = np.float32(2.0**-63 * (1 - 2.0**-24))
    assert to_bits(mul.model(one_below, np.float32(2.0**-63)), F32) == mul_oracle(
        int(to_bits(one_below, F32)), 64 << 23, F32
    )


@pytest.mark.parametrize("f", FORMATS, ids=str)
def test_conversions(f, seed):
    rng = np.random.default_rng(seed)
    for source, target in ((F32, f), (f, F32), (f, BF16)):

        @kernel
        def conv(a: source, target: target) -> target:
            return convert(a, target.type)

        bits = patterns(rng, source)
        got = to_bits(conv.model(from_bits(bits, source), np.float32(0)), target)
        for b, y in zip(bits.tolist(), got.tolist(), strict=True):
            x, s = decode(b, source)
            want = (
                target.nan_bits
                if x == "nan"
                else s << (target.width - 1) | target.inf_bits
                if x == "inf"
                else encode(x, target, s)
            )
            assert y == want


@pytest.mark.parametrize("type_", [SInt(8), UInt(8), SInt(64), UInt(64), UInt(25)], ids=str)
@pytest.mark.parametrize("frac", [0, 24, -3])
def test_integers(type_, frac, seed):
    rng = np.random.default_rng(seed)

    @kernel
    def to(a: F32, _like: type_) -> type_:
        return to_int(a, type_, frac)

    @kernel
    def back(i: type_) -> F32:
        return to_float(i, F32, frac)

    bits = patterns(rng, F32)
    got = to.model(from_bits(bits, F32), np.zeros(1, dtype=np.int64))
    for b, y in zip(bits.tolist(), got.tolist(), strict=True):
        x, s = decode(b, F32)
        if x == "nan":
            want = 0
        elif x == "inf":
            want = type_.low if s else type_.high
        else:
            want = min(max(round(x * Fraction(2) ** frac), type_.low), type_.high)
        assert y == want
    raw = rng.integers(0, 1 << 64, size=COUNT, dtype=np.uint64) >> rng.integers(0, 64, size=COUNT, dtype=np.uint64)
    values = from_bits(raw, type_)
    for i, y in zip(values.tolist(), to_bits(back.model(values), F32).tolist(), strict=True):
        assert y == encode(Fraction(i) / Fraction(2) ** frac, F32)


def test_ldexp_and_maximum(seed):
    rng = np.random.default_rng(seed)

    @kernel
    def scale(a: F32, k: SInt(10)) -> F32:
        return ldexp(a, k)

    @kernel
    def top(a: F32, b: F32) -> F32:
        return maximum(a, b)

    a, b = patterns(rng, F32), patterns(rng, F32)
    k = rng.integers(-512, 512, size=COUNT)
    y, z = (
        to_bits(scale.model(from_bits(a, F32), k), F32),
        to_bits(top.model(from_bits(a, F32), from_bits(b, F32)), F32),
    )
    for n in range(COUNT):
        (x, s), (w, r) = decode(int(a[n]), F32), decode(int(b[n]), F32)
        special = F32.nan_bits if x == "nan" else s << 31 | F32.inf_bits
        assert y[n] == (special if isinstance(x, str) else encode(x * Fraction(2) ** int(k[n]), F32, s))
        order = [(-1 if q else 1) * Fraction(2) ** 200 if v == "inf" else v for v, q in ((x, s), (w, r))]
        want = F32.nan_bits if "nan" in (x, w) else None
        if want is None:
            best = max(order)
            want = (
                F32.inf_bits if best == 2**200 else F32.inf_bits | 1 << 31 if best == -(2**200) else encode(best, F32)
            )
        assert z[n] == want
