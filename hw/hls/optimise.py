"""Simplification of a kernel's graph: the same numbers from fewer operators and bits.

The model evaluates the graph as it was written and the gates are built from what comes out here, so that every
comparison of the two also checks this file. Rewriting goes once from operands to results: equal expressions become
one (commutative operands in one order), constants are folded, identities removed, products with powers of two become
shifts, and integers get the type of the range of values that they can have.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from rtlm.hw.hls import types as t
from rtlm.hw.hls.associative import associative
from rtlm.hw.hls.evaluate import MODELS
from rtlm.hw.hls.graph import REDUCTIONS, Associative, Graph, Operator, Recurrence, Value, topological
from rtlm.hw.hls.ranges import Range, range_of
from rtlm.hw.hls.types import Float, Type, UInt

COMMUTATIVE = frozenset({"add", "mul", "fma", "eq", "iadd", "imul", "ieq", "and", "or", "xor"})
"""Operations whose first two operands may change places."""
STORED = frozenset({*REDUCTIONS, "index", "previous", "scan", "read", "state", "arg"})
"""Operations that are no arithmetic: they are not folded, and what holds their results has the type they were given."""


@cache
def optimised(graph: Graph) -> Graph:
    """Return a graph of the same arguments whose results are the same numbers, of the same types."""
    new = Graph(graph.args, _Optimiser(graph).results)
    # Where nothing depends on a reduction or a memory any more, it still paces the streams.
    return new if _pace(new) == _pace(graph) else graph


def _pace(graph: Graph) -> tuple:
    """What the streams of a kernel follow from."""
    return graph.phases, graph.framed, graph.once_per_packet, {v.attrs["memory"].name for v in graph.reads}


class _Optimiser:
    """Rewrites a graph; `results` are its results."""

    def __init__(self, graph: Graph):
        self._known: dict[tuple, Value] = {}
        self._ranges: dict[int, Range] = {id(v): (0, v.attrs["high"]) for v in graph.args if "high" in v.attrs}
        self._numbers: dict[int, int] = {id(v): n for n, v in enumerate(graph.args)}
        self._new: dict[int, Value] = {id(v): v for v in graph.args}
        self._recurrences: dict[int, Recurrence] = {}
        for v in graph.order:
            if v.op != "arg":
                self._new[id(v)] = self._visit(v)
        self.results = [_as_type(self._new[id(r)], r.type) for r in graph.results]

    def make(self, op: str, args: tuple[Value, ...], type_: Type, **attrs: Any) -> Value:
        """The one value of an operation on these operands; of an integer as narrow as its range."""
        found: Range | None = None
        if not isinstance(type_, Float) and op not in STORED and op != "table":
            found = low, high = range_of(
                op, [None if isinstance(a.type, Float) else self.range(a) for a in args], type_, attrs
            )
            type_ = t.int_type(low, high)
            if low == high and op != "const":
                op, args, attrs = "const", (), {"value": low}
        key = (op, *(id(a) for a in args), type_, *((name, _frozen(attrs[name])) for name in sorted(attrs)))
        if key not in self._known:
            new = self._known[key] = Value(op, args, type_, **attrs)
            self._numbers[id(new)] = len(self._numbers)
            if found is not None:
                self._ranges[id(new)] = found
        return self._known[key]

    def range(self, v: Value) -> Range:
        """Smallest and largest value of an integer."""
        return self._ranges.get(id(v), (v.type.low, v.type.high))

    def constant(self, number: float, type_: Type) -> Value:
        """Constant of a number that the type has."""
        return self.make("const", (), type_, value=float(number) if isinstance(type_, Float) else int(number))

    def _place(self, v: Value) -> tuple[bool, int]:
        """Place of an operand among commutative ones: in the order in which they came, with constants last."""
        return v.op == "const", self._numbers.get(id(v), -1)

    def _visit(self, v: Value) -> Value:
        if v.op == "scan":
            return self._scan(v)
        args = tuple(self._new[id(a)] for a in v.args)
        if v.op in COMMUTATIVE and self._place(args[0]) > self._place(args[1]):
            args = (args[1], args[0], *args[2:])
        if args and all(a.op == "const" for a in args) and v.op not in STORED:
            with np.errstate(all="ignore"):
                return self.constant(MODELS[v.op](v, *(MODELS[a.op](a) for a in args)), v.type)
        simpler = _RULES[v.op](self, v, *args) if v.op in _RULES else None
        return self.make(v.op, args, v.type, **v.attrs) if simpler is None else simpler

    def _scan(self, v: Value) -> Value:
        """Rewrite a step; all parts of its state share the new one."""
        old = v.attrs["recurrence"]
        if id(old) not in self._recurrences:
            self._new |= {id(state): state for state in old.states}
            for inner in old.order:
                self._new[id(inner)] = self._visit(inner)
            results = [_as_type(self._new[id(r)], r.type) for r in old.results]
            known = self._associative(old.associative) if old.associative else None
            new = Recurrence(old.states, results, old.initial, place=old.place, associative=known)
            new.associative = new.associative or associative(new)
            self._recurrences[id(old)] = new
        new = self._recurrences[id(old)]
        return self.make("scan", tuple(new.outside), v.type, recurrence=new, part=v.attrs["part"])

    def _associative(self, old: Associative) -> Associative:
        """Rewrite how elements combine, which is also how they meet the state."""
        left, right = old.combine.left, old.combine.right
        self._new |= {id(v): v for v in (*left, *right)}
        for inner in topological(old.combine.results):
            if id(inner) not in self._new:
                self._new[id(inner)] = self._visit(inner)
        operator = Operator(left, right, [_as_type(self._new[id(r)], r.type) for r in old.combine.results])
        return Associative([_as_type(self._new[id(e)], e.type) for e in old.elements], operator, operator)


def _as_type(v: Value, type_: Type) -> Value:
    """The same number in a wider type."""
    if v.type == type_:
        return v
    return Value("const", (), type_, **v.attrs) if v.op == "const" else Value("wrap", (v,), type_)


def _frozen(attribute: Any) -> Any:
    """What tells attributes apart; 0.0 and -0.0 differ."""
    return repr(attribute) if isinstance(attribute, float | tuple) else attribute


def _number(v: Value) -> Any:
    """Number of a constant; None of what is none."""
    return v.attrs["value"] if v.op == "const" else None


def _multiply(o: _Optimiser, v: Value, a: Value, b: Value) -> Value | None:
    factor = _number(b)
    if factor is None or factor == 0 or not math.isfinite(factor):
        return None
    mantissa, exponent = math.frexp(factor)
    if abs(mantissa) != 0.5:
        return None
    if exponent != 1:
        k = o.constant(exponent - 1, t.int_type(exponent - 1, exponent - 1))
        a = o.make("ldexp", (a, k), a.type)
    return a if factor > 0 else _negate(o, v, a)


def _add(o: _Optimiser, v: Value, a: Value, b: Value) -> Value | None:
    if _number(b) != 0:
        return None
    if math.copysign(1, b.attrs["value"]) < 0:
        return a
    # -0 + 0 is +0; all else stays.
    zero = o.make("eq", (a, b), t.BOOL)
    return o.make("select", (zero, b, a), a.type)


def _negate(o: _Optimiser, v: Value, a: Value) -> Value:
    return a.args[0] if a.op == "neg" else o.make("neg", (a,), a.type)


def _absolute(o: _Optimiser, v: Value, a: Value) -> Value | None:
    if a.op not in ("neg", "abs"):
        return None
    while a.op in ("neg", "abs"):
        (a,) = a.args
    return o.make("abs", (a,), a.type)


def _convert(o: _Optimiser, v: Value, a: Value) -> Value | None:
    if a.op != "convert" or a.args[0].type != v.type:
        return None
    keeps = a.type.exponent >= v.type.exponent and a.type.mantissa >= v.type.mantissa
    return a.args[0] if keeps else None


def _select(o: _Optimiser, v: Value, condition: Value, a: Value, b: Value) -> Value | None:
    if a is b:
        return a
    chosen = _number(condition)
    return None if chosen is None else a if chosen else b


def _not(o: _Optimiser, v: Value, a: Value) -> Value | None:
    return a.args[0] if a.op == "not" else None


def _integer_multiply(o: _Optimiser, v: Value, a: Value, b: Value) -> Value | None:
    factor = _number(b)
    if factor is None or factor < 1 or factor & (factor - 1):
        return None
    return a if factor == 1 else o.make("shl", (a,), v.type, count=factor.bit_length() - 1)


def _neutral_zero(o: _Optimiser, v: Value, a: Value, b: Value) -> Value | None:
    return a if _number(b) == 0 else None


def _subtract(o: _Optimiser, v: Value, a: Value, b: Value) -> Value | None:
    return o.constant(0, t.BOOL) if a is b else _neutral_zero(o, v, a, b)


def _and(o: _Optimiser, v: Value, a: Value, b: Value) -> Value | None:
    mask = _number(b)
    low, high = o.range(a)
    ones = (1 << high.bit_length()) - 1
    return a if a is b or (mask is not None and low >= 0 and mask & ones == ones) else None


def _or(o: _Optimiser, v: Value, a: Value, b: Value) -> Value | None:
    return a if a is b else _neutral_zero(o, v, a, b)


def _exclusive_or(o: _Optimiser, v: Value, a: Value, b: Value) -> Value | None:
    return o.constant(0, t.BOOL) if a is b else _neutral_zero(o, v, a, b)


def _shift(o: _Optimiser, v: Value, a: Value) -> Value | None:
    if v.attrs["count"] == 0:
        return a
    return o.make(v.op, a.args, v.type, count=a.attrs["count"] + v.attrs["count"]) if a.op == v.op == "shl" else None


def _wrap(o: _Optimiser, v: Value, a: Value) -> Value | None:
    low, high = o.range(a)
    if v.type.low <= low and high <= v.type.high:
        return a
    outer = a.op == "wrap" and a.type.width >= v.type.width
    return o.make("wrap", a.args, v.type) if outer else None


def _bits(o: _Optimiser, v: Value, a: Value) -> Value | None:
    low, high = o.range(a)
    if v.attrs["start"] == 0 and low >= 0 and high <= v.type.high:
        return a
    if a.op != "bits":
        return None
    width = min(v.type.width, a.type.width - v.attrs["start"])
    if width < 1:
        return o.constant(0, t.BOOL)
    return o.make("bits", a.args, UInt(width), start=a.attrs["start"] + v.attrs["start"])


def _clamp(o: _Optimiser, v: Value, a: Value) -> Value | None:
    low, high = o.range(a)
    return a if v.attrs["low"] <= low and high <= v.attrs["high"] else None


def _compare(certain: Callable[[int, int, int, int], bool | None]) -> Callable[..., Value | None]:
    """Comparison that may be certain from the smallest and largest values of its operands."""

    def rule(o: _Optimiser, v: Value, a: Value, b: Value) -> Value | None:
        truth = certain(*o.range(a), *o.range(b))
        return None if truth is None else o.constant(int(truth), t.BOOL)

    return rule


def _less(a_low: int, a_high: int, b_low: int, b_high: int) -> bool | None:
    return True if a_high < b_low else False if a_low >= b_high else None


def _at_most(a_low: int, a_high: int, b_low: int, b_high: int) -> bool | None:
    return True if a_high <= b_low else False if a_low > b_high else None


def _equal(a_low: int, a_high: int, b_low: int, b_high: int) -> bool | None:
    return False if a_high < b_low or b_high < a_low else None


_RULES: dict[str, Callable[..., Value | None]] = {
    "mul": _multiply,
    "add": _add,
    "neg": _negate,
    "abs": _absolute,
    "convert": _convert,
    "select": _select,
    "not": _not,
    "imul": _integer_multiply,
    "iadd": _neutral_zero,
    "isub": _subtract,
    "and": _and,
    "or": _or,
    "xor": _exclusive_or,
    "shl": _shift,
    "shr": _shift,
    "wrap": _wrap,
    "bits": _bits,
    "clamp": _clamp,
    "ilt": _compare(_less),
    "ile": _compare(_at_most),
    "ieq": _compare(_equal),
}
"""For each operation what makes it simpler, given its new operands; None where nothing does."""
