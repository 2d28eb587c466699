"""Tracing: a Python function over typed values becomes a dataflow graph.

A node is a :class:`Value`. It knows which *phase* it belongs to (how many packet reductions lie before it), whether it
differs from beat to beat (``per_beat``) and from lane to lane (``per_lane``).
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from rtlm.hw.hls import types as t
from rtlm.hw.hls.errors import INSTEAD, KernelError, kernel_error, refuse_numpy, refused
from rtlm.hw.hls.types import Float, SInt, Type, UInt

_LARGEST_ARITHMETIC = 63


class Value:
    """One result in the graph: operation, operands, type.

    Users get values as arguments of a kernel and combine them with Python operators.
    """

    __hash__ = object.__hash__

    type: Any
    """A `Type`; the operation settles whether it is a float or an integer, so a union would be asked at every use."""

    def __init__(self, op: str, args: tuple[Value, ...], type_: Type, **attrs: Any):
        self.op, self.args, self.type, self.attrs = op, args, type_, attrs
        self.phase: int = max((a.phase for a in args), default=0) + (op in REDUCTIONS)
        if op == "arg":
            self.per_beat, self.per_lane = True, not attrs["shared"]
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

    __int__ = __index__ = refused("int() or index", "to_int(x, width) to round, table(i, values, type) to look up")
    __round__ = __trunc__ = __floor__ = __ceil__ = refused("round()", "to_int(x, width), which rounds to nearest even")
    __iter__ = __getitem__ = __len__ = refused("loops over values, or parts of them", "bits(i, start, stop) for bits")
    __pow__ = __rpow__ = refused("**", INSTEAD["power"])
    __floordiv__ = __rfloordiv__ = __divmod__ = __rdivmod__ = refused("//", INSTEAD["floor_divide"])
    __mod__ = __rmod__ = refused("%", INSTEAD["remainder"])
    __matmul__ = __rmatmul__ = refused("@", INSTEAD["matmul"])
    __rlshift__ = __rrshift__ = refused("shift by a value", "table(i, values, type), or ldexp(x, i) for a float")

    def __add__(self, other):
        return add(self, other)

    def __radd__(self, other):
        return add(other, self)

    def __sub__(self, other):
        return subtract(self, other)

    def __rsub__(self, other):
        return subtract(other, self)

    def __mul__(self, other):
        return multiply(self, other)

    def __rmul__(self, other):
        return multiply(other, self)

    def __truediv__(self, other):
        return divide(self, other)

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

    def __lt__(self, other):
        return compare("lt", self, other)

    def __le__(self, other):
        return compare("le", self, other)

    def __gt__(self, other):
        return compare("lt", other, self)

    def __ge__(self, other):
        return compare("le", other, self)

    def __eq__(self, other):
        return compare("eq", self, other)

    def __ne__(self, other):
        return Value("not", (compare("eq", self, other),), t.BOOL)

    def __lshift__(self, count: int):
        need_int(self, "<<")
        _need_count(count)
        return Value("shl", (self,), type(self.type)(arithmetic_width(self.type.width + count)), count=count)

    def __rshift__(self, count: int):
        need_int(self, ">>")
        _need_count(count)
        return Value("shr", (self,), type(self.type)(max(1, self.type.width - count)), count=count)

    def __and__(self, other):
        return _logic("and", self, other)

    def __or__(self, other):
        return _logic("or", self, other)

    def __xor__(self, other):
        return _logic("xor", self, other)

    __rand__, __ror__, __rxor__ = __and__, __or__, __xor__

    def __invert__(self):
        if self.type != t.BOOL:
            raise TypeError(f"~ negates a condition (UInt(1)); this value is {self.type}.")
        return Value("not", (self,), t.BOOL)


REDUCTIONS = ("reduce_sum", "reduce_max")


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


class Graph:
    """A traced kernel: arguments, results, and which results vary."""

    def __init__(self, args: list[Value], results: list[Value]):
        self.args, self.results = args, results
        self.order = topological(results)
        self.reduces = any(v.op in REDUCTIONS for v in self.order)
        self.once_per_packet = self.reduces and not any(r.per_beat for r in results)
        self.phases = 1 + max(v.phase for v in [*self.order, *args])


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


class Kernel:
    """A function over typed values: call it inside another kernel, or use its model, schedule and component."""

    def __init__(self, function: Callable):
        functools.update_wrapper(self, function)
        self.function, self.name = function, function.__name__
        signature = inspect.signature(function, eval_str=True)
        self.arguments: dict[str, tuple[Type, bool]] = {}
        for name, parameter in signature.parameters.items():
            shared = isinstance(parameter.annotation, t._SharedType)
            type_ = parameter.annotation.type if shared else parameter.annotation
            if parameter.kind is not parameter.POSITIONAL_OR_KEYWORD:
                raise self._error(f"Kernel {self.name} has an argument {parameter}: only plain ones, as x: F32, are.")
            if not isinstance(type_, Float | SInt | UInt):
                raise self._error(
                    f"Argument {name} of kernel {self.name} needs a type annotation such as F32, SInt(8), Shared[F32]."
                )
            self.arguments[name] = (type_, shared)
        self._result(signature.return_annotation)
        if not self.arguments:
            raise self._error(f"Kernel {self.name} has no arguments: a pipeline needs at least one, such as x: F32.")
        for name in [*self.arguments, *self.results]:
            if name in ("last", "tag"):
                raise self._error(f"Kernel {self.name} cannot call a value {name}: the streams use that name.")

    def _error(self, text: str) -> KernelError:
        """Error in the signature."""
        return kernel_error(self.function, text, line=self.function.__code__.co_firstlineno)

    def _body_error(self, text: str, cause: BaseException | None = None) -> KernelError:
        """Error in the body: where it was raised, or at the end, with what is returned."""
        last = max(line for _, _, line in self.function.__code__.co_lines() if line)
        return kernel_error(self.function, text, line=last, cause=cause)

    def _result(self, annotation: Any) -> None:
        self.result_class = None
        if isinstance(annotation, Float | SInt | UInt):
            self.results = {"result": annotation}
            return
        if isinstance(annotation, type) and issubclass(annotation, tuple) and hasattr(annotation, "_fields"):
            hints = inspect.get_annotations(annotation, eval_str=True)
            self.results, self.result_class = {name: hints[name] for name in annotation._fields}, annotation
        else:
            items = annotation if isinstance(annotation, tuple) else getattr(annotation, "__args__", ())
            self.results = {f"result{i}": item for i, item in enumerate(items)}
            self.result_class = tuple
        if not self.results or not all(isinstance(r, Float | SInt | UInt) for r in self.results.values()):
            raise self._error(
                f"Kernel {self.name} needs a return annotation: one type, tuple[A, B], or a NamedTuple of types."
            )

    def pack(self, values: list[Any]) -> Any:
        """Results in the form the annotation asks for."""
        if self.result_class is None:
            return values[0]
        return tuple(values) if self.result_class is tuple else self.result_class(*values)

    def __call__(self, *args: Any, **named: Any) -> Any:
        """Trace the kernel inside another one."""
        if not any(isinstance(a, Value) for a in [*args, *named.values()]):
            raise TypeError(
                f"Kernel {self.name} was called with numbers: use {self.name}.model(...) to evaluate arrays."
            )
        bound = inspect.signature(self.function).bind(*args, **named)
        values = []
        for (name, (type_, _)), value in zip(self.arguments.items(), bound.args, strict=True):
            value = value if isinstance(value, Value) else constant(value, type_)
            if value.type != type_:
                raise TypeError(f"Argument {name} of kernel {self.name} is {type_}, but got {value.type}.")
            values.append(value)
        return self.pack(self._trace(values))

    def _trace(self, values: list[Value]) -> list[Value]:
        try:
            returned = self.function(*values)
        except KernelError:  # of a kernel that this one calls
            raise
        except Exception as error:
            text = str(error) if isinstance(error, TypeError | ValueError) else f"{type(error).__name__}: {error}"
            raise self._body_error(text, error) from error
        items = list(returned) if isinstance(returned, tuple | list) else [returned]
        if returned is None:
            raise self._body_error(f"Kernel {self.name} returns nothing: it ends with return and its result.")
        if len(items) != len(self.results) or (self.result_class is None and items[0] is not returned):
            raise self._body_error(
                f"Kernel {self.name} returns {_listed(items)} but is annotated with "
                f"{', '.join(str(type_) for type_ in self.results.values())}."
            )
        out = []
        for item, (name, type_) in zip(items, self.results.items(), strict=True):
            try:
                item = item if isinstance(item, Value) else constant(item, type_)
            except TypeError as error:
                raise self._body_error(str(error)) from error
            if item.type != type_:
                raise self._body_error(
                    f"Kernel {self.name} is annotated to return {type_} as {name}, but computes {item.type}."
                )
            out.append(item)
        return out

    @functools.cached_property
    def graph(self) -> Graph:
        """The dataflow graph."""
        args = [Value("arg", (), type_, name=name, shared=shared) for name, (type_, shared) in self.arguments.items()]
        return Graph(args, self._trace(args))

    def model(self, *arrays: Any, last: Any = None) -> Any:
        """Evaluate on NumPy arrays, bit for bit what the gates compute.

        Parameters
        ----------
        *arrays
            One an argument, of shapes that broadcast: float32 (any float format), int64 (integers), uint64
            (``UInt(64)``).
            A kernel that reduces takes ``(..., packet_length)``; a value constant in a packet is ``(..., 1)`` or a
            scalar.
        last
            For a kernel that reduces: flags of shape ``(beats,)`` that cut arrays of shape ``(beats,)`` or ``(beats,
            lanes)``
            into packets of different lengths; results keep the beats.
        """
        from rtlm.hw.hls.evaluate import evaluate

        return evaluate(self, arrays, last)

    def schedule(self, *, lanes: int = 1, clock_mhz: float = 300, technology: str = "generic"):
        """Latency, initiation interval, operators and registers, with nothing built (:class:`.schedule.Schedule`)."""
        from rtlm.hw.hls.plan import Plan

        return Plan(self, lanes=lanes, clock_mhz=clock_mhz, technology=technology).schedule

    def component(
        self,
        *,
        lanes: int = 1,
        clock_mhz: float = 300,
        technology: str = "generic",
        max_length: int | None = None,
        tag: Any = None,
        framing: bool = False,
        busy: bool = False,
    ):
        """Pipelined Amaranth component (:class:`.emit.KernelComponent`)."""
        from rtlm.hw.hls.emit import KernelComponent
        from rtlm.hw.hls.plan import Plan

        plan = Plan(self, lanes=lanes, clock_mhz=clock_mhz, technology=technology)
        return KernelComponent(plan, max_length=max_length, tag=tag, framing=framing, busy=busy)


def _listed(items: list[Any]) -> str:
    """Say how many values of which types there are."""
    types = ", ".join(str(item.type) if isinstance(item, Value) else type(item).__name__ for item in items)
    return f"{len(items)} value{'' if len(items) == 1 else 's'} ({types})"


def kernel(function: Callable) -> Kernel:
    """Turn an annotated Python function into a :class:`Kernel`."""
    return Kernel(function)
