"""Fixed-point numbers: exact arithmetic, each way to round and to overflow, against fractions."""

import math
from fractions import Fraction

import numpy as np
import pytest
from rtlm.hw import hls
from rtlm.hw.hls import F32, Fixed, KernelError, Shared, SInt, UInt, Vec

from tests.hw.hls.simulate import check

A, B = Fixed(4, 4), Fixed(1, 6, signed=False)
NARROW = [
    Fixed(3, 2, rounding=rounding, overflow=overflow)
    for rounding in ("nearest", "floor", "zero")
    for overflow in ("saturate", "wrap")
]


def numbers(rng, type_, *shape):
    """Numbers that a type has, the extremes among them."""
    units = rng.integers(type_.leaf.low, type_.leaf.high + 1, shape)
    units.flat[0], units.flat[-1] = type_.leaf.low, type_.leaf.high
    return units * 2.0**-type_.fraction


def expected(number: Fraction, type_: Fixed) -> float:
    """Definition of a conversion."""
    scaled = number * 2**type_.fraction
    units = {"nearest": round, "floor": math.floor, "zero": math.trunc}[type_.rounding](scaled)
    low, high = type_.leaf.low, type_.leaf.high
    wrapped = (units - low) % (high - low + 1) + low
    return (min(max(units, low), high) if type_.overflow == "saturate" else wrapped) / 2**type_.fraction


@pytest.mark.parametrize("type_", NARROW, ids=lambda t: f"{t.rounding}-{t.overflow}")
def test_rounding_and_overflow(type_, seed):
    @hls.kernel
    def narrowed(a: A, b: B) -> type_:
        return hls.fixed(a * b - 1.5, type_)

    rng = np.random.default_rng(seed)
    a, b = numbers(rng, A, 400), numbers(rng, B, 400)
    wanted = [expected(Fraction(x) * Fraction(y) - Fraction(3, 2), type_) for x, y in zip(a, b, strict=True)]
    assert narrowed.model(a, b).tolist() == wanted
    check(narrowed, lanes=2, seed=seed)


def test_sums_are_exact_and_comparisons_align(seed):
    @hls.kernel
    def both(a: A, b: B, c: Shared[SInt(3)]) -> tuple[Fixed(6, 6), UInt(1), Fixed(4, 6), F32]:
        larger = a > b
        return hls.fixed(a + b - c, Fixed(6, 6)), larger, hls.select(larger, a, b), hls.to_float(-a)

    rng = np.random.default_rng(seed)
    a, b, c = numbers(rng, A, 50), numbers(rng, B, 50), rng.integers(-4, 4, 50)
    total, larger, chosen, negative = both.model(a, b, c)
    assert np.array_equal(total, a + b - c) and np.array_equal(larger, a > b)
    assert np.array_equal(chosen, np.maximum(a, b)) and np.array_equal(negative, -a)
    check(both, lanes=2, seed=seed)


@pytest.mark.parametrize("rounding", ["nearest", "floor", "zero"])
def test_a_unit_that_is_larger_than_every_number(rounding):
    coarse = Fixed(8, -3, rounding=rounding)

    @hls.kernel
    def rounded(x: Fixed(1, 3)) -> coarse:
        return hls.fixed(x, coarse)

    x = np.arange(-8, 8) / 8
    assert rounded.model(x).tolist() == [expected(Fraction(number), coarse) for number in x]
    check(rounded, beats=40)


def test_an_element_that_a_value_counts(seed):
    @hls.kernel
    def element(v: Vec[A, 3], i: UInt(2)) -> A:
        return v[i]

    v = numbers(np.random.default_rng(seed), A, 4, 3)
    assert element.model(v, [0, 1, 2, 3]).tolist() == [v[0, 0], v[1, 1], v[2, 2], v[3, 2]]
    check(element, seed=seed)


def test_vectors_and_states(seed):
    sums = Fixed(8, 4)

    @hls.kernel
    def running(x: Vec[A, 2]) -> Vec[sums, 2]:
        return hls.scan(lambda s, x: (s + x).map(lambda v: hls.fixed(v, sums)), hls.zeros(Vec[sums, 2]), x)

    x = numbers(np.random.default_rng(seed), A, 12, 2)
    assert np.array_equal(running.model(x), np.cumsum(x, axis=0))
    check(running, lanes=2, seed=seed)


def test_floats_become_fixed(seed):
    @hls.kernel
    def quantised(x: F32) -> A:
        return hls.fixed(x, A)

    x = np.array([0.03125, 0.09375, 7.96, 100.0, -100.0, np.nan], dtype=np.float32)
    assert quantised.model(x).tolist() == [0, 0.125, 7.9375, 7.9375, -8, 0]
    check(quantised, seed=seed)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (lambda x: x + 0.1, r"0.1 is no multiple of 2\*\*-48"),
        (lambda x: x / 2, "no / of fixed-point numbers; write x >> n"),
        (lambda x: x + hls.to_float(x), r"met F32: write fixed\(x, type\)"),
        (lambda x: x if x > 0 else -x, "has no truth"),
        (lambda x: x * x, r"annotated to return Fixed\(4, 4\) as result, but returns 1 value \(Fixed\(8, 8\)\)"),
        (lambda x: hls.fixed(hls.to_float(x), Fixed(4, 4, rounding="floor")), "nearest and saturate"),
    ],
)
def test_errors(body, words):
    def mine(x: A) -> A:
        return body(x)

    with pytest.raises(KernelError, match=words):
        _ = hls.kernel(mine).graph


def test_types_are_checked():
    with pytest.raises(ValueError, match="rounds nearest, floor, zero, not 'up'"):
        Fixed(4, 4, rounding="up")
    with pytest.raises(ValueError, match="does saturate or wrap, not 'trap'"):
        Fixed(4, 4, overflow="trap")
    with pytest.raises(ValueError, match="Fixed has 1 to 64 bits, not 65"):
        Fixed(60, 5)
    with pytest.raises(ValueError, match=r"multiples of 2\*\*-4 in its range"):
        hls.kernel(_same).model(0.01)
    with pytest.raises(ValueError, match=r"Argument x of _same.model is SInt\(8\)"):
        hls.kernel(_same).model(8.0)


def _same(x: A) -> A:
    return x
