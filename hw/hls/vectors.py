"""Vectors of kernel values: element by element, in parts, and folded by a tree."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from rtlm.hw.hls import types as t
from rtlm.hw.hls.errors import refused
from rtlm.hw.hls.fixed import FixedValue, select
from rtlm.hw.hls.graph import Composite, Value, wrap_to
from rtlm.hw.hls.types import Fixed, Float, Type, UInt, VectorType


class Vector(Composite):
    """So many values side by side, as a kernel's argument ``Vec[T, n]`` or a list of values gives them.

    Operators and the functions of the language work element by element; a single value or a number meets every element.
    """

    def __init__(self, items: Sequence[Any]):
        self.items = tuple(items)
        if not self.items:
            raise TypeError("A Vector needs at least one element.")

    @property
    def type(self) -> VectorType:
        """Type of the whole, if its elements are of one type; a TypeError says that they are not."""
        if not all(isinstance(item, Value | FixedValue | Vector) for item in self.items):
            raise TypeError("A Vector with plain numbers among its elements has no type: use constant(value, type).")
        types = {item.type for item in self.items}
        if len(types) > 1:
            raise TypeError(f"The elements of a Vector are of one type here, not {', '.join(map(str, types))}.")
        return VectorType(types.pop(), len(self.items))

    def __repr__(self) -> str:
        return f"<Vector of {len(self.items)}: {self.items[0]!r}>"

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.items)

    def __getitem__(self, place: Any) -> Any:
        """One element, or a part; the place is a number of Python, since which wires they are has to be known."""
        if isinstance(place, slice):
            return Vector(self.items[place])
        if isinstance(place, Value):
            return self._chosen(place)
        if not isinstance(place, int) or not -len(self.items) <= place < len(self.items):
            raise TypeError(f"A Vector of {len(self.items)} has no element {place!r}.")
        return self.items[place]

    def _chosen(self, place: Value) -> Any:
        """Element that a value counts: a multiplexer; the last one for places beyond it."""
        if not isinstance(place.type, UInt):
            raise TypeError(f"The place in a Vector is unsigned, not {place.type}.")
        reachable = min(len(self.items), place.type.high + 1)
        chosen = self.items[reachable - 1]
        for n in reversed(range(reachable - 1)):
            chosen = elementwise(select)(place == n, self.items[n], chosen)
        return chosen

    def fold(self, function: Callable[[Any, Any], Any]) -> Any:
        """Combine all elements by an associative function of two, in a balanced tree."""
        items = list(self.items)
        while len(items) > 1:
            pairs = [function(a, b) for a, b in zip(items[::2], items[1::2], strict=False)]
            items = pairs + items[2 * len(pairs) :]
        return items[0]

    def sum(self) -> Any:
        """Sum of the elements; of integers it is exact and as wide as it needs, of floats it rounds in each node."""
        return self.fold(lambda a, b: a + b)

    def concat(self, other: Vector) -> Vector:
        """Elements of both, one behind the other."""
        return Vector([*self.items, *other.items])

    def reverse(self) -> Vector:
        """Elements in the opposite order."""
        return Vector(self.items[::-1])

    def map(self, function: Callable[[Any], Any]) -> Vector:
        """Vector of ``function(element)``."""
        return Vector([function(item) for item in self.items])

    def __bool__(self) -> bool:
        raise TypeError("A Vector has no truth in Python: fold its conditions with & or |, and use select.")

    def _combined(self, other: Any, function: Callable[[Any, Any], Any]) -> Any:
        return elementwise(function)(self, other)

    _compared = _combined

    def __neg__(self):
        return self.map(operator.neg)

    def __abs__(self):
        return self.map(abs)

    def __invert__(self):
        return self.map(operator.invert)

    def __mul__(self, other):
        return self._combined(other, operator.mul)

    def __rmul__(self, other):
        return self._combined(other, lambda a, b: b * a)

    def __truediv__(self, other):
        return self._combined(other, operator.truediv)

    def __rtruediv__(self, other):
        return self._combined(other, lambda a, b: b / a)

    def __and__(self, other):
        return self._combined(other, operator.and_)

    def __or__(self, other):
        return self._combined(other, operator.or_)

    def __xor__(self, other):
        return self._combined(other, operator.xor)

    __rand__, __ror__, __rxor__ = __and__, __or__, __xor__

    def __lshift__(self, other):
        return self._combined(other, operator.lshift)

    def __rshift__(self, other):
        return self._combined(other, operator.rshift)

    __matmul__ = __rmatmul__ = refused("@", "dot(a, b)")


def elementwise(function: Callable) -> Callable:
    """Let a function of values take vectors, of one length, and work element by element."""

    @functools.wraps(function)
    def lifted(*args: Any, **named: Any) -> Any:
        vectors = [a for a in [*args, *named.values()] if isinstance(a, Vector)]
        if not vectors:
            return function(*args, **named)
        lengths = {len(v) for v in vectors}
        if len(lengths) > 1:
            raise TypeError(
                f"Vectors of {' and '.join(map(str, sorted(lengths)))} elements meet: they need to be of one length."
            )
        (length,) = lengths
        return Vector(
            [
                lifted(
                    *(a[n] if isinstance(a, Vector) else a for a in args),
                    **{key: a[n] if isinstance(a, Vector) else a for key, a in named.items()},
                )
                for n in range(length)
            ]
        )

    return lifted


def dot(a: Vector, b: Vector) -> Value:
    """``sum(a[i] * b[i])``: products, and a tree of sums."""
    if not isinstance(a, Vector) or not isinstance(b, Vector):
        raise TypeError("dot takes two Vectors.")
    return (a * b).sum()


def pack(items: Vector) -> Value:
    """Bits of integers side by side, the first element lowest, as one unsigned integer."""
    unsigned = [wrap_to(x, x.type.width) for x in _integers(items, "pack")]
    width = sum(x.type.width for x in unsigned)
    if width > 63:
        raise TypeError(f"pack makes at most 63 bits, not {width}.")

    def join(low: Value, high: Value) -> Value:
        return Value("concat", (low, high), UInt(low.type.width + high.type.width), shift=low.type.width)

    return functools.reduce(join, unsigned)


def unpack(word: Value, type_: t.Int, count: int | None = None) -> Vector:
    """Integers that stand side by side in a word, the first one lowest."""
    if isinstance(word.type, Float):
        raise TypeError(f"unpack takes an integer, not {word.type}.")
    count = word.type.width // type_.width if count is None else count
    if count < 1 or count * type_.width > word.type.width:
        raise TypeError(f"{word.type} does not hold {count} values of {type_}.")
    parts = [Value("bits", (word,), UInt(type_.width), start=n * type_.width) for n in range(count)]
    return Vector([Value("wrap", (part,), type_) if part.type != type_ else part for part in parts])


def _integers(items: Vector, name: str) -> list[Value]:
    values = list(items)
    for value in values:
        if not isinstance(value, Value) or isinstance(value.type, Float):
            raise TypeError(f"{name} takes a Vector of integers.")
    return values


def leaves(name: str, type_: Type | Fixed | VectorType) -> list[tuple[str, Type]]:
    """Names and types of the numbers of an argument or result: ``x``, or ``x_0``, ``x_1``, ... of a vector."""
    if isinstance(type_, VectorType):
        return [leaf for n in range(type_.length) for leaf in leaves(f"{name}_{n}", type_.item)]
    return [(name, type_.leaf if isinstance(type_, Fixed) else type_)]


def gathered(type_: Type | Fixed | VectorType, values: Iterator[Any]) -> Any:
    """Value or Vector of a type from the values of its leaves, in their order."""
    if isinstance(type_, VectorType):
        return Vector([gathered(type_.item, values) for _ in range(type_.length)])
    return FixedValue(next(values), type_.fraction) if isinstance(type_, Fixed) else next(values)


def scattered(value: Any) -> list[Any]:
    """Values of the leaves of a value, a Vector, or a tuple of these."""
    if isinstance(value, Vector | tuple | list):
        return [leaf for item in value for leaf in scattered(item)]
    return [value.raw if isinstance(value, FixedValue) else value]
