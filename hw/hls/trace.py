"""Tracing: a Python function over typed values becomes a dataflow graph.

A node is a :class:`Value`. It knows which *phase* it belongs to (how many packet reductions lie before it), whether it
differs from beat to beat (``per_beat``) and from lane to lane (``per_lane``).
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from rtlm.hw.hls import types as t
from rtlm.hw.hls.types import Float, SInt, Type, UInt

_LARGEST_ARITHMETIC = 63


class Value:
    """One result in the graph: operation, operands, type.

    Users get values as arguments of a kernel and combine them with Python operators.
    """

    __array_ufunc__ = None  # NumPy scalars must leave mixed expressions to the operators below
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
        raise TypeError("A kernel value has no truth in Python: use select(condition, a, b) instead of if, and, or.")

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
        return Value("shl", (self,), type(self.type)(arithmetic_width(self.type.width + count)), count=count)

    def __rshift__(self, count: int):
        need_int(self, ">>")
        return Value("shr", (self,), type(self.type)(max(1, self.type.width - count)), count=count)

    def __and__(self, other):
        return _logic("and", self, other)

    def __or__(self, other):
        return _logic("or", self, other)

    def __xor__(self, other):
        return _logic("xor", self, other)

    def __invert__(self):
        if self.type != t.BOOL:
            raise TypeError(f"~ negates a condition (UInt(1)); this value is {self.type}.")
        return Value("not", (self,), t.BOOL)


REDUCTIONS = ("reduce_sum", "reduce_max")


def constant(value: Any, type_: Type) -> Value:
    """Constant of ``type_``; a Python number is rounded to a float format and must fit an integer format."""
    if isinstance(type_, Float):
        return Value("const", (), type_, value=float(t.round_to(value, type_)))
    if int(value) != value or not type_.low <= value <= type_.high:
        raise TypeError(f"{value!r} is not a value of {type_}, which holds the integers {type_.low} to {type_.high}.")
    return Value("const", (), type_, value=int(value))


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
            if not isinstance(type_, Float | SInt | UInt):
                raise TypeError(
                    f"Argument {name} of kernel {self.name} needs a type annotation such as F32, SInt(8), Shared[F32]."
                )
            if name in ("last", "tag"):
                raise TypeError(f"Kernel {self.name} cannot call an argument {name}: the streams use that name.")
            self.arguments[name] = (type_, shared)
        self._result(signature.return_annotation)

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
            raise TypeError(
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
        returned = self.function(*values)
        items = [returned] if self.result_class is None else list(returned)
        if len(items) != len(self.results):
            raise TypeError(
                f"Kernel {self.name} returns {len(items)} values but is annotated with {len(self.results)}."
            )
        out = []
        for item, (name, type_) in zip(items, self.results.items(), strict=True):
            item = item if isinstance(item, Value) else constant(item, type_)
            if item.type != type_:
                raise TypeError(
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


def kernel(function: Callable) -> Kernel:
    """Turn an annotated Python function into a :class:`Kernel`."""
    return Kernel(function)
