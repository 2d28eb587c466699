"""The dataflow graph of a kernel, and the operators that build it.

A node is a :class:`Value`. It knows which *phase* it belongs to (how many packet reductions lie before it), whether it
differs from beat to beat (``per_beat``) and from lane to lane (``per_lane``).
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from rtlm.hw.hls import types as t
from rtlm.hw.hls.errors import INSTEAD, caller_place, refuse_numpy, refused
from rtlm.hw.hls.nest import traced
from rtlm.hw.hls.types import Float, SInt, Type, UInt

_LARGEST_ARITHMETIC = 63


class Composite:
    """What is made of several values, or of one and more, and has operators of its own, also with a single value."""

    __hash__ = object.__hash__
    __array_ufunc__ = None  # NumPy's numbers leave operators to this class

    def _combined(self, other: Any, function: Callable[[Any, Any], Any]) -> Any:
        """Sum, difference, product, logic of this and another operand; or NotImplemented."""
        raise NotImplementedError

    def _compared(self, other: Any, function: Callable[[Any, Any], Any]) -> Any:
        """Comparison of this and another operand; or NotImplemented."""
        raise NotImplementedError

    def __invert__(self) -> Any:
        raise TypeError("~ negates a condition (UInt(1)).")

    def __add__(self, other):
        return self._combined(other, operator.add)

    def __radd__(self, other):
        return self._combined(other, lambda a, b: b + a)

    def __sub__(self, other):
        return self._combined(other, operator.sub)

    def __rsub__(self, other):
        return self._combined(other, lambda a, b: b - a)

    def __lt__(self, other):
        return self._compared(other, operator.lt)

    def __le__(self, other):
        return self._compared(other, operator.le)

    def __gt__(self, other):
        return self._compared(other, operator.gt)

    def __ge__(self, other):
        return self._compared(other, operator.ge)

    def __eq__(self, other):
        return self._compared(other, operator.eq)

    def __ne__(self, other):
        return self._compared(other, operator.ne)


def _binary(method: Callable) -> Callable:
    """Leave an operator to what else knows values, such as a vector of them."""

    @functools.wraps(method)
    def leave(self: Value, other: Any) -> Any:
        return NotImplemented if isinstance(other, Composite) else method(self, other)

    return leave


class Value:
    """One result in the graph: operation, operands, type.

    Users get values as arguments of a kernel and combine them with Python operators.
    """

    __hash__ = object.__hash__

    type: Any
    """A `Type`; the operation settles whether it is a float or an integer, so a union would be asked at every use."""

    def __init__(self, op: str, args: tuple[Value, ...], type_: Type, **attrs: Any):
        self.op, self.args, self.type, self.attrs = op, args, type_, attrs
        if op in REDUCTIONS or op in STATEFUL:
            nest = traced()
            if nest is not None:
                nest.note(op)
        self.phase: int = max((a.phase for a in args), default=0) + (op in REDUCTIONS)
        if op == "arg":
            self.per_beat, self.per_lane = not attrs.get("steady"), not attrs["shared"]
        elif op in STATEFUL or op == "state":
            self.per_beat = self.per_lane = True
        else:
            self.per_beat = op not in REDUCTIONS and any(a.per_beat for a in args)
            self.per_lane = op not in REDUCTIONS and any(a.per_lane for a in args)

    def __repr__(self) -> str:
        return f"<{self.op}: {self.type}>"

    def __bool__(self) -> bool:
        raise TypeError(
            "A kernel value has no truth in Python: use select(condition, a, b) instead of if, & and | instead of and "
            "and or, maximum and minimum instead of max and min, from rtlm.hw.hls."
        )

    def __array_ufunc__(self, function, method, *inputs, **options):
        """Operators between NumPy's numbers and values; no other function of NumPy."""
        if method == "__call__" and function.__name__ in _NUMPY_OPERATORS and not options:
            # NumPy has made an array of its number.
            operands = (x.item() if getattr(x, "ndim", None) == 0 else x for x in inputs)
            return _NUMPY_OPERATORS[function.__name__](*operands)
        raise refuse_numpy(function.__name__ if method == "__call__" else method)

    def __float__(self):
        raise TypeError(
            "Python's float() and the functions of math take numbers, not the values of a kernel; write exp, exp2, "
            "sqrt, rsqrt or recip, from rtlm.hw.hls."
        )

    __int__ = __index__ = refused(
        "int(), index or range()",
        "to_int(x, width) to round, table(i, values, type) to look up, for i in loop(n) to repeat",
    )
    __round__ = __trunc__ = __floor__ = __ceil__ = refused("round()", "to_int(x, width), which rounds to nearest even")
    __iter__ = __getitem__ = __len__ = refused(
        "loops over values, or parts of them", "bits(i, start, stop) for bits, previous(x, n) for an element before"
    )
    __pow__ = __rpow__ = refused("**", INSTEAD["power"])
    __rfloordiv__ = __rdivmod__ = refused("// by a value", INSTEAD["floor_divide"])
    __rmod__ = refused("% by a value", INSTEAD["remainder"])
    __matmul__ = __rmatmul__ = refused("@ of single values", INSTEAD["matmul"])

    def __rlshift__(self, number):
        return shift_left(as_value(number, self.type), self)

    def __rrshift__(self, number):
        return as_value(number, self.type) >> self

    def __floordiv__(self, divisor: int):
        return divide_by(self, divisor)[0]

    def __mod__(self, divisor: int):
        return divide_by(self, divisor)[1]

    def __divmod__(self, divisor: int):
        return divide_by(self, divisor)

    @_binary
    def __add__(self, other):
        return add(self, other)

    @_binary
    def __radd__(self, other):
        return add(other, self)

    @_binary
    def __sub__(self, other):
        return subtract(self, other)

    @_binary
    def __rsub__(self, other):
        return subtract(other, self)

    @_binary
    def __mul__(self, other):
        return multiply(self, other)

    @_binary
    def __rmul__(self, other):
        return multiply(other, self)

    @_binary
    def __truediv__(self, other):
        return divide(self, other)

    @_binary
    def __rtruediv__(self, other):
        return divide(other, self)

    def __neg__(self):
        if isinstance(self.type, Float):
            return Value("neg", (self,), self.type)
        return Value("ineg", (self,), SInt(arithmetic_width(self.type.width + 1)))

    def __abs__(self):
        if isinstance(self.type, Float):
            return Value("abs", (self,), self.type)
        return self if isinstance(self.type, UInt) else select(self < 0, wrap_to(-self, self.type.width), self)

    @_binary
    def __lt__(self, other):
        return compare("lt", self, other)

    @_binary
    def __le__(self, other):
        return compare("le", self, other)

    @_binary
    def __gt__(self, other):
        return compare("lt", other, self)

    @_binary
    def __ge__(self, other):
        return compare("le", other, self)

    @_binary
    def __eq__(self, other):
        return compare("eq", self, other)

    @_binary
    def __ne__(self, other):
        return Value("not", (compare("eq", self, other),), t.BOOL)

    def __lshift__(self, count: int | Value):
        need_int(self, "<<")
        if isinstance(count, Value):
            return shift_left(self, count)
        _need_count(count)
        return Value("shl", (self,), type(self.type)(arithmetic_width(self.type.width + count)), count=count)

    def __rshift__(self, count: int | Value):
        need_int(self, ">>")
        if isinstance(count, Value):
            return Value("shrv", (self, _need_distance(count)), self.type)
        _need_count(count)
        return Value("shr", (self,), type(self.type)(max(1, self.type.width - count)), count=count)

    @_binary
    def __and__(self, other):
        return _logic("and", self, other)

    @_binary
    def __or__(self, other):
        return _logic("or", self, other)

    @_binary
    def __xor__(self, other):
        return _logic("xor", self, other)

    __rand__, __ror__, __rxor__ = __and__, __or__, __xor__

    def __invert__(self):
        if self.type != t.BOOL:
            raise TypeError(f"~ negates a condition (UInt(1)); this value is {self.type}.")
        return Value("not", (self,), t.BOOL)


REDUCTIONS = ("reduce_sum", "reduce_max", "reduce_last")
"""Operations with one result a packet."""
STATEFUL = ("index", "previous", "scan")
"""Operations whose result depends on the elements before in the packet."""


def constant(value: Any, type_: Type) -> Value:
    """Constant of ``type_``; a Python number is rounded to a float format and must fit an integer format.

    Raises
    ------
    TypeError
        If it is no number, or none that the type has: finite and too large for a float format, or too small.
    """
    if not isinstance(value, int | float | np.integer | np.floating):
        raise TypeError(f"{value!r} is neither a kernel value nor a number.")
    if isinstance(type_, Float):
        return Value("const", (), type_, value=_round_constant(value, type_))
    if not math.isfinite(value) or int(value) != value or not type_.low <= value <= type_.high:
        raise TypeError(f"{value!r} is not a value of {type_}, which holds the integers {type_.low} to {type_.high}.")
    return Value("const", (), type_, value=int(value))


def _round_constant(value: Any, type_: Float) -> float:
    """Nearest number of a float format; neither infinity nor zero stand for what is out of its range."""
    try:
        exact = float(value)
        rounded = float(t.round_to(exact, type_))
        inside = math.isinf(rounded) == math.isinf(exact) and (rounded == 0) == (exact == 0)
    except OverflowError:  # an integer that no Python float holds
        inside = False
    if not inside:
        raise TypeError(
            f"The constant {value!r} is out of the range of {type_}, whose numbers other than 0 are from "
            f"{type_.smallest:.4g} to {type_.largest:.4g} in size."
        )
    return rounded


def as_value(value: Any, like: Type) -> Value:
    """``value`` itself, or a Python number as a constant that fits an operation with ``like``."""
    if isinstance(value, Value):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is neither a kernel value nor a Python number.")
    if isinstance(like, Float):
        return constant(value, like)
    if isinstance(value, float):
        raise TypeError(f"{value!r} meets an integer ({like}): turn the integer into a float first, with to_float.")
    return constant(value, t.int_type(min(value, 0) if value < 0 else 0, max(value, 0)))


def pair(name: str, a: Any, b: Any) -> tuple[Value, Value]:
    """Both operands as values of one kind: the same float format, or two integers."""
    if not isinstance(a, Value):
        a = as_value(a, b.type)
    b = as_value(b, a.type)
    if a.type != b.type and (isinstance(a.type, Float) or isinstance(b.type, Float)):
        raise TypeError(f"{name} got {a.type} and {b.type}: bring both to one type with convert, to_float or to_int.")
    return a, b


def need_float(value: Value, name: str) -> None:
    """Refuse an integer operand."""
    if not isinstance(value.type, Float):
        raise TypeError(f"{name} takes a float, not {value.type}: use to_float first.")


def need_int(value: Value, name: str) -> None:
    """Refuse a float operand."""
    if isinstance(value.type, Float):
        raise TypeError(f"{name} takes an integer, not {value.type}: use to_int first.")


def _need_count(count: Any) -> None:
    """Refuse a shift that is not by a fixed number of bits."""
    if not isinstance(count, int) or count < 0:
        raise TypeError(f"A shift is by a Python integer from 0, not by {count!r}; ldexp(x, i) scales a float.")


def _need_distance(count: Value) -> Value:
    """Refuse a distance of a shift that is not a small unsigned number."""
    if not isinstance(count.type, UInt) or count.type.width > 6:
        raise TypeError(f"The distance of a shift is unsigned with at most 6 bits, not {count.type}: wrap or clamp it.")
    return count


def shift_left(value: Value, count: Value) -> Value:
    """``value * 2**count``, as wide as the largest distance needs."""
    need_int(value, "<<")
    width = arithmetic_width(value.type.width + _need_distance(count).type.high)
    return Value("shlv", (value, count), type(value.type)(width))


def divide_by(value: Value, divisor: Any) -> tuple[Value, Value]:
    """Quotient rounded down, and remainder, for a divisor that is a positive number of Python.

    Powers of two are wires. Else the quotient is a product with a reciprocal, exact for every dividend: with an
    unsigned dividend of ``n`` bits, ``m = 2**(n + k) // d + 1`` for ``2**k >= d`` gives ``q = x * m >> (n + k)``
    (Granlund and Montgomery, "Division by invariant integers using multiplication", PLDI 1994, theorem 4.2).
    """
    need_int(value, "// and %")
    if isinstance(divisor, bool) or not isinstance(divisor, int) or divisor < 1:
        raise TypeError(f"// and % take a positive integer of Python as divisor, not {divisor!r}.")
    k = (divisor - 1).bit_length()
    if divisor == 1 << k:
        remainder = wrap_to(value, k) if k else Value("const", (), UInt(1), value=0)
        return value >> k, remainder
    if isinstance(value.type, SInt):
        # -1 - x is as far below 0 as x above it, so that both signs share the unsigned quotient: ~((~x) // d).
        negative = value < 0
        size = select(negative, -1 - value, value)
        quotient = divide_by(wrap_to(size, max(1, value.type.width - 1)), divisor)[0]
        quotient = select(negative, -1 - quotient, quotient)
    else:
        bits_ = value.type.width
        factor = (1 << (bits_ + k)) // divisor + 1
        product = multiply(value, as_value(factor, value.type))
        quotient = product >> (bits_ + k)
    remainder = value - quotient * divisor
    return quotient, wrap_to(remainder, max(1, k))


def arithmetic_width(width: int) -> int:
    """``width``, if integer arithmetic goes that far."""
    if width > _LARGEST_ARITHMETIC:
        raise TypeError(
            f"This integer expression needs {width} bits; arithmetic goes to {_LARGEST_ARITHMETIC}: clamp or wrap."
        )
    return width


def wrap_to(value: Value, width: int) -> Value:
    """Low ``width`` bits as an unsigned integer."""
    return Value("wrap", (value,), UInt(width))


def _common(a: Value, b: Value) -> Type:
    """Integer type that holds both operands."""
    return t.int_type(min(a.type.low, b.type.low), max(a.type.high, b.type.high))


def add(a: Any, b: Any) -> Value:
    """Sum."""
    a, b = pair("+", a, b)
    if isinstance(a.type, Float):
        return Value("add", (a, b), a.type)
    both = _common(a, b)
    return Value("iadd", (a, b), type(both)(arithmetic_width(both.width + 1)))


def subtract(a: Any, b: Any) -> Value:
    """Difference."""
    a, b = pair("-", a, b)
    if isinstance(a.type, Float):
        return Value("add", (a, -b), a.type)
    return Value("isub", (a, b), SInt(arithmetic_width(_common(a, b).width + 1)))


def multiply(a: Any, b: Any) -> Value:
    """Product."""
    a, b = pair("*", a, b)
    if isinstance(a.type, Float):
        return Value("mul", (a, b), a.type)
    kind = SInt if SInt in (type(a.type), type(b.type)) else UInt
    return Value("imul", (a, b), kind(arithmetic_width(a.type.width + b.type.width)))


def divide(a: Any, b: Any) -> Value:
    """``a * recip(b)``: not the correctly rounded quotient (:mod:`rtlm.hw.hls.functions` bounds recip)."""
    one = not isinstance(a, Value) and a == 1
    a, b = pair("/", a, b)
    need_float(a, "/")
    reciprocal = Value("recip", (b,), b.type)
    return reciprocal if one else multiply(a, reciprocal)


def compare(op: str, a: Any, b: Any) -> Value:
    """Comparison; with a NaN every comparison but ``!=`` is false."""
    a, b = pair("A comparison", a, b)
    return Value(op if isinstance(a.type, Float) else "i" + op, (a, b), t.BOOL)


_NUMPY_OPERATORS: dict[str, Callable] = {
    "add": add,
    "subtract": subtract,
    "multiply": multiply,
    "divide": divide,
    "less": lambda a, b: compare("lt", a, b),
    "less_equal": lambda a, b: compare("le", a, b),
    "greater": lambda a, b: compare("lt", b, a),
    "greater_equal": lambda a, b: compare("le", b, a),
    "equal": lambda a, b: compare("eq", a, b),
    "not_equal": lambda a, b: ~compare("eq", a, b),
}
"""What NumPy calls the operators, by which a number of NumPy meets a value."""


def _logic(op: str, a: Any, b: Any) -> Value:
    a, b = pair(op, a, b)
    need_int(a, op)
    return Value(op, (a, b), _common(a, b))


def select(condition: Value, a: Any, b: Any) -> Value:
    """``a`` where the condition holds, else ``b``."""
    if not isinstance(condition, Value) or condition.type != t.BOOL:
        raise TypeError("select takes a condition (UInt(1), for instance a comparison) as its first argument.")
    if not isinstance(a, Value) and not isinstance(b, Value):
        raise TypeError("select needs at least one kernel value among its alternatives: use constant(value, type).")
    a, b = pair("select", a, b)
    return Value("select", (condition, a, b), a.type if isinstance(a.type, Float) else _common(a, b))


@dataclass(frozen=True, eq=False)
class Operator:
    """Values that a step makes of those that stand for what is on its left and on its right."""

    left: list[Value]
    right: list[Value]
    results: list[Value]


@dataclass(frozen=True, eq=False)
class Associative:
    """A step whose elements combine before they meet the state.

    Parameters
    ----------
    elements
        What an element of the packet brings, computed from what the step reads beside its state.
    combine
        Of neighbours' elements, the earlier ones on the left.
    apply
        Of the state and the elements behind it.
    """

    elements: list[Value]
    combine: Operator
    apply: Operator


class Recurrence:
    """What the elements of a packet hand on to each other, and the step from one to the next.

    Parameters
    ----------
    states
        Values of operation ``state`` that stand for the states before an element.
    results
        The states behind it, of the same types.
    initial
        Constants: the states before a packet's first element.
    place
        File and line that ask for it; those of the caller if it is None.
    associative
        How elements combine before they meet the state, if they do (:class:`Associative`).
    """

    def __init__(
        self,
        states: list[Value],
        results: list[Value],
        initial: list[Value],
        *,
        place: str | None = None,
        associative: Associative | None = None,
    ):
        self.states, self.results, self.initial, self.associative = states, results, initial, associative
        self.place = place or caller_place()
        inner = {id(v) for v in states}
        self.order: list[Value] = []
        """What depends on the states, operands first."""
        self.outside: list[Value] = []
        """What the step reads beside the states."""
        seen: set[int] = set()
        for v in topological([*states, *results]):
            if v.op != "state" and any(id(a) in inner for a in v.args):
                if v.op in (*REDUCTIONS, *STATEFUL, "read"):
                    raise TypeError(
                        "A step is arithmetic: what it computes from a state cannot go through another "
                        "scan, fold, previous, memory or reduction."
                    )
                inner.add(id(v))
                self.order.append(v)
        elements = associative.elements if associative else []
        for operand in [*(a for v in self.order for a in v.args), *results, *elements]:
            if id(operand) not in inner and id(operand) not in seen:
                seen.add(id(operand))
                self.outside.append(operand)


class Graph:
    """A traced kernel: arguments, results, and which results vary."""

    def __init__(self, args: list[Value], results: list[Value]):
        self.args, self.results = args, results
        self.order = topological(results)
        self.reduces = any(v.op in REDUCTIONS for v in self.order)
        self.framed = self.reduces or any(v.op in STATEFUL for v in self.order)
        """Whether beats belong to packets: the streams then have a field `last`."""
        self.reads = [v for v in self.order if v.op == "read"]
        """Reads of memories."""
        if any(v.op == "state" for v in self.order):
            raise TypeError("A state is known inside its step only: use what scan or fold returns.")
        self.once_per_packet = self.reduces and not any(r.per_beat for r in results)
        self.phases = 1 + max(v.phase for v in [*self.order, *args])

    def is_scanned(self, recurrence: Recurrence) -> bool:
        """Return whether states behind other elements than a packet's last are used."""

        def of(v: Value) -> bool:
            return v.op == "scan" and v.attrs["recurrence"] is recurrence

        return any(of(r) for r in self.results) or any(
            v.op != "reduce_last" and any(of(a) for a in v.args) for v in self.order
        )


def topological(results: list[Value]) -> list[Value]:
    """Every value the results depend on, operands first."""
    order: list[Value] = []
    seen: set[int] = set()
    stack = [(r, False) for r in reversed(results)]
    while stack:
        value, done = stack.pop()
        if done:
            order.append(value)
        elif id(value) not in seen:
            seen.add(id(value))
            stack.append((value, True))
            stack.extend((a, False) for a in reversed(value.args))
    return order
