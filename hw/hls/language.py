"""Functions a kernel is written with, beside Python's operators."""

from __future__ import annotations

import math
from typing import Any

from rtlm.hw.hls import fixed as fixed_point
from rtlm.hw.hls import types as t
from rtlm.hw.hls.fixed import FixedValue, round_fixed
from rtlm.hw.hls.graph import Value, add, constant, multiply, need_float, need_int, pair
from rtlm.hw.hls.nest import in_loop
from rtlm.hw.hls.types import BF16, F32, Fixed, Float, Int, SInt, Type, UInt
from rtlm.hw.hls.vectors import elementwise

MAX_SHIFT_BITS, MAX_SHIFT_WIDTH = 10, 62
SHIFT_ROUNDINGS = ("floor", "half_up")


@elementwise
def fma(a: Any, b: Any, c: Any) -> Value:
    """``a * b + c``, rounded once (floats) or exact (integers)."""
    like = next(v for v in (a, b, c) if isinstance(v, Value))
    a, b = pair("fma", *(v if isinstance(v, Value) else constant(v, like.type) for v in (a, b)))
    if not isinstance(a.type, Float):
        return add(multiply(a, b), c)
    a, c = pair("fma", a, c)
    return Value("fma", (a, b, c), a.type)


select = elementwise(fixed_point.select)


@elementwise
def maximum(a: Any, b: Any) -> Value:
    """Larger operand; of floats: NaN if either is, and a zero result is +0."""
    a, b = pair("maximum", a, b)
    if isinstance(a.type, Float):
        return _unkey(maximum(_key(a), _key(b)), a.type)
    return select(a < b, b, a)


@elementwise
def minimum(a: Any, b: Any) -> Value:
    """Smaller operand; of floats: NaN if either is, and a zero result is -0."""
    a, b = pair("minimum", a, b)
    if isinstance(a.type, Float):
        return -maximum(-a, -b)
    return select(a < b, a, b)


def _key(x: Value) -> Value:
    """Unsigned integer that orders like the float: -inf < ... < -0 = +0 < ... < inf < NaN."""
    return Value("key", (x,), UInt(x.type.width))


def _unkey(key: Value, type_: Float) -> Value:
    return Value("unkey", (key,), type_)


@elementwise
def clamp(x: Value, low: Any, high: Any) -> Value:
    """``x`` limited to ``low`` ... ``high``; an integer result gets the narrowest type. A NaN stays."""
    if isinstance(x.type, Float):
        return minimum(maximum(x, low), high)
    if low > high:
        raise ValueError(f"clamp needs low <= high, got {low} and {high}.")
    return Value("clamp", (x,), t.int_type(low, high), low=low, high=high)


@elementwise
def wrap(x: Value, type_: Int) -> Value:
    """Integer modulo ``2**width`` as ``type_``."""
    need_int(x, "wrap")
    return Value("wrap", (x,), type_)


@elementwise
def bits(x: Value, start: int, stop: int) -> Value:
    """Bits ``start`` ... ``stop - 1`` of an integer, unsigned."""
    need_int(x, "bits")
    if not 0 <= start < stop <= x.type.width:
        raise ValueError(f"bits {start}:{stop} do not lie in {x.type}.")
    return Value("bits", (x,), UInt(stop - start), start=start)


@elementwise
def shift(x: Value, k: Value, type_: Int, rounding: str = "floor") -> Value:
    """``x * 2**k`` of integers as ``type_``, modulo ``2**width``; what falls off is rounded down, or ``half_up``."""
    need_int(x, "shift")
    if not isinstance(k, Value) or not isinstance(k.type, SInt) or k.type.width > MAX_SHIFT_BITS:
        raise TypeError(f"shift goes by a signed value of at most {MAX_SHIFT_BITS} bits, not by {k!r}.")
    if not isinstance(type_, Int):
        raise TypeError(f"shift gives an integer type, not {type_!r}.")
    if max(x.type.width, type_.width) > MAX_SHIFT_WIDTH:
        raise TypeError(f"shift takes and gives at most {MAX_SHIFT_WIDTH} bits, not {x.type} and {type_}.")
    if rounding not in SHIFT_ROUNDINGS:
        raise TypeError(f"shift rounds {' or '.join(SHIFT_ROUNDINGS)}, not {rounding!r}.")
    return Value("ishift", (x, k), type_, half_up=rounding == "half_up")


@elementwise
def to_int(x: Value, type_: Int | int, frac: int = 0) -> Value:
    """``round(x * 2**frac)`` to nearest even, saturating; NaN gives 0. A plain width means ``SInt(width)``."""
    need_float(x, "to_int")
    return Value("to_int", (x,), SInt(type_) if isinstance(type_, int) else type_, frac=frac)


@elementwise
def fixed(x: Value | FixedValue, type_: Fixed) -> FixedValue:
    """Number of a fixed-point type from a fixed-point number, an integer, or a float (to nearest even, saturating)."""
    if isinstance(x, Value) and isinstance(x.type, Float):
        if (type_.rounding, type_.overflow) != ("nearest", "saturate"):
            raise TypeError(f"A float becomes fixed point by nearest and saturate, not as {type_!r} says.")
        return FixedValue(Value("to_int", (x,), type_.leaf, frac=type_.fraction), type_.fraction)
    return round_fixed(x, type_)


@elementwise
def to_float(x: Value | FixedValue, type_: Float = F32, frac: int = 0) -> Value:
    """``x * 2**-frac`` as a float, rounded once; a fixed-point number by itself."""
    if isinstance(x, FixedValue):
        frac += x.fraction
        x = x.raw
    need_int(x, "to_float")
    return Value("to_float", (x,), type_, frac=frac)


@elementwise
def convert(x: Value, type_: Float) -> Value:
    """Another float format, rounded once."""
    need_float(x, "convert")
    return x if x.type == type_ else Value("convert", (x,), type_)


@elementwise
def ldexp(x: Value, k: Any) -> Value:
    """``x * 2**k`` for an integer ``k``: exact, unless it flushes or overflows."""
    need_float(x, "ldexp")
    k = k if isinstance(k, Value) else constant(k, t.int_type(min(k, 0), max(k, 0)))
    need_int(k, "ldexp's exponent")
    if k.type.width > 16:
        raise TypeError(f"ldexp's exponent has at most 16 bits, not {k.type}.")
    return Value("ldexp", (x, k), x.type)


@elementwise
def exponent_field(x: Value) -> Value:
    """Biased exponent as it stands on the wires (0 for zero, all ones for infinities and NaN)."""
    need_float(x, "exponent_field")
    return Value("exponent_field", (x,), UInt(x.type.exponent))


@elementwise
def table(index: Value, values: Any, type_: Type) -> Value:
    """``values[index]``; the table has ``2**width`` entries."""
    if not isinstance(index.type, UInt) or len(values) != 1 << index.type.width:
        raise TypeError(
            f"A table of {len(values)} entries needs an unsigned index of as many values, not {index.type}."
        )
    entries = tuple(constant(v, type_).attrs["value"] for v in values)
    return Value("table", (index,), type_, values=entries)


@elementwise
def exp2(x: Value) -> Value:
    """Two to the power of ``x`` (:mod:`rtlm.hw.hls.functions` has algorithm and error)."""
    need_float(x, "exp2")
    return Value("exp2", (x,), x.type)


@elementwise
def exp(x: Value) -> Value:
    """``exp2(x * log2(e))`` with a rounded product: the relative error grows with ``|x|``."""
    need_float(x, "exp")
    return exp2(x * math.log2(math.e))


@elementwise
def recip(x: Value) -> Value:
    """``1 / x``; ``recip(0)`` is an infinity of the same sign."""
    need_float(x, "recip")
    return Value("recip", (x,), x.type)


@elementwise
def recip_exact(x: Value) -> Value:
    """F32 nearest to ``1 / x`` for a BF16 ``x`` (128-entry table); ``recip_exact(0)`` is 0."""
    if x.type != BF16:
        raise TypeError(f"recip_exact takes BF16, not {x.type}.")
    return Value("recip_exact", (x,), F32)


@elementwise
def rsqrt(x: Value) -> Value:
    """``1 / sqrt(x)``; NaN for a negative number, +infinity for a zero."""
    need_float(x, "rsqrt")
    return Value("rsqrt", (x,), x.type)


@elementwise
def sqrt(x: Value) -> Value:
    """Square root, as ``x * rsqrt(x)``; zeros and +infinity are their own, NaN for a negative number."""
    need_float(x, "sqrt")
    return select((x == 0) | (x == math.inf), x, x * rsqrt(x))


@elementwise
def stream_sum(x: Value, type_: Int, saturate: bool = False) -> Value:
    """Exact integer sum over a packet, modulo ``2**width`` or (unsigned) saturating.

    A running sum that saturates at both ends would depend on the order of its terms: only unsigned sums may saturate.
    """
    per_lane(x, "stream_sum")
    if isinstance(x.type, Float):
        raise TypeError(
            f"stream_sum adds integers, not {x.type}: convert to fixed point first, with to_int(x, width, frac)."
        )
    if saturate and not (isinstance(x.type, UInt) and isinstance(type_, UInt)):
        raise TypeError("Only an unsigned stream_sum may saturate; declare a signed sum wide enough instead.")
    if saturate and x.type.width > type_.width:
        raise TypeError(f"A saturating sum in {type_} takes terms of at most as many bits, not {x.type}.")
    return Value("reduce_sum", (x,), type_, saturate=saturate)


@elementwise
def stream_max(x: Value) -> Value:
    """Largest value of a packet; of floats: NaN if there is one, and a zero result is +0."""
    per_lane(x, "stream_max")
    if isinstance(x.type, Float):
        return _unkey(Value("reduce_max", (_key(x),), UInt(x.type.width)), x.type)
    return Value("reduce_max", (x,), x.type)


@elementwise
def stream_last(x: Value) -> Value:
    """Value of a packet's last element, or of its last beat if all lanes share it."""
    if not isinstance(x, Value):
        raise TypeError(f"stream_last takes a value of the stream, not {x!r}.")
    return Value("reduce_last", (x,), x.type)


def stream_argmax(x: Value, index: Value) -> tuple[Value, Value]:
    """Largest value of a packet and its index; the lowest index among equals (-0 equals +0; NaN is largest)."""
    per_lane(x, "stream_argmax")
    key = _key(x) if isinstance(x.type, Float) else x
    if not isinstance(key.type, UInt) or not isinstance(index.type, UInt) or key.type.width + index.type.width > 63:
        raise TypeError(
            f"stream_argmax takes a float or unsigned value and an unsigned index, not {x.type} and {index.type}."
        )
    width = index.type.width
    flipped = index ^ index.type.high
    best = Value(
        "reduce_max",
        (Value("concat", (flipped, key), UInt(width + key.type.width), shift=width),),
        UInt(width + key.type.width),
    )
    value = bits(best, width, best.type.width)
    return (_unkey(value, x.type) if isinstance(x.type, Float) else value), bits(best, 0, width) ^ index.type.high


def per_lane(x: Value, name: str) -> None:
    """Refuse what does not differ from element to element."""
    if not isinstance(x, Value):
        raise TypeError(f"{name} takes a value of the stream, not {x!r}.")
    if not x.per_lane and not (in_loop() and (x.per_beat or not x.phase)):
        raise TypeError(f"{name} takes a value of the stream; this one is Shared or already constant in the packet.")
