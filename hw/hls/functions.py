"""exp2, reciprocal and reciprocal square root: integer table and quadratic interpolation on the significand.

Each function reduces its argument to a *segment* number and a position ``t`` inside the segment, then computes in
integers ::

    y = c0 + (t * (c1 + (t * c2 >> width)) >> width)

with ``c0, c1, c2`` of the segment: the quadratic through the three Chebyshev nodes of the segment (as in Piñeiro,
Oberman, Muller, Bruguera, "High-speed function approximation using a minimax quadratic interpolator", IEEE Trans.
Computers 54(3), 2005, whose refinement of the coefficients is left out), rounded to integers. Tables come from
:mod:`decimal`, so that they are the same on every machine. ``y`` has :data:`GUARD` bits below the result's fraction and
is rounded half up. Model and gates share the tables.

=============  ==========================================  ==================
function       table                                       largest error, F32
=============  ==========================================  ==================
``exp2``       64 segments                                 0.71 ulp
``recip``      128 segments                                0.81 ulp
``rsqrt``      64 segments for each of [1, 2) and [2, 4)   1.15 ulp
=============  ==========================================  ==================

Measured over all significands of F32 (``exp2``: the 2**24 arguments ``n / 2**24``) by
``pytest tests/hw/hls/test_functions.py -k exhaustive``, which asserts these bounds. BF16 and F16, over all values,
stay within 0.86 ulp. Arguments of ``exp2`` below 1/2 have more fraction bits than the 24 that it keeps: there the error
is at most 1.05 ulp (measured on samples, ``-k rounded_argument``).

``exp2`` gives 0 where the result is below the smallest normal number, ``exp2(large)`` is infinity; NaN goes in and out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, localcontext
from functools import cache

import numpy as np
from rtlm.hw.hls.types import BF16, F32, Float, from_bits, to_bits

GUARD = 4
_NODES = [
    Decimal(n) for n in ("0.06698729810778067661", "0.5", "0.93301270189221932339")
]  # 1/2 + cos((2k+1) pi / 6) / 2


@dataclass(frozen=True)
class Interpolator:
    """Tables of one function: ``y`` in units of ``2**-fraction`` for a segment and ``t`` in units of ``2**-width``."""

    c0: tuple[int, ...]
    c1: tuple[int, ...]
    c2: tuple[int, ...]
    width: int
    fraction: int

    def model(self, segment: np.ndarray, t: np.ndarray) -> np.ndarray:
        """Evaluate on int64 arrays; the gates compute the same integers."""
        c0, c1, c2 = (np.array(c, dtype=np.int64) for c in (self.c0, self.c1, self.c2))
        if self.width == 0:
            return c0[segment]
        return c0[segment] + (t * (c1[segment] + (t * c2[segment] >> self.width)) >> self.width)


def _interpolator(
    function: Callable[[Decimal], Decimal], starts: list[Decimal], sizes: list[Decimal], width: int, m: int
):
    """Quadratics through the Chebyshev nodes of the segments ``starts[i] ... starts[i] + sizes[i]``."""
    fraction = m + GUARD
    rows = []
    with localcontext() as context:
        context.prec = 40
        for start, size in zip(starts, sizes, strict=True):
            if width == 0:
                rows.append((function(start), Decimal(0), Decimal(0)))
                continue
            a, b, c = _NODES
            fa, fb, fc = (function(start + size * n) for n in _NODES)
            ab, bc = (fb - fa) / (b - a), (fc - fb) / (c - b)
            c2 = (bc - ab) / (c - a)
            c1 = ab - c2 * (a + b)
            rows.append((fa - c1 * a - c2 * a * a, c1, c2))
        integers = [tuple(int((x * 2**fraction).to_integral_value()) for x in row) for row in rows]
    i0, i1, i2 = zip(*integers, strict=True)
    return Interpolator(i0, i1, i2, width, fraction)


@cache
def exp2_table(type_: Float) -> tuple[Interpolator, int]:
    """Interpolator of ``2**f`` for ``f`` in [0, 1), and the number of bits of ``f``."""
    bits = type_.mantissa + 1
    segment_bits = min(6, bits)
    n = 1 << segment_bits
    starts = [Decimal(i) / n for i in range(n)]
    table = _interpolator(lambda x: Decimal(2) ** x, starts, [Decimal(1) / n] * n, bits - segment_bits, type_.mantissa)
    return table, bits


@cache
def recip_table(type_: Float) -> Interpolator:
    """Interpolator of ``2 / x`` for a significand ``x`` in [1, 2)."""
    segment_bits = min(7, type_.mantissa)
    n = 1 << segment_bits
    starts = [1 + Decimal(i) / n for i in range(n)]
    return _interpolator(lambda x: 2 / x, starts, [Decimal(1) / n] * n, type_.mantissa - segment_bits, type_.mantissa)


@cache
def rsqrt_table(type_: Float) -> Interpolator:
    """Interpolator of ``2 / sqrt(x)``: segments of [1, 2), then as many of [2, 4)."""
    segment_bits = min(6, type_.mantissa)
    n = 1 << segment_bits
    starts = [1 + Decimal(i) / n for i in range(n)] + [2 + Decimal(2 * i) / n for i in range(n)]
    sizes = [Decimal(1) / n] * n + [Decimal(2) / n] * n
    return _interpolator(lambda x: 2 / x.sqrt(), starts, sizes, type_.mantissa - segment_bits, type_.mantissa)


@cache
def recip_exact_table() -> tuple[int, ...]:
    """For each BF16 fraction ``f``: ``2 / (1 + f / 128)`` in units of ``2**-23``, to nearest."""
    return tuple(((1 << 32) // (128 + f) + 1) // 2 for f in range(128))


def _assemble(type_: Float, field: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Float bits of ``y * 2**(field - bias)`` (``y`` in [1, 2], GUARD bits too long), or 0, or infinity."""
    y = (y + (1 << (GUARD - 1))) >> GUARD
    packed = (field << type_.mantissa) + (y - (1 << type_.mantissa))
    packed = np.where(packed >= type_.inf_bits, type_.inf_bits, packed)
    return np.where(packed < 1 << type_.mantissa, 0, packed)


def exp2_model(x: np.ndarray, type_: Float) -> np.ndarray:
    """Golden model of ``exp2``."""
    table, bits = exp2_table(type_)
    limit = float(1 << type_.exponent)
    fixed = np.rint(np.clip(np.nan_to_num(x.astype(np.float64), nan=0.0), -limit, limit) * 2.0**bits).astype(np.int64)
    f = fixed & ((1 << bits) - 1)
    y = table.model(f >> table.width, f & ((1 << table.width) - 1))
    return from_bits(np.where(np.isnan(x), type_.nan_bits, _assemble(type_, (fixed >> bits) + type_.bias, y)), type_)


def recip_model(x: np.ndarray, type_: Float) -> np.ndarray:
    """Golden model of ``recip``."""
    table, raw, m = recip_table(type_), to_bits(x, type_), type_.mantissa
    fraction, field = raw & ((1 << m) - 1), raw >> m & type_.special
    y = table.model(fraction >> table.width, fraction & ((1 << table.width) - 1))
    bits = _assemble(type_, 2 * type_.bias - 1 - field, y)
    bits = np.where(field == 0, type_.inf_bits, np.where(field == type_.special, 0, bits))
    return from_bits(np.where(np.isnan(x), type_.nan_bits, bits | raw >> (type_.width - 1) << (type_.width - 1)), type_)


def rsqrt_model(x: np.ndarray, type_: Float) -> np.ndarray:
    """Golden model of ``rsqrt``."""
    table, raw, m = rsqrt_table(type_), to_bits(x, type_), type_.mantissa
    fraction, field = raw & ((1 << m) - 1), raw >> m & type_.special
    odd = (field - type_.bias) & 1
    segment = odd * (len(table.c0) // 2) + (fraction >> table.width)
    y = table.model(segment, fraction & ((1 << table.width) - 1))
    bits = _assemble(type_, type_.bias - 1 - ((field - type_.bias) >> 1), y)
    bits = np.where(field == 0, type_.inf_bits, np.where(field == type_.special, 0, bits))
    negative = (raw >> (type_.width - 1) == 1) & (field != 0)
    return from_bits(np.where(np.isnan(x) | negative, type_.nan_bits, bits), type_)


def recip_exact_model(x: np.ndarray) -> np.ndarray:
    """Golden model of ``recip_exact``."""
    table, raw = np.array(recip_exact_table(), dtype=np.int64), to_bits(x, BF16)
    field = raw >> 7 & 255
    packed = (2 * F32.bias - 1 - field << 23) + table[raw & 127] - (1 << 23)
    packed = np.where((packed < 1 << 23) | (field == 0) | (field == F32.special), 0, packed) | raw >> 15 << 31
    return from_bits(np.where(np.isnan(x), F32.nan_bits, packed), F32)
