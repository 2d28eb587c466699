"""From a nest of loops to the kernel of its iterations, and to what the counters in front of that have to count.

The body of a nest is a kernel whose arguments are the counts of the loops. Here it gets what `lanes` need: where a
bound is no multiple of them, an argument `active` says which lanes of a beat have an iteration, and what concerns a
packet passes over the others. Products of counts with numbers and arguments become counters of their own that go up by
the factor (strength reduction: Allen, Cocke, Kennedy, "Reduction of operator strength", 1981), and products of
arguments alone are computed once a command.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from math import ceil
from typing import Any

from rtlm.hw.hls import types as t
from rtlm.hw.hls.graph import REDUCTIONS, STATEFUL, Graph, Recurrence, Value, constant, select, topological
from rtlm.hw.hls.nest import ACTIVE, Level, Nest
from rtlm.hw.hls.trace import TracedFunction
from rtlm.hw.hls.types import BOOL, Float


@dataclass(frozen=True, eq=False)
class Counter:
    """A register that goes up with a loop.

    Parameters
    ----------
    value
        Argument of the body that it is.
    level
        The loop; None of what stays for a command.
    factor
        By how much: a number, or a value of the command's arguments.
    """

    value: Value
    level: Level | None
    factor: int | Value

    @property
    def source(self) -> str:
        """Field of a command that has the factor, if that is no number."""
        if isinstance(self.factor, Value) and self.factor.op == "arg":
            return self.factor.attrs["name"]
        return f"_step{self.value.attrs['name']}"


@dataclass(eq=False)
class Lowered:
    """What a nest becomes for a number of lanes.

    Parameters
    ----------
    body
        Kernel of an iteration.
    counters
        Arguments of the body that count, or stay for a command.
    active
        Argument of the body that says which lanes have an iteration; None where all have one.
    """

    kernel: TracedFunction
    lanes: int
    body: TracedFunction
    counters: list[Counter]
    active: Value | None
    setup: dict[str, Value] = field(default_factory=dict)
    """By their names, the values that are computed once a command from its arguments."""

    @property
    def nest(self) -> Nest:
        """The loops."""
        return self.kernel.nest

    def beats(self, level: Level) -> int:
        """Largest number of beats that a loop has."""
        return ceil(level.most / self.lanes) if level is self.nest.levels[-1] else level.most


def lower(kernel: TracedFunction, lanes: int) -> Lowered:
    """Return what the nest of a kernel becomes."""
    return _Lowering(kernel, lanes).result


class _Lowering:
    """Rewrites the graph of a nest; `result` is what comes of it."""

    def __init__(self, kernel: TracedFunction, lanes: int):
        self.kernel, self.lanes = kernel, lanes
        graph, self.nest = kernel.graph, kernel.nest
        self.inner = self.nest.levels[-1]
        self.active: Value | None = None
        known = isinstance(self.inner.bound, int) and self.inner.bound % lanes == 0
        if lanes > 1 and not known:
            self.active = Value("arg", (), BOOL, name=f"_{ACTIVE}", shared=False)
            self._refuse_gaps(graph)
        self._levels = {id(level.value): level for level in self.nest.levels}
        self._counters = {
            (id(level.value), 1): Counter(_marked(level, level is self.inner), level, 1) for level in self.nest.levels
        }
        self._new: dict[int, Value] = {id(key.level.value): key.value for key in self._counters.values() if key.level}
        self._recurrences: dict[int, Recurrence] = {}
        self._invariant: dict[int, bool] = {}
        self._forms: dict[int, _Form | None] = {}
        for v in graph.order:
            if id(v) not in self._new:
                self._new[id(v)] = self._visit(v)
        self.result = self._finish(graph)

    def _refuse_gaps(self, graph: Graph) -> None:
        """Elements of a packet have no place in it that a beat tells, if beats inside it are not full."""
        if len(self.nest.packet) > 1 and any(v.op in ("index", "previous") for v in graph.order):
            raise ValueError(
                f"{self.inner.place}: kernel {self.kernel.name} uses index, previous or window in a loop over several "
                f"bounds, of which the last is no known multiple of {self.lanes} lanes: choose fewer lanes, or a bound "
                "that they divide."
            )

    def _finish(self, graph: Graph) -> Lowered:
        results = [self._new[id(r)] for r in graph.results]
        names = dict(self.kernel.results)
        if self.active is not None and not graph.once_per_packet:
            results.append(self.active)
            names[ACTIVE] = BOOL
        used = topological(results)
        ids = {id(v) for v in used}
        args = [v for v in used if v.op == "arg"]
        body = copy.copy(self.kernel)
        body.graph, body.nest, body.results = Graph(args, results), Nest(), names
        body.arguments = {v.attrs["name"]: (v.type, v.attrs["shared"]) for v in args}
        counters = [c for c in self._counters.values() if id(c.value) in ids]
        masked = self.active if self.active is not None and id(self.active) in ids else None
        lowered = Lowered(self.kernel, self.lanes, body, counters, masked)
        lowered.setup = self._setup(counters, masked is not None)
        return lowered

    def _setup(self, counters: list[Counter], masked: bool) -> dict[str, Value]:
        """Values of the arguments that the counters need: numbers of beats less one, and factors."""
        setup: dict[str, Value] = {}
        empty: list[Value] = []
        for n, level in enumerate(self.nest.levels):
            if not isinstance(level.bound, Value):
                continue
            last = Value("wrap", (level.bound - 1,), t.int_type(0, max(0, level.most - 1)))
            setup[f"_last{n}"] = last
            if level is self.inner and self.lanes > 1:
                setup[f"_last{n}"] = last // self.lanes
                if masked:
                    setup["_tail"] = last % self.lanes
            empty.append(level.bound == 0)
        if empty:
            setup["_empty"] = empty[0]
            for flag in empty[1:]:
                setup["_empty"] = setup["_empty"] | flag
        for c in counters:
            if isinstance(c.factor, Value) and c.factor.op != "arg":
                setup[c.source] = c.factor
        return setup

    def _visit(self, v: Value) -> Value:
        if v.op == "arg" or not v.args:
            return v
        if v.op == "imul":
            reduced = self._reduced(v)
            if reduced is not None:
                return reduced
        if v.op == "scan":
            return self._scan(v)
        args = tuple(self._new[id(a)] for a in v.args)
        if self.active is not None and v.op in ("reduce_sum", "reduce_max"):
            (x,) = args
            lowest = x.type.low if v.op == "reduce_max" else 0
            args = (select(self.active, x, constant(lowest, x.type)),)
        if all(a is b for a, b in zip(args, v.args, strict=True)):
            return v
        return Value(v.op, args, v.type, **v.attrs)

    def _scan(self, v: Value) -> Value:
        """Rewrite a step: a lane without an iteration hands on the state that it got."""
        old = v.attrs["recurrence"]
        if id(old) not in self._recurrences:
            self._new |= {id(state): state for state in old.states}
            for inner in old.order:
                self._new[id(inner)] = self._visit(inner)
            results = [self._new[id(r)] for r in old.results]
            if self.active is not None:
                results = [select(self.active, r, s) for r, s in zip(results, old.states, strict=True)]
            self._recurrences[id(old)] = Recurrence(old.states, results, old.initial, place=old.place)
        new = self._recurrences[id(old)]
        return Value("scan", tuple(new.outside), v.type, recurrence=new, part=v.attrs["part"])

    def _reduced(self, v: Value) -> Value | None:
        """A product of counts as a sum of counters; None where it stays a product."""
        form = self._form(v)
        if form is None or not form.terms:
            return None
        parts: list[Value] = []
        for level, factor in form.terms:
            part = self._term(level, factor)
            if part is None:
                return None
            parts.append(part)
        if isinstance(form.offset, Value):
            parts.append(self._counter(None, form.offset))
        elif form.offset:
            parts.append(constant(form.offset, t.int_type(0, form.offset)))
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        return total if total.type == v.type else Value("wrap", (total,), v.type)

    def _term(self, level: Level, factor: int | Value) -> Value | None:
        count = self._counters[id(level.value), 1].value
        if isinstance(factor, int):
            power = factor.bit_length() - 1
            return count << power if factor == 1 << power else self._counter(level, factor)
        spread = level is self.inner and self.lanes > 1  # every lane would need a multiple of its own
        return None if spread else self._counter(level, factor)

    def _counter(self, level: Level | None, factor: int | Value) -> Value:
        """Argument of the body that counts in steps."""
        key = (id(level.value) if level else 0, factor if isinstance(factor, int) else id(factor))
        if level is None and isinstance(factor, Value) and factor.op == "arg":
            return factor
        if key not in self._counters:
            count = level.value if level else None
            high = (count.attrs["high"] if count is not None else 1) * (
                factor.type.high if isinstance(factor, Value) else factor
            )
            value = Value(
                "arg",
                (),
                t.int_type(0, high),
                name=f"_{'product' if level else 'invariant'}{len(self._counters)}",
                shared=count.attrs["shared"] if count is not None else True,
                steady=count.attrs["steady"] if count is not None else True,
                high=high,
                multiple=factor if isinstance(factor, int) else 1,
            )
            self._counters[key] = Counter(value, level, factor)
        return self._counters[key].value

    def _is_invariant(self, v: Value) -> bool:
        """Whether a value depends on numbers and the command's arguments only."""
        if id(v) not in self._invariant:
            if v.op == "arg":
                known = id(v) not in self._levels
            else:
                plain = v.op not in (*REDUCTIONS, *STATEFUL, "read", "state")
                known = v.op == "const" or (plain and bool(v.args) and all(map(self._is_invariant, v.args)))
            self._invariant[id(v)] = known
        return self._invariant[id(v)]

    def _form(self, v: Value) -> _Form | None:
        """A value as a sum of counts with factors that are not negative; None where it is no such sum."""
        if id(v) not in self._forms:
            try:
                self._forms[id(v)] = self._find_form(v)
            except TypeError:  # a factor that is wider than arithmetic goes
                self._forms[id(v)] = None
        return self._forms[id(v)]

    def _find_form(self, v: Value) -> _Form | None:
        if isinstance(v.type, Float):
            return None
        if id(v) in self._levels:
            return _Form(((self._levels[id(v)], 1),), 0)
        if self._is_invariant(v):
            number = v.attrs["value"] if v.op == "const" else v
            return _Form((), number) if v.type.low == 0 or (isinstance(number, int) and number >= 0) else None
        if v.op == "shl":
            a = self._form(v.args[0])
            return a and a.times(1 << v.attrs["count"])
        if v.op not in ("iadd", "imul"):
            return None
        a, b = map(self._form, v.args)
        if a is None or b is None:
            return None
        if v.op == "iadd":
            return a.plus(b)
        if not b.terms:
            return a.times(b.offset)
        return b.times(a.offset) if not a.terms else None


@dataclass(frozen=True)
class _Form:
    """Sum of counts with factors, and an offset."""

    terms: tuple[tuple[Level, int | Value], ...]
    offset: int | Value

    def times(self, factor: int | Value) -> _Form:
        terms = () if isinstance(factor, int) and factor == 0 else self.terms
        return _Form(tuple((level, _product(f, factor)) for level, f in terms), _product(self.offset, factor))

    def plus(self, other: _Form) -> _Form:
        terms = dict(self.terms)
        for level, factor in other.terms:
            terms[level] = terms[level] + factor if level in terms else factor
        return _Form(tuple(terms.items()), _sum(self.offset, other.offset))


def _product(a: Any, b: Any) -> Any:
    if isinstance(a, int) and a in (0, 1):
        return b if a else 0
    if isinstance(b, int) and b in (0, 1):
        return a if b else 0
    return a * b


def _sum(a: Any, b: Any) -> Any:
    if isinstance(a, int) and a == 0:
        return b
    return a if isinstance(b, int) and b == 0 else a + b


def _marked(level: Level, inner: bool) -> Value:
    """Count of a loop as an argument of the body; `lane` says that the lanes of a beat count on."""
    v = level.value
    return Value("arg", (), v.type, **v.attrs, lane=inner)


def command_arguments(kernel: TracedFunction) -> list[Value]:
    """Return the arguments that come with a command."""
    return kernel.graph.args[: len(kernel.arguments)]


def setup_kernel(lowered: Lowered) -> TracedFunction | None:
    """Return the kernel that computes what a command needs once; None where that is nothing."""
    if not lowered.setup:
        return None
    kernel = copy.copy(lowered.kernel)
    kernel.name, kernel.nest, kernel.memories = f"{kernel.name}_setup", Nest(), {}
    results = list(lowered.setup.values())
    kernel.results = {name: v.type for name, v in lowered.setup.items()}
    kernel.graph = Graph(command_arguments(lowered.kernel), results)
    return kernel
