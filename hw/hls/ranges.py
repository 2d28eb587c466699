"""Ranges of integers: the smallest and the largest value of an operation, as far as its operands tell."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rtlm.hw.hls.graph import Value, topological
from rtlm.hw.hls.types import Float, Int

Range = tuple[int, int]


def range_of(op: str, operands: Sequence[Range | None], type_: Int, attrs: Mapping[str, Any]) -> Range:
    """Return the range of an operation's result; that of its type where nothing narrower is known.

    Parameters
    ----------
    op, type_, attrs
        Of the operation.
    operands
        Their ranges; None of a float.
    """
    if op == "const":
        return attrs["value"], attrs["value"]
    found = _BOUNDS[op](attrs, *operands) if op in _BOUNDS and None not in operands else None
    if found is None:
        return type_.low, type_.high
    low, high = max(type_.low, found[0]), min(type_.high, found[1])
    return (low, high) if low <= high else (type_.low, type_.high)


def ranges_of(values: list[Value]) -> dict[int, Range | None]:
    """Return for values, and what they depend on, the smallest and the largest number; None of a float."""
    found: dict[int, Range | None] = {}
    for v in topological(values):
        if isinstance(v.type, Float):
            found[id(v)] = None
        elif v.op == "arg" and "high" in v.attrs:
            found[id(v)] = 0, v.attrs["high"]
        else:
            found[id(v)] = range_of(v.op, [found[id(a)] for a in v.args], v.type, v.attrs)
    return found


def _corners(function: Callable[[int, int], int]) -> Callable[..., Range]:
    """Range of a function that is monotonic in either operand."""

    def bounds(_: Mapping[str, Any], a: Range, b: Range) -> Range:
        found = [function(x, y) for x in a for y in b]
        return min(found), max(found)

    return bounds


def _and(_: Mapping[str, Any], a: Range, b: Range) -> Range | None:
    if a[0] < 0 and b[0] < 0:
        return None
    return 0, min(x[1] for x in (a, b) if x[0] >= 0)


def _or(_: Mapping[str, Any], a: Range, b: Range) -> Range | None:
    if a[0] < 0 or b[0] < 0:
        return None
    return 0, (1 << max(a[1], b[1]).bit_length()) - 1


def _clamp(attrs: Mapping[str, Any], a: Range) -> Range:
    low, high = attrs["low"], attrs["high"]
    return min(max(a[0], low), high), max(min(a[1], high), low)


_BOUNDS: dict[str, Callable[..., Range | None]] = {
    "iadd": _corners(lambda x, y: x + y),
    "isub": _corners(lambda x, y: x - y),
    "imul": _corners(lambda x, y: x * y),
    "ineg": lambda _, a: (-a[1], -a[0]),
    "shl": lambda attrs, a: (a[0] << attrs["count"], a[1] << attrs["count"]),
    "shr": lambda attrs, a: (a[0] >> attrs["count"], a[1] >> attrs["count"]),
    "shlv": _corners(lambda x, k: x << k),
    "shrv": _corners(lambda x, k: x >> k),
    "and": _and,
    "or": _or,
    "xor": _or,
    "select": lambda _, c, a, b: (min(a[0], b[0]), max(a[1], b[1])),
    "clamp": _clamp,
    "bits": lambda attrs, a: (0, a[1] >> attrs["start"]) if a[0] >= 0 else None,
}
