"""Number types of kernels, and the one definition of how a value stands on the wires."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
from amaranth.hdl import Shape, signed, unsigned

F32_MIN = np.float32(2.0**-126)
_F32_FRACTION = 23
_F64_FRACTION = 52


@dataclass(frozen=True)
class Float:
    """Binary floating point: sign, ``exponent`` bits, ``mantissa`` fraction bits.

    Round to nearest even; subnormal inputs and results are signed zeros; infinities are kept; one NaN. Every value of
    every such format is a float32 value, so that float32 arrays hold them all.
    """

    exponent: int
    mantissa: int

    def __post_init__(self):
        if not 2 <= self.exponent <= 8:
            raise ValueError(f"A Float has 2 to 8 exponent bits, not {self.exponent}.")
        if not 2 <= self.mantissa <= _F32_FRACTION:
            raise ValueError(f"A Float has 2 to 23 mantissa bits, not {self.mantissa}.")

    def __str__(self) -> str:
        return _NAMES.get((self.exponent, self.mantissa), f"Float({self.exponent}, {self.mantissa})")

    @property
    def width(self) -> int:
        """Bits on the wires."""
        return 1 + self.exponent + self.mantissa

    @property
    def bias(self) -> int:
        """Offset of the exponent field."""
        return (1 << (self.exponent - 1)) - 1

    @property
    def special(self) -> int:
        """Exponent field of infinities and NaN."""
        return (1 << self.exponent) - 1

    @property
    def inf_bits(self) -> int:
        """Bits of +infinity."""
        return self.special << self.mantissa

    @property
    def nan_bits(self) -> int:
        """Bits of the one NaN."""
        return self.inf_bits | 1 << (self.mantissa - 1)

    @property
    def smallest(self) -> float:
        """Smallest positive value that is not flushed to zero."""
        return 2.0 ** (1 - self.bias)

    @property
    def largest(self) -> float:
        """Largest finite value."""
        return (2 - 2.0**-self.mantissa) * 2.0 ** (self.special - 1 - self.bias)

    @property
    def shape(self) -> Shape:
        """Amaranth shape of the plain bits."""
        return unsigned(self.width)


@dataclass(frozen=True)
class SInt:
    """Two's complement integer of ``width`` bits (1 to 64)."""

    width: int

    def __post_init__(self):
        _check_width("SInt", self.width)

    def __str__(self) -> str:
        return f"SInt({self.width})"

    @property
    def low(self) -> int:
        """Smallest value."""
        return -(1 << (self.width - 1))

    @property
    def high(self) -> int:
        """Largest value."""
        return (1 << (self.width - 1)) - 1

    @property
    def shape(self) -> Shape:
        """Amaranth shape."""
        return signed(self.width)


@dataclass(frozen=True)
class UInt:
    """Unsigned integer of ``width`` bits (1 to 64)."""

    width: int

    def __post_init__(self):
        _check_width("UInt", self.width)

    def __str__(self) -> str:
        return f"UInt({self.width})"

    @property
    def low(self) -> int:
        """Smallest value."""
        return 0

    @property
    def high(self) -> int:
        """Largest value."""
        return (1 << self.width) - 1

    @property
    def shape(self) -> Shape:
        """Amaranth shape."""
        return unsigned(self.width)


def _check_width(name: str, width: int) -> None:
    if not isinstance(width, int) or not 1 <= width <= 64:
        raise ValueError(f"{name} has 1 to 64 bits, not {width!r}.")


Int = SInt | UInt
Type = Float | SInt | UInt

F32 = Float(8, 23)
BF16 = Float(8, 7)
F16 = Float(5, 10)
BOOL = UInt(1)
_NAMES = {(8, 23): "F32", (8, 7): "BF16", (5, 10): "F16"}


Item = TypeVar("Item")


@dataclass(frozen=True)
class SharedType:
    """What ``Shared[...]`` gives."""

    type: Any


class Shared(Generic[Item]):
    """Annotation ``Shared[F32]``: one value a beat, the same for all lanes."""

    def __class_getitem__(cls, item: Any) -> SharedType:
        if not isinstance(item, ELEMENTS):
            raise TypeError(f"Shared[...] takes a number type or a Vec, such as F32 or UInt(8), not {item!r}.")
        return SharedType(item)


ROUNDINGS = ("nearest", "floor", "zero")
OVERFLOWS = ("saturate", "wrap")


@dataclass(frozen=True)
class Fixed:
    """Fixed-point number: ``integer`` bits before the point (the sign among them), ``fraction`` bits behind it.

    Parameters
    ----------
    integer, fraction
        Bits; together 1 to 64, and either may be negative.
    signed
        Whether it is two's complement.
    rounding
        What `fixed` does with bits that do not fit behind the point: ``nearest`` (to even), ``floor``, ``zero``.
    overflow
        What it does with a number that is too large: ``saturate``, ``wrap``.
    """

    integer: int
    fraction: int
    signed: bool = True
    rounding: str = "nearest"
    overflow: str = "saturate"

    def __post_init__(self):
        if not all(isinstance(n, int) for n in (self.integer, self.fraction)) or abs(self.fraction) > 64:
            raise ValueError(f"Fixed takes numbers of bits, not {self.integer!r} and {self.fraction!r}.")
        _check_width("Fixed", self.integer + self.fraction)
        if self.rounding not in ROUNDINGS:
            raise ValueError(f"Fixed rounds {', '.join(ROUNDINGS)}, not {self.rounding!r}.")
        if self.overflow not in OVERFLOWS:
            raise ValueError(f"Fixed does {' or '.join(OVERFLOWS)}, not {self.overflow!r}.")

    def __str__(self) -> str:
        return f"Fixed({self.integer}, {self.fraction}{'' if self.signed else ', signed=False'})"

    @property
    def leaf(self) -> Int:
        """Integer on the wires, in units of ``2**-fraction``."""
        return (SInt if self.signed else UInt)(self.integer + self.fraction)


@dataclass(frozen=True)
class VectorType:
    """``length`` values of one type side by side; the type may be a vector itself."""

    item: Type | Fixed | VectorType
    length: int

    def __post_init__(self):
        if not isinstance(self.item, ELEMENTS):
            raise TypeError(f"Vec[...] takes a number type or a Vec, such as Vec[SInt(8), 16], not {self.item!r}.")
        if not isinstance(self.length, int) or not 1 <= self.length <= LONGEST_VECTOR:
            raise ValueError(f"A Vec has 1 to {LONGEST_VECTOR} values, not {self.length!r}.")

    def __str__(self) -> str:
        return f"Vec[{self.item}, {self.length}]"

    @property
    def shape(self) -> tuple[int, ...]:
        """Axes that it adds to an array."""
        return (self.length, *(self.item.shape if isinstance(self.item, VectorType) else ()))

    @property
    def number(self) -> Type | Fixed:
        """Type of one number."""
        return self.item.number if isinstance(self.item, VectorType) else self.item


ELEMENTS = (Float, SInt, UInt, Fixed, VectorType)
"""Types of what a beat, a word of a memory or a result consists of."""
LONGEST_VECTOR = 1024


class _Vec:
    def __getitem__(self, item: Any) -> VectorType:
        if not isinstance(item, tuple) or len(item) != 2:
            raise TypeError(f"Vec[...] takes a type and a length, such as Vec[SInt(8), 16], not {item!r}.")
        return VectorType(*item)


Vec: Any = _Vec()  # For type checkers any type: what a kernel's function gets is a Vector.
"""Annotation ``Vec[SInt(8), 16]``: so many values a beat, side by side; ``Vec[Vec[T, columns], rows]``."""


@dataclass(frozen=True)
class RamType:
    """A memory of ``depth`` values that a stream of its own fills."""

    item: Type | Fixed | VectorType
    depth: int

    def __post_init__(self):
        if not isinstance(self.item, ELEMENTS):
            raise TypeError(f"Ram[...] takes a number type or a Vec, such as Ram[SInt(8), 1024], not {self.item!r}.")
        if not isinstance(self.depth, int) or not 2 <= self.depth <= DEEPEST_RAM:
            raise ValueError(f"A Ram has 2 to {DEEPEST_RAM} words, not {self.depth!r}.")

    def __str__(self) -> str:
        return f"Ram[{self.item}, {self.depth}]"


DEEPEST_RAM = 1 << 16


class _Ram:
    def __getitem__(self, item: Any) -> RamType:
        if not isinstance(item, tuple) or len(item) != 2:
            raise TypeError(f"Ram[...] takes a type and a depth, such as Ram[SInt(8), 1024], not {item!r}.")
        return RamType(*item)


Ram: Any = _Ram()
"""Annotation ``Ram[SInt(8), 1024]``: a memory of so many words, filled by a stream of its own."""


def int_type(low: int, high: int) -> Int:
    """Narrowest integer type that holds ``low`` ... ``high``."""
    if low >= 0:
        return UInt(max(1, high.bit_length()))
    return SInt(max((-low - 1).bit_length(), max(high, 0).bit_length()) + 1)


def int_dtype(type_: Int) -> Any:
    """NumPy type of the arrays that hold ``type_``."""
    return np.uint64 if type_ == UInt(64) else np.int64


def flush(values: np.ndarray, type_: Float) -> np.ndarray:
    """Replace what is below the smallest normal number of ``type_`` by a signed zero (no rounding)."""
    return values * (np.abs(values) >= values.dtype.type(type_.smallest))


def round_to(values: np.ndarray | float, type_: Float) -> np.ndarray:
    """Round float64 values once, to nearest even, to ``type_``; the result is float32.

    Rounding has unbounded exponent; then what is too small becomes a signed zero and what is too large an infinity.
    """
    values = np.asarray(values, dtype=np.float64)
    shift = _F64_FRACTION - type_.mantissa
    raw = np.atleast_1d(values).view(np.int64)
    one = np.int64(1)
    raw = (raw + ((one << (shift - 1)) - 1 + ((raw >> shift) & 1))) & ~((one << shift) - 1)
    rounded = np.where(np.isnan(values), np.nan, raw.view(np.float64).reshape(values.shape))
    size = np.abs(rounded)
    rounded = np.where(size < type_.smallest, np.copysign(0.0, rounded), rounded)
    rounded = np.where(size >= 2.0 ** (type_.special - type_.bias), np.copysign(np.inf, rounded), rounded)
    return rounded.astype(np.float32)


def to_bits(values: Any, type_: Type) -> np.ndarray:
    """Bits on the wires of an array of values, as int64 (uint64 for 64-bit types).

    Values must be representable in ``type_``; floats are not rounded here.
    """
    if not isinstance(type_, Float):
        if type_.width == 64:
            return np.asarray(values).astype(np.uint64)
        return np.asarray(values, dtype=np.int64) & np.int64((1 << type_.width) - 1)
    values = np.asarray(values, dtype=np.float32, order="C")
    raw = values.view(np.uint32).astype(np.int64)
    sign, field, fraction = (
        raw >> 31,
        (raw >> _F32_FRACTION) & 255,
        (raw & 0x7FFFFF) >> (_F32_FRACTION - type_.mantissa),
    )
    if type_.exponent != 8:
        moved = np.clip(field - F32.bias + type_.bias, 0, type_.special)
        field = np.where(field == F32.special, type_.special, moved)
    bits = np.where(field == 0, 0, field << type_.mantissa | fraction) | sign << (type_.width - 1)
    return np.where(np.isnan(values), type_.nan_bits, bits)


def on_wires(number: Any, type_: Type) -> int:
    """One number as a constant of the type's shape: the bits of a float, an integer itself."""
    return int(to_bits(number, type_)) if isinstance(type_, Float) else int(number)


def from_bits(bits: Any, type_: Type) -> np.ndarray:
    """Values of bits on the wires; subnormal patterns are signed zeros, every NaN pattern is the NaN."""
    if not isinstance(type_, Float):
        if type_.width == 64:
            raw = np.asarray(bits).astype(np.uint64)
            return raw if isinstance(type_, UInt) else raw.view(np.int64)
        narrow = np.asarray(bits).astype(np.int64) & np.int64((1 << type_.width) - 1)
        return narrow if isinstance(type_, UInt) else narrow - ((narrow >> (type_.width - 1)) << type_.width)
    raw = np.asarray(bits).astype(np.int64)
    sign, field = raw >> (type_.width - 1) & 1, raw >> type_.mantissa & type_.special
    fraction = (raw & ((1 << type_.mantissa) - 1)) << (_F32_FRACTION - type_.mantissa)
    wide = np.where(field == type_.special, F32.special, field - type_.bias + F32.bias)
    wide, fraction = np.where(field == 0, 0, wide), np.where(field == 0, 0, fraction)
    value = (sign << 31 | wide << _F32_FRACTION | fraction).astype(np.uint32)
    return (
        np.where((wide == F32.special) & (fraction != 0), np.uint32(0x7FC00000), value)
        .astype(np.uint32)
        .view(np.float32)
    )
