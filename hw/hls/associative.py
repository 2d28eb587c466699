"""Associative steps of scans: what the lanes of a beat bring is combined in a tree before it meets the state.

A step ``state' = state . x`` whose operator is associative needs no chain from lane to lane: ``(s . x0) . x1`` is
``s . (x0 . x1)``. Only one operator is then left between reading the state and writing it. The tree is that of Sklansky
("Conditional-sum addition logic", IRE Transactions 1960): of all prefixes of ``n`` lanes in ``log2(n)`` levels.

Steps with sums that wrap, and, or, exclusive or, the larger and the smaller one are found here; of others the one who
writes the kernel says so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from rtlm.hw.hls import types as t
from rtlm.hw.hls.graph import Associative, Operator, Recurrence, Value, constant
from rtlm.hw.hls.types import Float, Int, UInt

Item = TypeVar("Item")
_BITWISE = ("and", "or", "xor")


def prefixes(items: list[Item], combine: Callable[[Item, Item], Item], wanted: range) -> dict[int, Item]:
    """Return for each wanted place what all items up to it combine to."""
    known = {(n, n): item for n, item in enumerate(items)}

    def span(first: int, last: int) -> Item:
        if (first, last) not in known:
            middle = first + (1 << ((last - first).bit_length() - 1))
            known[first, last] = combine(span(first, middle - 1), span(middle, last))
        return known[first, last]

    return {place: span(0, place) for place in wanted}


def associative(recurrence: Recurrence) -> Associative | None:
    """Return how the elements of a step combine; None if it is not known to be associative."""
    if len(recurrence.states) != 1:
        return None
    (state,), (result,) = recurrence.states, recurrence.results
    outside = {id(v) for v in recurrence.outside}
    return _of_floats(state, result, outside) if isinstance(state.type, Float) else _of_integers(state, result, outside)


def _of_integers(state: Value, result: Value, outside: set[int]) -> Associative | None:
    while result.op == "wrap" and result.type.width >= state.type.width:
        (result,) = result.args
    condition, otherwise = None, False
    if result.op == "select" and id(result.args[0]) in outside and any(a is state for a in result.args[1:]):
        condition, first, second = result.args  # an element that may leave the state as it is
        otherwise = first is state
        result = second if otherwise else first
        while result.op == "wrap" and result.type == state.type:
            (result,) = result.args
    kind = _kind(result)
    operands = result.args[1:] if kind in ("largest", "smallest") else result.args
    element = _other(operands, state, outside)
    if kind is None or element is None or (result.op == "isub" and operands[0] is not state):
        return None
    type_: Int = state.type
    if kind in ("largest", "smallest") and not (type_.low <= element.type.low and element.type.high <= type_.high):
        return None
    if result.op == "isub":
        element = Value("ineg", (element,), t.SInt(element.type.width + 1))
    element = _typed(element, type_)
    if condition is not None:
        neutral = constant(_neutral(kind, type_), type_)
        element = Value("select", (condition, *((neutral, element) if otherwise else (element, neutral))), type_)
    left, right = (Value("state", (), type_, number=n) for n in range(2))
    operator = Operator([left], [right], [_combined(kind, left, right, type_)])
    return Associative([element], operator, operator)


def _of_floats(state: Value, result: Value, outside: set[int]) -> Associative | None:
    """The larger or the smaller one of floats: that of integers of the same order."""
    negated = result.op == "neg"
    ordered = result.args[0] if negated else result
    if ordered.op != "unkey" or _kind(ordered.args[0]) != "largest":
        return None
    operands = ordered.args[0].args[1:]
    mine = next((a for a in operands if a.op == "key" and id(a) not in outside), None)
    if mine is None:
        return None
    source = mine.args[0].args[0] if negated and mine.args[0].op == "neg" else mine.args[0]
    element = _other(operands, mine, outside)
    if (source is not state) or (negated != (source is not mine.args[0])) or element is None or element.op != "key":
        return None
    type_ = UInt(state.type.width)
    earlier, later = (Value("state", (), type_, number=n) for n in range(2))
    combine = Operator([earlier], [later], [_combined("largest", earlier, later, type_)])
    left = Value("state", (), state.type, number=0)
    key = Value("key", (Value("neg", (left,), left.type) if negated else left,), type_)
    applied = Value("unkey", (_combined("largest", key, later, type_),), state.type)
    applied = Value("neg", (applied,), state.type) if negated else applied
    return Associative([element], combine, Operator([left], [later], [applied]))


def _kind(v: Value) -> str | None:
    """Which associative operator makes an integer."""
    if v.op in ("iadd", "isub"):
        return "sum"
    if v.op in _BITWISE:
        return v.op
    if v.op == "select" and v.args[0].op in ("ilt", "ile"):
        (low, high), (_, first, second) = v.args[0].args, v.args
        if first is high and second is low:
            return "largest"
        if first is low and second is high:
            return "smallest"
    return None


def _other(operands: tuple[Value, ...], state: Value, outside: set[int]) -> Value | None:
    """The operand beside the state, if it is one of the stream."""
    others = [a for a in operands if a is not state]
    return others[0] if len(operands) == 2 and len(others) == 1 and id(others[0]) in outside else None


def _typed(v: Value, type_: Int) -> Value:
    return v if v.type == type_ else Value("wrap", (v,), type_)


def _combined(kind: str, a: Value, b: Value, type_: Int) -> Value:
    if kind == "sum":
        return Value("wrap", (Value("iadd", (a, b), type(type_)(type_.width + 1)),), type_)
    if kind in _BITWISE:
        return Value(kind, (a, b), type_)
    less = Value("ilt", (a, b), t.BOOL)
    return Value("select", (less, b, a) if kind == "largest" else (less, a, b), type_)


def _neutral(kind: str, type_: Int) -> int:
    """What leaves any state as it is."""
    ones = -1 if type_.low < 0 else type_.high
    return {"sum": 0, "or": 0, "xor": 0, "and": ones, "largest": type_.low, "smallest": type_.high}[kind]
