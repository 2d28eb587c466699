"""What a kernel says about the order of a packet's elements: where one stands, what came before, what they sum up to.

Element ``k`` of a packet is beat ``k // lanes``, lane ``k % lanes``; results never depend on the number of lanes.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import repeat
from typing import Any

from rtlm.hw.hls import types as t
from rtlm.hw.hls.fixed import FixedValue
from rtlm.hw.hls.graph import Associative, Operator, Recurrence, Value, as_value, constant, select
from rtlm.hw.hls.language import per_lane
from rtlm.hw.hls.types import Int, Type, UInt
from rtlm.hw.hls.vectors import Vector, elementwise, gathered, scattered

LONGEST_HISTORY = 4096


def index(type_: Int) -> Value:
    """Number of the element in its packet, from 0, modulo ``2**width``."""
    if not isinstance(type_, UInt):
        raise TypeError(f"index counts in an unsigned type such as UInt(10), not {type_}.")
    return Value("index", (), type_)


@elementwise
def previous(x: Value, n: int = 1, initial: Any = 0) -> Value:
    """Element ``n`` places before in the packet (``x[k - n]``); ``initial`` where the packet has none."""
    per_lane(x, "previous")
    if not isinstance(n, int) or not 0 <= n <= LONGEST_HISTORY:
        raise TypeError(f"previous goes back by a number of Python from 0 to {LONGEST_HISTORY}, not {n!r}.")
    first = constant(initial, x.type).attrs["value"]
    return Value("previous", (x,), x.type, count=n, initial=first) if n else x


def window(x: Any, n: int, initial: Any = 0) -> Vector:
    """The element and the ``n - 1`` before it, newest first."""
    if not isinstance(n, int) or n < 1:
        raise TypeError(f"window has a length of at least 1, not {n!r}.")
    return Vector([previous(x, k, initial) for k in range(n)])


def scan(step: Callable[..., Any], initial: Any, *xs: Any, associative: bool = False) -> Any:
    """State after each element: ``state = step(state, *xs)``, from ``initial`` at a packet's first element.

    Parameters
    ----------
    step
        Function of the state and one element of each of `xs`; returns the new state, of the same types. A state of
        several parts is a tuple, a Vector, or tuples of these; the step gets and returns the same form.
    initial
        State before the first element: a typed constant (``constant(0, SInt(32))``, ``zeros(Vec[T, n])``), or a tuple.
    *xs
        Values of the stream.
    associative
        The step is an associative operator, to the last bit, of two operands of the state's types: its elements may
        combine in a tree before they meet the state. Sums that wrap, ``&``, ``|``, ``^``, maximum and minimum need not
        be told.
    """
    return _rebuilt(initial, iter(_recur(step, initial, xs, associative)))


def fold(
    step: Callable[..., Any],
    initial: Any,
    *xs: Any,
    key: Value | None = None,
    keys: int = 0,
    associative: bool = False,
) -> Any:
    """State after a packet's last element (:func:`scan`): one result a packet.

    Parameters
    ----------
    step, initial, *xs, associative
        As of :func:`scan`.
    key, keys
        There are `keys` states, and an element goes into the one that `key` counts; the result is a Vector of them.
    """
    if key is not None:
        if associative:
            raise TypeError("fold takes key or associative, not both: a key leaves the states of other keys alone.")
        return _by_key(step, initial, xs, key, keys)
    return _rebuilt(initial, (Value("reduce_last", (r,), r.type) for r in _recur(step, initial, xs, associative)))


def _by_key(step: Callable[..., Any], initial: Any, xs: tuple, key: Value, keys: int) -> Vector:
    if not isinstance(key, Value) or not isinstance(key.type, UInt) or not 1 <= keys <= key.type.high + 1:
        raise TypeError(f"fold takes an unsigned key and at most as many keys as it counts, not {key!r} and {keys!r}.")

    def of(number: int) -> Callable[..., Any]:
        here = key == number

        def only_here(state: Any, *elements: Any) -> Any:
            new = scattered(step(state, *elements))
            return _rebuilt(state, (select(here, a, b) for a, b in zip(new, scattered(state), strict=True)))

        return only_here

    return Vector([fold(of(number), initial, *xs) for number in range(keys)])


def filled(type_: Type | t.Fixed | t.VectorType, value: Any) -> Any:
    """Typed constant, or a Vector of equal ones: a state to begin with."""
    number = type_.number if isinstance(type_, t.VectorType) else type_
    if isinstance(number, t.Fixed):
        return gathered(type_, repeat(constant(value * 2.0**number.fraction, number.leaf)))
    return gathered(type_, repeat(constant(value, number)))


def zeros(type_: Type | t.Fixed | t.VectorType) -> Any:
    """Typed zero, or a Vector of them: the state before a sum."""
    return filled(type_, 0)


def _rebuilt(form: Any, values: Any) -> Any:
    """Values in the form of a state."""
    if isinstance(form, tuple) and hasattr(form, "_fields"):
        return type(form)(*(_rebuilt(part, values) for part in form))
    if isinstance(form, tuple | list):
        return tuple(_rebuilt(part, values) for part in form)
    if isinstance(form, Vector):
        return Vector([_rebuilt(part, values) for part in form])
    if isinstance(form, FixedValue):
        return FixedValue(next(values), form.fraction)
    return next(values)


def _recur(step: Callable[..., Any], initial: Any, xs: tuple, associative: bool) -> list[Value]:
    """Trace a step; returns the states behind each element."""
    first = scattered(initial)
    for value in first:
        if not isinstance(value, Value) or value.op != "const":
            raise TypeError(
                "The initial state is a typed constant such as constant(0, SInt(32)) or zeros(Vec[T, n]), not "
                f"{value!r}."
            )
    states = [Value("state", (), value.type, number=n) for n, value in enumerate(first)]
    new = scattered(step(_rebuilt(initial, iter(states)), *xs))
    if len(new) != len(states):
        raise TypeError(f"The step returns {len(new)} values for a state of {len(states)}.")
    results = [as_value(value, state.type) for value, state in zip(new, states, strict=True)]
    for value, state in zip(results, states, strict=True):
        if value.type != state.type:
            raise TypeError(
                f"The step makes {value.type} of a state of {state.type}: it has to stay of one type, with wrap, "
                "clamp, convert or to_int."
            )
    combines = _combines(step, initial, xs, states) if associative else None
    recurrence = Recurrence(states, results, first, associative=combines)
    args = tuple(recurrence.outside)
    return [Value("scan", args, s.type, recurrence=recurrence, part=n) for n, s in enumerate(states)]


def _combines(step: Callable[..., Any], initial: Any, xs: tuple, states: list[Value]) -> Associative:
    """Trace an associative step between elements."""
    elements = scattered(xs)
    types = [state.type for state in states]
    if [getattr(x, "type", None) for x in elements] != types:
        raise TypeError(
            f"An associative step takes elements of the types of its state, {', '.join(map(str, types))}, not "
            f"{', '.join(str(getattr(x, 'type', type(x).__name__)) for x in elements)}."
        )
    left, right = ([Value("state", (), type_, number=n) for n, type_ in enumerate(types)] for _ in range(2))
    new = scattered(step(_rebuilt(initial, iter(left)), *_rebuilt(xs, iter(right))))
    operator = Operator(left, right, [as_value(v, type_) for v, type_ in zip(new, types, strict=True)])
    for v in Recurrence([*left, *right], operator.results, []).outside:
        if v.per_lane and v.op != "state":
            raise TypeError(
                "What differs between elements is among the operands of an associative step, not beside them."
            )
    return Associative(elements, operator, operator)
