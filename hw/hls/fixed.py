"""Fixed-point values of kernels: integers that know where their point is."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

from rtlm.hw.hls.errors import refused
from rtlm.hw.hls.graph import Composite, Value, as_value, wrap_to
from rtlm.hw.hls.graph import select as select_value
from rtlm.hw.hls.types import Fixed, Float, SInt

MOST_FRACTION = 48
"""Fraction bits that a number of Python may need."""


class FixedValue(Composite):
    """An argument ``Fixed(integer, fraction)``, or what is computed from one.

    Sums and products are exact and as wide as they need; `fixed` rounds them to a type. Numbers of Python have to be
    multiples of a power of two.

    Parameters
    ----------
    raw
        Integer, in units of ``2**-fraction``.
    fraction
        Bits behind the point.
    """

    def __init__(self, raw: Value, fraction: int):
        self.raw, self.fraction = raw, fraction

    @property
    def type(self) -> Fixed:
        """Its type."""
        width = self.raw.type.width
        return Fixed(width - self.fraction, self.fraction, signed=isinstance(self.raw.type, SInt))

    def __repr__(self) -> str:
        return f"<{self.type}>"

    def __bool__(self) -> bool:
        raise TypeError("A kernel value has no truth in Python: use select(condition, a, b).")

    def _aligned(self, other: Any) -> tuple[Value, Value, int]:
        """Both as integers in one unit, and its fraction bits."""
        other = _as_fixed(other)
        fraction = max(self.fraction, other.fraction)
        return self.raw << (fraction - self.fraction), other.raw << (fraction - other.fraction), fraction

    def _combined(self, other: Any, function: Callable[[Value, Value], Value]) -> Any:
        if _leaves_to(other):
            return NotImplemented
        a, b, fraction = self._aligned(other)
        return FixedValue(function(a, b), fraction)

    def _compared(self, other: Any, function: Callable[[Value, Value], Value]) -> Any:
        if _leaves_to(other):
            return NotImplemented
        a, b, _ = self._aligned(other)
        return function(a, b)

    def __mul__(self, other):
        if _leaves_to(other):
            return NotImplemented
        other = _as_fixed(other)
        return FixedValue(self.raw * other.raw, self.fraction + other.fraction)

    __rmul__ = __mul__

    def __neg__(self):
        return FixedValue(-self.raw, self.fraction)

    def __abs__(self):
        return FixedValue(abs(self.raw), self.fraction)

    def __lshift__(self, count: int):
        return FixedValue(self.raw, self.fraction - count)

    def __rshift__(self, count: int):
        return FixedValue(self.raw, self.fraction + count)

    __truediv__ = __rtruediv__ = refused("/ of fixed-point numbers", "x >> n for a power of two, or to_float(x)")
    __pow__ = __rpow__ = refused("**", "x * x for a square")


def _leaves_to(other: Any) -> bool:
    """Whether an operator is the other operand's, such as a vector's."""
    return isinstance(other, Composite) and not isinstance(other, FixedValue)


def _as_fixed(value: Any) -> FixedValue:
    """A fixed-point number, an integer, or a number of Python as a fixed-point number."""
    if isinstance(value, FixedValue):
        return value
    if isinstance(value, Value):
        if isinstance(value.type, Float):
            raise TypeError(f"A fixed-point number met {value.type}: write fixed(x, type) for it.")
        return FixedValue(value, 0)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is neither a kernel value nor a Python number.")
    exact = Fraction(value)
    fraction = exact.denominator.bit_length() - 1
    if fraction > MOST_FRACTION:
        raise TypeError(
            f"{value!r} is no multiple of 2**-{MOST_FRACTION}: write the one that is meant, as round(x * 2**n) / 2**n."
        )
    return FixedValue(as_value(exact.numerator, SInt(8)), fraction)


def select(condition: Value, a: Any, b: Any) -> Value | FixedValue:
    """``a`` where the condition holds, else ``b``: of values, or of fixed-point numbers in one unit."""
    if not isinstance(a, FixedValue) and not isinstance(b, FixedValue):
        return select_value(condition, a, b)
    a, b, fraction = _as_fixed(a)._aligned(b)
    return FixedValue(select_value(condition, a, b), fraction)


def round_fixed(x: FixedValue | Value, type_: Fixed) -> FixedValue:
    """Bring a fixed-point number or an integer to a type: rounding and overflow as the type says."""
    value = _as_fixed(x)
    lost = value.fraction - type_.fraction
    raw = _rounded(value.raw, lost, type_.rounding) if lost > 0 else value.raw << -lost
    if type_.overflow == "saturate":
        raw = Value("clamp", (raw,), type_.leaf, low=type_.leaf.low, high=type_.leaf.high)
    return FixedValue(Value("wrap", (raw,), type_.leaf), type_.fraction)


def _rounded(raw: Value, lost: int, rounding: str) -> Value:
    """``raw / 2**lost`` as an integer."""
    down = raw >> lost
    if rounding == "floor":
        return down
    rest = wrap_to(raw, lost)  # beyond its width the sign goes on
    if rounding == "zero":
        return down + ((raw < 0) & (rest != 0))
    half = 1 << (lost - 1)
    return down + select_value(rest == half, wrap_to(down, 1), rest > half)
