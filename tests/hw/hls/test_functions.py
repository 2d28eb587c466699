"""Error of exp2, recip, rsqrt, sqrt over all significands, and their special cases."""

import re

import numpy as np
import pytest
from rtlm.hw.hls import BF16, F16, F32, exp2, from_bits, functions, kernel, recip, recip_exact, rsqrt, sqrt, to_bits

from tests.documents import DOCS

BOUND_ULP = {"exp2": 0.71, "recip": 0.81, "rsqrt": 1.15, "sqrt": 1.8}


def kernels(type_):
    def exp2_(x: type_) -> type_:
        return exp2(x)

    def recip_(x: type_) -> type_:
        return recip(x)

    def rsqrt_(x: type_) -> type_:
        return rsqrt(x)

    def sqrt_(x: type_) -> type_:
        return sqrt(x)

    return {"exp2": kernel(exp2_), "recip": kernel(recip_), "rsqrt": kernel(rsqrt_), "sqrt": kernel(sqrt_)}


TRUE = {"exp2": np.exp2, "recip": lambda x: 1 / x, "rsqrt": lambda x: 1 / np.sqrt(x), "sqrt": np.sqrt}


def ulps(y, exact, type_):
    unit = 2.0 ** (np.floor(np.log2(np.abs(exact))) - type_.mantissa)
    return np.abs(y.astype(np.float64) - exact) / unit


@pytest.mark.slow
@pytest.mark.parametrize("name", list(TRUE))
def test_exhaustive_f32(name):
    worst = 0.0
    for start in range(0, 1 << 24, 1 << 21):
        n = np.arange(start, start + (1 << 21), dtype=np.int64)
        x = n / 2.0**24 if name == "exp2" else (1 + (n & 0x7FFFFF) / 2.0**23) * np.where(n >> 23, 2.0, 1.0)
        x = x.astype(np.float32)
        worst = max(worst, ulps(kernels(F32)[name].model(x), TRUE[name](x.astype(np.float64)), F32).max())
    print(f"{name}: largest error {worst:.3f} ulp")
    assert worst <= BOUND_ULP[name]


@pytest.mark.parametrize("type_", [BF16, F16], ids=str)
@pytest.mark.parametrize("name", list(TRUE))
def test_exhaustive_small_formats(name, type_):
    x = from_bits(np.arange(1 << type_.width), type_)
    x = x[np.isfinite(x) & (x != 0)]
    with np.errstate(all="ignore"):
        exact = TRUE[name](x.astype(np.float64))
    keep = np.isfinite(exact) & (np.abs(exact) >= type_.smallest * 1.01) & (np.abs(exact) < 2.0**type_.bias)
    worst = ulps(kernels(type_)[name].model(x[keep]), exact[keep], type_).max()
    print(f"{name} {type_}: largest error {worst:.3f} ulp")
    assert worst <= (1.4 if name == "sqrt" else 1)


@pytest.mark.parametrize("type_", [F32, BF16, F16], ids=str)
def test_special_cases(type_):
    k = kernels(type_)
    inf, nan = np.inf, np.nan
    bits = {n: lambda x, n=n: to_bits(k[n].model(np.float32(x)), type_).tolist() for n in k}
    expect = {
        "exp2": [(0, 1), (-0.0, 1), (1, 2), (-3, 0.125), (inf, inf), (-inf, 0), (nan, nan), (300, inf), (-300, 0)],
        "recip": [(0, inf), (-0.0, -inf), (inf, 0), (-inf, -0.0), (nan, nan), (1, 1), (-4, -0.25)],
        "rsqrt": [(0, inf), (-0.0, inf), (inf, 0), (-1, nan), (-inf, nan), (nan, nan)],
        "sqrt": [(0, 0), (-0.0, -0.0), (inf, inf), (-1, nan), (-inf, nan), (nan, nan)],
    }
    for name, cases in expect.items():
        for x, y in cases:
            assert bits[name](x) == to_bits(np.float32(y), type_).tolist(), (name, x)


def test_powers_of_two_are_exact():
    e = np.arange(-126, 127)
    assert np.array_equal(kernels(F32)["exp2"].model(e.astype(np.float32)), np.exp2(e.astype(np.float64)))
    assert np.array_equal(
        kernels(F32)["recip"].model(np.exp2(e[:-1].astype(np.float32))), np.exp2(-e[:-1].astype(np.float64))
    )


def test_exp2_range():
    k = kernels(F32)["exp2"]
    assert k.model(np.float32(-126)) == np.float32(2.0**-126)
    assert k.model(np.nextafter(np.float32(-126), np.float32(-200))) in (0, np.float32(2.0**-126))
    assert k.model(np.float32(-126.01)) == 0
    assert k.model(np.float32(128)) == np.inf
    assert np.isfinite(k.model(np.nextafter(np.float32(128), np.float32(0))))


def test_recip_exact_is_correctly_rounded():
    @kernel
    def r(x: BF16) -> F32:
        return recip_exact(x)

    x = from_bits(np.arange(1 << 16), BF16)
    y = r.model(x)
    finite = np.isfinite(x) & (x != 0)
    with np.errstate(all="ignore"):
        exact = (1 / x[finite].astype(np.float64)).astype(np.float32)
    exact = np.where(np.abs(exact) < np.float32(2.0**-126), np.copysign(np.float32(0), exact), exact)
    assert np.array_equal(to_bits(y[finite], F32), to_bits(exact, F32))
    assert np.all(y[x == 0] == 0) and np.all(y[np.isinf(x)] == 0) and np.all(np.isnan(y[np.isnan(x)]))


def test_exp2_rounded_argument():
    """Arguments with more fraction bits than exp2 keeps."""
    rng = np.random.default_rng(5)
    print("seed 5")
    x = (rng.uniform(-0.5, 0.5, size=1 << 20) * 2.0 ** rng.integers(-12, 1, size=1 << 20)).astype(np.float32)
    worst = ulps(kernels(F32)["exp2"].model(x), np.exp2(x.astype(np.float64)), F32).max()
    print(f"exp2: largest error {worst:.3f} ulp")
    assert worst <= 1.05


def test_page_has_the_sizes_of_the_tables():
    page = (DOCS / "numerics.md").read_text()
    stated = re.search(r"tables of (\d+) segments for `exp2`, (\d+) for `recip`, (\d+) for each", page)
    exp2_table, _ = functions.exp2_table(F32)
    sizes = [len(exp2_table.c0), len(functions.recip_table(F32).c0), len(functions.rsqrt_table(F32).c0) // 2]
    assert stated and [int(size) for size in stated.groups()] == sizes
