"""What each kernel computes, from its definition in float64, and how far its operators may take it from that.

Nothing here comes from the kernels: constants, signs and the order of operands are written out a second time, so that
a wrong one, which gates and golden model would share, shows.

Bounds follow from the operators. An F32 operator that rounds to nearest is off by half an ulp, which is at most ``U``
of the result; ``exp2``, ``recip`` and ``rsqrt`` keep the bounds that :mod:`rtlm.hw.hls.functions` states. Relative
errors of factors add up, absolute errors of summands too; ``SECOND_ORDER`` allows for their products and for the
rounding of float64. What is below the smallest normal number may be flushed to zero at any step (``TINY``).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

U = 2.0**-24
"""Largest relative error of one rounding to F32."""
EXP2, RECIP, RSQRT = 1.05 * 2 * U, 0.81 * 2 * U, 1.15 * 2 * U
"""Largest relative errors of the functions: 1.05, 0.81 and 1.15 ulp."""
TINY = 2.0**-126
SECOND_ORDER = 1 + 2.0**-10
F32_BITS, BF16_BITS = 23, 7
"""Fraction bits."""
SAMPLES = 20_000
EDGES = (0.0, 2.0**-126, 2.0**-60, 1 - U, 1.0, 1 + 2 * U, 1.5, 127.0, 2.0**60, (2 - 2 * U) * 2.0**127)


@dataclass(frozen=True)
class Expected:
    """One result of a kernel.

    Parameters
    ----------
    exact
        What it would be in exact arithmetic.
    error
        How far it may be from that, as an absolute difference.
    """

    exact: Array
    error: Array


@dataclass(frozen=True)
class Reference:
    """A kernel's definition and its inputs.

    Parameters
    ----------
    bound
        The bound in words, in ulp of the result's format (units of an integer result).
    draw
        Returns sets of arguments from a random generator.
    define
        From the arguments in float64 (and, for `uses_results`, the kernel's results) to what is expected.
    uses_results
        Whether a result is defined by another one, as a quantised value is by its scale.
    """

    bound: str
    draw: Callable[[np.random.Generator], Iterable[tuple[Array, ...]]]
    define: Callable[..., list[Expected]]
    uses_results: bool = False


def ulp(exact: Array, fraction_bits: int = F32_BITS) -> Array:
    """Return the distance of neighbouring numbers of a format with the exponents of F32, where `exact` lies."""
    exponent = np.frexp(np.where(np.isfinite(exact), exact, 1.0))[1] - 1
    return np.ldexp(1.0, np.maximum(exponent, -126) - fraction_bits)


def rounded(exact: Array, fraction_bits: int = F32_BITS) -> Expected:
    """Expect a result that is rounded once."""
    return Expected(exact, SECOND_ORDER * ulp(exact, fraction_bits) / 2)


def within(exact: Array, error: Array | float) -> Expected:
    """Expect a result within an error, second-order terms aside."""
    return Expected(exact, np.broadcast_to(SECOND_ORDER * error, np.shape(exact)))


def exactly(exact: Array) -> Expected:
    """Expect just this."""
    return Expected(exact, np.zeros(np.shape(exact)))


def counted(units: Array, error: Array | float = 0.0) -> Expected:
    """Expect an integer: `units`, known up to an error, rounded to nearest."""
    return Expected(units, 0.5 + SECOND_ORDER * error + np.abs(units) * 2.0**-52)


# --- inputs ---


def floats(rng: np.random.Generator, shape: int | tuple[int, ...], low: int, high: int) -> Array:
    """Draw F32 of both signs with exponents from `low` to `high`."""
    significand = rng.uniform(1, 2, shape) * rng.choice([-1.0, 1.0], shape)
    return np.ldexp(significand, rng.integers(low, high, shape, endpoint=True)).astype(np.float32)


def operands(*ranges: tuple[int, int], edges: tuple[float, ...] = EDGES):
    """Draw F32 operands with exponents of a range each, then all combinations of the edges."""

    def draw(rng):
        signed = [sign * np.float32(edge) for edge in edges for sign in (1, -1)]
        corners = np.array(list(product(signed, repeat=len(ranges))), np.float32).T
        return [tuple(floats(rng, SAMPLES, *each) for each in ranges), tuple(corners)]

    return draw


def integers(rng: np.random.Generator, low: int, high: int) -> Array:
    """Draw integers of all sizes in `low` to `high`, both included, and the ends."""
    size = 2.0 ** rng.uniform(0, max(high, -low).bit_length(), SAMPLES)
    drawn = np.clip(size * (rng.choice([-1, 1], SAMPLES) if low < 0 else 1), float(low), float(high) * (1 - 2.0**-53))
    dtype = np.uint64 if high >= 1 << 63 else np.int64
    drawn = drawn.astype(dtype)
    drawn[:4] = low, high, 0, 1
    return drawn


def bf16_scales(rng: np.random.Generator, shape: int, low: int, high: int) -> Array:
    """Draw scales that are BF16, not negative."""
    return np.ldexp(128.0 + rng.integers(0, 128, shape), rng.integers(low, high, shape, endpoint=True) - 7).astype("f4")


def with_float(low: int, high: int, exponents: tuple[int, int]):
    """Draw an integer and an F32."""

    def draw(rng):
        return [(integers(rng, low, high), floats(rng, SAMPLES, *exponents))]

    return draw


def packets(*exponents: tuple[int, int], lengths: tuple[int, ...] = (1, 2, 32, 64, 577)):
    """Draw packets of F32 of several lengths; values of one packet have similar sizes, or very different ones."""

    def draw(rng):
        for length in lengths:
            shape = (2048 // length + 8, length)
            yield tuple(floats(rng, shape, *each) for each in exponents)
            middle = rng.integers(*exponents[0], (shape[0], 1))
            first = np.ldexp(rng.standard_normal(shape), middle).astype(np.float32)
            yield (first, *(floats(rng, shape, *each) for each in exponents[1:]))
            yield (np.zeros(shape, np.float32), *(np.ones(shape, np.float32) for _ in exponents[1:]))

    return draw


def draw_swiglu(rng):
    gate = np.concatenate([rng.uniform(-100, 100, SAMPLES), rng.standard_normal(SAMPLES)]).astype(np.float32)
    return [(gate, floats(rng, gate.shape, -20, 20)), *operands((-30, 8), (-60, 60))(rng)]


def draw_gated(rng):
    gelu = rng.integers(0, 2, SAMPLES)
    gate = rng.uniform(-12, 12, SAMPLES).astype(np.float32)
    small = floats(rng, gate.shape, -30, 0)
    drawn = [(each, floats(rng, gate.shape, -20, 20), gelu) for each in (gate, small)]
    return [*drawn, *((gate, up, np.int64(0)) for gate, up in draw_swiglu(rng))]


def draw_normalisation(rng):
    ss = integers(rng, 0, (1 << 64) - 1)
    inv_n = (1 / rng.integers(1, 20_000, SAMPLES)).astype(np.float32)
    return [(ss, inv_n, rng.choice(np.float32([1e-6, 1e-5, 1e-3]), SAMPLES)), (ss, inv_n, np.float32(0))]


def draw_rmsnorm(rng):
    for x, w in packets((-12, 12), (-3, 3))(rng):
        yield x, w, np.float32(1 / x.shape[-1]), np.float32(1e-5)
    # The sum of squares saturates at 2**40, a square at 2**38.
    yield floats(rng, (9, 64), 17, 21), floats(rng, (9, 64), -3, 3), np.float32(1 / 64), np.float32(1e-5)


def draw_rope(rng):
    angle = rng.uniform(0, 2 * np.pi, SAMPLES)
    x0, x1 = floats(rng, SAMPLES, -20, 20), floats(rng, SAMPLES, -20, 20)
    x1[: SAMPLES // 2] = x0[: SAMPLES // 2] * rng.uniform(0.5, 2, SAMPLES // 2)
    return [(x0, x1, np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32))]


def draw_dequantise(rng):
    bits = rng.integers(0, 1 << 16, SAMPLES).astype(np.uint16)
    d = bits[bits >> 10 & 31 != 31].view(np.float16).astype(np.float32)
    return [(rng.integers(-128, 128, d.shape), d)]


def draw_dequantise_half(rng):
    return [(rng.integers(-256, 256, 1 << 16), np.arange(1 << 16)), (np.full(1 << 16, -256), np.arange(1 << 16))]


def f32_bits(x: Array) -> Array:
    """Return the bits of F32."""
    return x.astype(np.float32).view(np.uint32).astype(np.int64)


def draw_position_score(rng):
    """Products of up to 256 codes, and scales of which some leave scores below one unit and some saturate them."""
    dot = integers(rng, -(1 << 23), (1 << 23) - 1)
    sq_c0 = np.abs(floats(rng, SAMPLES, -20, 4))
    sk = bf16_scales(rng, SAMPLES, -20, 4)
    return [(dot, f32_bits(sq_c0), f32_bits(sk) >> 16), (dot, rng.integers(0, 1 << 31, SAMPLES), f32_bits(sk) >> 16)]


def draw_position_weight(rng):
    m = rng.integers(-(1 << 17), 1 << 17, SAMPLES)
    below = np.ldexp(rng.uniform(0, 1, SAMPLES), rng.integers(0, 19, SAMPLES)).astype(np.int64)
    s = np.maximum(m - below, -(1 << 17))
    s[:10] = m[:10]
    e = rng.integers(1, 255, SAMPLES)
    sv = np.maximum(e - rng.integers(0, 30, SAMPLES), 0) << 7 | rng.integers(0, 128, SAMPLES)
    return [(s, m, sv, e, rng.integers(0, 2, SAMPLES))]


def draw_attention_norm(rng):
    return [(integers(rng, 0, (1 << 40) - 1), rng.integers(1, 256, SAMPLES))]


def draw_argmax(rng):
    for length in (1, 2, 100, 1000):
        few = rng.choice(np.float32([-np.inf, -2, -0.0, 0.0, 2, 3]), (200, length))
        many = floats(rng, (200, length), -126, 127)
        index = rng.permuted(np.broadcast_to(np.arange(1 << 20)[-length:], (200, length)), axis=-1)
        yield np.concatenate([few, many]), np.concatenate([index, np.broadcast_to(np.arange(length), index.shape)])


def draw_softmax(rng):
    for length in (1, 2, 32, 2000):
        shape = (4096 // length + 8, length)
        for deviation in (0.01, 1, 10, 100):
            yield ((deviation * rng.standard_normal(shape) + 1000 * rng.standard_normal((shape[0], 1))).astype("f4"),)


# --- definitions ---


def product_of(x, y):
    return [rounded(x * y)]


def sum_of(x, y):
    return [rounded(x + y)]


def float_of_accumulator(acc):
    return [rounded(acc / 2**24)]


def scaled_result(acc, r):
    return [within(acc / 2**24 * r, 2 * U * np.abs(acc / 2**24 * r))]


def scaled_integer(acc, k):
    """An integer of up to 40 bits, rounded, times a factor."""
    return [within(acc * k, 2 * U * np.abs(acc * k))]


def norm_input(x, w):
    return [rounded(x * w), square_of(x, U)]


def square_of(x, relative):
    """x**2 in units of 2**-24, at most 2**62."""
    square = np.minimum(x**2 * 2**24, 2.0**62)
    return counted(square, relative * square)


def residual_norm(x, y, w):
    total = x + y
    error = 2 * U * np.abs(total * w) + TINY * np.abs(w)
    return [rounded(total), within(total * w, error), square_of(total, 3 * U)]


def rms_scale(ss, inv_n, eps):
    """1 / sqrt(mean + eps): three roundings of the radicand count half each."""
    y = 1 / np.sqrt(ss / 2**24 * inv_n + eps)
    return [within(y, (1.5 * U + RSQRT) * y)]


def rmsnorm(x, w, inv_n, eps):
    ss = np.minimum(np.sum(np.minimum(x**2, 2.0**38), axis=-1, keepdims=True), 2.0**40)
    radicand = ss * inv_n + eps
    squares = (U * ss + x.shape[-1] / 2 * 2.0**-24) * inv_n  # a square is rounded to F32, then to units of 2**-24
    smallest = np.maximum(radicand - squares - 3 * U * radicand, eps)
    relative = np.sqrt(radicand / smallest) - 1 + RSQRT + 2 * U
    y = x / np.sqrt(radicand) * w
    return [within(y, relative * np.abs(y) + TINY * np.abs(w))]


def swiglu(gate, up):
    """gate * sigmoid(gate) * up.

    The exponent of exp2 has two relative errors, the rounded log2(e) and the product: e**-gate is off by 2 |gate| U.
    The sigmoid is flushed to zero below 2**-126.
    """
    sigmoid = 1 / (1 + np.exp(-gate))
    power = (1 - sigmoid) * (2 * np.minimum(np.abs(gate), 128) * U + EXP2)
    y = gate * sigmoid * up
    return [within(y, (power + U + RECIP + 2 * U) * np.abs(y) + TINY * (np.abs(gate) + 1) * np.abs(up))]


def gated(gate, up, gelu):
    """swiglu, or gate * (1 + tanh(u)) / 2 * up.

    The exponent of exp2 then has these relative errors: its two rounded constants (of which one has the share of the
    cube), two products and a sum in the slope, and a product: it is off by 5 |2 u| U.
    """
    u = np.sqrt(2 / np.pi) * (gate + 0.044715 * gate**3)
    (plain,) = swiglu(gate, up)
    sigmoid = 1 / (1 + np.exp(-2 * u))
    power = (1 - sigmoid) * (5 * np.minimum(np.abs(2 * u), 128) * U + EXP2)
    y = gate * sigmoid * up
    error = (power + U + RECIP + 2 * U) * np.abs(y) + TINY * (np.abs(gate) + 1) * np.abs(up)
    return [within(np.where(gelu == 1, y, plain.exact), np.where(gelu == 1, error, plain.error))]


def rope(x0, x1, cos, sin):
    """(x0 + i x1) * (cos + i sin), each product and each sum rounded."""
    rotated = (x0 + 1j * x1) * (cos + 1j * sin)

    def part(y, a, b):
        return within(y, U * (np.abs(a) + np.abs(b)) + ulp(y) / 2 + 2 * TINY)

    return [part(rotated.real, x0 * cos, x1 * sin), part(rotated.imag, x0 * sin, x1 * cos)]


def draw_quantise(rng):
    for (x,) in packets((-60, 60))(rng):
        for wide in (0, 1):
            yield x, np.int64(wide)


def codes(units, wide):
    """Count in the scale that came out, or in half of it, within the bits that codes have."""
    largest = np.where(wide == 1, 255, 127)
    return np.clip(units * np.where(wide == 1, 2, 1), -largest, largest)


def quantise(x, wide, q, scale):
    """A 127th of the largest magnitude, to BF16; what was divided by the scale that came out, to nearest."""
    largest = np.max(np.abs(x), axis=-1, keepdims=True) / 127
    exact = codes(np.divide(x, scale, out=np.zeros_like(x), where=scale != 0), wide)
    return [counted(exact, 2 * U * np.abs(exact)), rounded(np.broadcast_to(largest, x.shape), BF16_BITS)]


def draw_quantise_head(rng):
    """Heads with squares of any kind, normalised or not."""
    for length, normed, wide in product((1, 8, 64), (0, 1), (0, 1)):
        x = rng.standard_normal((400, length)) * np.exp2(rng.uniform(-40, 40, (400, 1)))
        square = rng.integers(0, 1 << int(rng.integers(20, 43)), (400, length))
        yield x.astype(np.float32), square, np.float32(1 / length), np.float32(1e-5), np.int64(normed), np.int64(wide)


def quantise_head(x, square, inv_n, eps, normed, wide, q, scale):
    """As `quantise`, of a head times the scalar of its norm; no bound of a bit pattern that only the sum has."""
    ss = np.minimum(square.sum(axis=-1, keepdims=True), 2.0**64 - 1)
    chosen = normed == 1
    r = np.where(chosen, 1 / np.sqrt(ss / 2**24 * inv_n + eps), 1)
    relative = np.where(chosen, 1.5 * U + RSQRT, 0)
    largest = np.broadcast_to(np.max(np.abs(x), axis=-1, keepdims=True) / 127 * r, x.shape)
    exact = codes(np.divide(x * r, scale, out=np.zeros_like(x), where=scale != 0), wide)
    return [
        counted(exact, (relative + 3 * U) * np.abs(exact)),
        within(largest, ulp(largest, BF16_BITS) / 2 + (relative + 3 * U) * largest),
    ]


def dequantise(q, d):
    return [exactly(q * np.where(np.abs(d) < 2.0**-14, 0.0, d))]


def dequantise_half(q, bits):
    """Binary16 as IEEE 754 has it, but for exponent 31, which goes on where 30 ends."""
    bits = bits.astype(np.int64)
    sign, exponent, fraction = bits >> 15, bits >> 10 & 31, bits & 1023
    normal = np.ldexp(1 + fraction / 1024, exponent - 15)
    return [exactly(q * np.where(sign, -1, 1) * np.where(exponent == 0, fraction * 2.0**-24, normal))]


def attention_norm(total, e):
    y = 2**24 / total * 2.0 ** (e - 141)
    return [within(y, (U + RECIP) * y)]


def position_score(dot, sq_c0, sk):
    """dot / 2 * sq_c0 * sk in units of 2**-9, rounded down, in 18 bits.

    The scale has 17 bits of both significands, each cut, and exponents that add up to at most -1. Nothing is zero by
    its exponent: products above 2**22 with the smallest scales leave two units.
    """
    (query, query_exponent), (key, key_exponent) = (
        (1 + raw % 2**width / 2**width, raw // 2**width - 127) for raw, width in ((sq_c0, 23), (sk, 7))
    )
    y = dot / 2 * query * key * 2.0 ** np.minimum(query_exponent + key_exponent, -1) * 2**9
    low, high = -(2.0**17), 2.0**17 - 1
    error = SECOND_ORDER * (1 + (np.abs(dot) > 1 << 22) + (2.0**-16 + 2.0**-15) * np.abs(y))
    return [Expected(np.clip(y, low, high), np.where((y - error > high) | (y + error < low), 0, error))]


def softmax(s):
    """The exponent has the rounding of the difference, of log2(e) and of the product; each p is rounded to 2**-24."""
    difference = s - s.max(axis=-1, keepdims=True)
    p = np.exp(difference)
    relative = 3 * U * np.abs(difference) + EXP2
    total = p.sum(axis=-1, keepdims=True)
    of_total = np.sum(relative * p, axis=-1, keepdims=True) + s.shape[-1] * U / 2
    y = p / total
    return [within(y, (relative + of_total / total + U + RECIP + U) * y + 2 * TINY)]


def argmax(logit, index):
    best = np.max(logit, axis=-1)
    ties = np.where(logit == best[..., None], index, np.inf)
    return [exactly(best), exactly(ties.min(axis=-1))]


def position_weight(s, m, sv, e, exists):
    """p = 2**(s - m) in units of 2**-24, p * sv in units of 2**(e - 141); nothing of a position that does not exist.

    Powers have 12 fraction bits. The scale of a weight counts in units of 2**(e - 143).
    """
    power = np.where(exists == 1, np.exp2((s - m) / 2**9), 0)
    scale = (128 + sv % 128) * 2.0 ** (sv // 128 - 134 + 141 - e)
    cut = np.where(e - sv // 128 > 9, 0.25, 0) * power
    weight = power * scale
    return [
        within(power * 2**24, 2.0**-12 * power * 2**24 + (power > 0)),
        within(weight, np.where(power > 0, 0.5 + 2.0**-12 * weight + 2.0**-24 * scale + cut, 0)),
    ]


def draw_exists(values):
    """Draw packets of values and of flags which of them exist, at least one."""

    def draw(rng):
        for length in (1, 2, 7, 100):
            exists = rng.integers(0, 2, (200, length))
            exists[np.arange(200), rng.integers(0, length, 200)] = 1
            yield values(rng, (200, length)), exists

    return draw


def largest_score(s, exists):
    return [exactly(np.where(exists == 1, s, -(2.0**17)).max(axis=-1))]


def value_exponent(sv, exists):
    """Exponents of BF16 count from -126 = 1; zero has 0."""
    field = np.where(sv == 0, 0.0, np.frexp(sv)[1] + 126.0)
    return [exactly(np.maximum(np.where(exists == 1, field, 0).max(axis=-1), 1))]


def draw_probability_sum(rng):
    for length in (1, 2, 7, 300):
        yield (rng.integers(0, (1 << 24) + 1, (50, length)),)


def probability_sum(p):
    return [exactly(p.sum(axis=-1))]


def draw_norm_scalar(rng):
    """Sums below what float64 holds exactly, and some that saturate."""
    for length in (1, 2, 32, 577):
        square = rng.integers(0, 1 << int(rng.integers(20, 43)), (200, length))
        yield square, np.float32(1 / length), np.float32(1e-5)
    yield np.full((9, 8), 1 << 62), np.float32(1 / 8), np.float32(1e-5)


def norm_scalar(square, inv_n, eps):
    ss = np.minimum(square.sum(axis=-1), 2.0**64 - 1)
    return rms_scale(ss, inv_n[..., 0], eps[..., 0])


def half_value(d):
    """Significand and exponent of IEEE binary16, of which exponent 31 is an exponent like others."""
    d = d.astype(np.int64)
    field = d // 1024 % 32
    sign = np.where(d >= 1 << 15, -1, 1)
    return sign * (d % 1024.0 + 1024 * (field > 0)), np.maximum(field, 1.0)


def scale_value(s):
    s = s.astype(np.int64)
    return np.where(s < 128, 0.0, s % 128 + 128), s // 128.0


def draw_scaled(rng):
    """Scales of all kinds, of which none moves a product out of the accumulator."""
    value, d = integers(rng, -(1 << 21), (1 << 21) - 1), rng.integers(0, 1 << 16, SAMPLES)
    return [(value, d, rng.integers(0, 110 << 7, SAMPLES)), (value, d, rng.integers(90 << 7, 110 << 7, SAMPLES))]


def scaled(value, d, s):
    (d_significand, d_exponent), (s_significand, s_exponent) = half_value(d), scale_value(s)
    real = value * d_significand * s_significand * 2.0 ** (d_exponent - 25 + s_exponent - 135 + 24)
    return [exactly(np.floor(real + 0.5))]


def draw_factored(rng):
    """As `draw_scaled`, with room for the factor."""
    value, d, factor = integers(rng, -(1 << 21), (1 << 21) - 1), rng.integers(0, 1 << 16, SAMPLES), signed_bytes(rng)
    scales = (rng.integers(0, 103 << 7, SAMPLES), rng.integers(83 << 7, 103 << 7, SAMPLES))
    return [(value, d, factor, s) for s in scales]


def signed_bytes(rng):
    return rng.integers(-128, 128, SAMPLES)


def factored(value, d, factor, s):
    return scaled(value * factor, d, s)


ONCE = "0.5 ulp"
REFERENCES: dict[str, Reference] = {
    "residual": Reference(ONCE, operands((-60, 60), (-60, 60)), sum_of),
    "scale": Reference(ONCE, operands((-60, 60), (-60, 60)), product_of),
    "accumulator_to_float": Reference(
        ONCE, lambda rng: [(integers(rng, -(1 << 47), (1 << 47) - 1),)], float_of_accumulator
    ),
    "scaled_result": Reference("2 ulp", with_float(-(1 << 47), (1 << 47) - 1, (-60, 60)), scaled_result),
    "attention_output": Reference("2 ulp", with_float(-(1 << 39), (1 << 39) - 1, (-60, 60)), scaled_integer),
    "head_output": Reference("2 ulp", with_float(-(1 << 39), (1 << 39) - 1, (-60, 60)), scaled_integer),
    "position_score": Reference(
        "1 unit, 2 of products above 2**22, and 3 * 2**-16 of the value", draw_position_score, position_score
    ),
    "attention_norm": Reference("2.7 ulp", draw_attention_norm, attention_norm),
    "norm_input": Reference(f"{ONCE}; 0.5 unit and 2**-24 of the square", operands((-60, 60), (-60, 60)), norm_input),
    "residual_norm": Reference(
        f"{ONCE}; 2 ulp; 0.5 unit and 3 * 2**-24 of the square",
        operands((-20, 20), (-20, 20), (-20, 20), edges=EDGES[:-1]),
        residual_norm,
    ),
    "rms_scale": Reference("3.9 ulp", draw_normalisation, rms_scale),
    "rmsnorm": Reference("6.4 ulp, and half of what n squares lose to units of 2**-24", draw_rmsnorm, rmsnorm),
    "swiglu": Reference("4.7 ulp, and up to 2.1 + 2 |gate| ulp more for a negative gate", draw_swiglu, swiglu),
    "gated": Reference("as swiglu, or 4.7 ulp and up to 2.1 + 10 |u| ulp more for a negative gate", draw_gated, gated),
    "rope": Reference(f"{ONCE}, and half an ulp of either product", draw_rope, rope),
    "quantise": Reference("0.50002 units; 0.5 ulp of BF16", draw_quantise, quantise, uses_results=True),
    "quantise_head": Reference(
        "0.50005 units; 0.502 ulp of BF16", draw_quantise_head, quantise_head, uses_results=True
    ),
    "dequantise": Reference("exact", draw_dequantise, dequantise),
    "dequantise_half": Reference("exact", draw_dequantise_half, dequantise_half),
    "position_weight": Reference(
        "1 unit and 2**-12 of p; 0.76 units and 2**-12 of the weight", draw_position_weight, position_weight
    ),
    "softmax": Reference(
        "3.7 ulp; 2.1 + 3 |s - max| ulp of each exponential; n / 2 units of 2**-24 of the sum", draw_softmax, softmax
    ),
    "argmax": Reference("exact", draw_argmax, argmax),
    "largest_score": Reference(
        "exact", draw_exists(lambda rng, shape: rng.integers(-(1 << 17), 1 << 17, shape)), largest_score
    ),
    "value_exponent": Reference(
        "exact",
        draw_exists(lambda rng, shape: bf16_scales(rng, shape, -126, 127) * rng.integers(0, 2, shape).astype("f4")),
        value_exponent,
    ),
    "probability_sum": Reference("exact", draw_probability_sum, probability_sum),
    "norm_scalar": Reference("3.9 ulp", draw_norm_scalar, norm_scalar),
    "half_parts": Reference("exact", lambda rng: [(np.arange(1 << 16),)], lambda d: [*map(exactly, half_value(d))]),
    "scale_parts": Reference("exact", lambda rng: [(np.arange(1 << 15),)], lambda s: [*map(exactly, scale_value(s))]),
    "scaled": Reference("exact", draw_scaled, scaled),
    "factored": Reference("exact", draw_factored, factored),
}
"""By a kernel's name."""
