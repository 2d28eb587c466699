"""Tracing: an annotated Python function over typed values becomes a dataflow graph."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from rtlm.hw.hls.carried import refuse_carried
from rtlm.hw.hls.conditions import with_conditions
from rtlm.hw.hls.errors import KernelError, kernel_error
from rtlm.hw.hls.fixed import FixedValue
from rtlm.hw.hls.graph import Graph, Value, constant
from rtlm.hw.hls.memories import Memory
from rtlm.hw.hls.nest import ACTIVE, LoopFound, Nest, tracing
from rtlm.hw.hls.types import ELEMENTS, Fixed, RamType, SharedType, Type, VectorType
from rtlm.hw.hls.vectors import Vector, gathered, leaves, scattered

Declared = Type | Fixed | VectorType | RamType
RESERVED = ("last", "tag", "release")
"""Fields that streams have themselves."""
PORTS = ("i", "o", "busy", "too_long", "clk", "rst")
"""Ports that a component has itself; that of a memory is called as the memory."""


class TracedFunction:
    """An annotated function over typed values: its arguments and results, and the graph that tracing it gives."""

    def __init__(self, function: Callable):
        functools.update_wrapper(self, function)
        self.function, self.name = function, function.__name__
        signature = inspect.signature(function, eval_str=True)
        self.declared: dict[str, Declared] = {}
        """Types of the arguments as the function has them."""
        self.arguments: dict[str, tuple[Type, bool]] = {}
        """Fields of a beat: type, and whether all lanes share it. A vector has a field for each of its numbers."""
        self.memories: dict[str, RamType] = {}
        """Arguments that are memories."""
        for name, parameter in signature.parameters.items():
            if parameter.kind is not parameter.POSITIONAL_OR_KEYWORD:
                raise self._error(f"Kernel {self.name} has an argument {parameter}: only plain ones, as x: F32, are.")
            self._declare(name, parameter.annotation)
        self._result(signature.return_annotation)
        if not self.arguments and not self.memories:
            raise self._no_arguments()
        for name in [*self.arguments, *self.memories, *self.results]:
            if name in RESERVED or (name in PORTS and name in self.memories):
                raise self._error(f"Kernel {self.name} cannot call a value {name}: the streams use that name.")

    def _declare(self, name: str, annotation: Any) -> None:
        shared = isinstance(annotation, SharedType)
        type_ = annotation.type if shared else annotation
        self.declared[name] = type_
        if isinstance(type_, RamType):
            self.memories[name] = type_
            return
        if not isinstance(type_, ELEMENTS):
            raise self._error(
                f"Argument {name} of kernel {self.name} needs a type annotation such as F32, SInt(8), "
                "Vec[SInt(8), 16], Shared[F32] or Ram[F32, 64]."
            )
        for field, leaf in leaves(name, type_):
            if field in self.arguments:
                raise self._error(f"Kernel {self.name} has two fields {field}: rename an argument.")
            self.arguments[field] = (leaf, shared)

    def _no_arguments(self) -> KernelError:
        return self._error(
            f"Kernel {self.name} has no arguments: a pipeline needs at least one that comes with a beat, such as "
            "x: F32."
        )

    def _error(self, text: str) -> KernelError:
        """Error in the signature."""
        return kernel_error(self.function, text, line=self.function.__code__.co_firstlineno)

    def _body_error(self, text: str, cause: BaseException | None = None) -> KernelError:
        """Error in the body: where it was raised, or at the end, with what is returned."""
        last = max(line for _, _, line in self.function.__code__.co_lines() if line)
        return kernel_error(self.function, text, line=last, cause=cause)

    def _result(self, annotation: Any) -> None:
        self.result_class = None
        if isinstance(annotation, ELEMENTS):
            declared = {"result": annotation}
        elif isinstance(annotation, type) and issubclass(annotation, tuple) and hasattr(annotation, "_fields"):
            hints = inspect.get_annotations(annotation, eval_str=True)
            declared, self.result_class = {name: hints[name] for name in annotation._fields}, annotation
        else:
            items = annotation if isinstance(annotation, tuple) else getattr(annotation, "__args__", ())
            declared = {f"result{i}": item for i, item in enumerate(items)}
            self.result_class = tuple
        if not declared or not all(isinstance(r, ELEMENTS) for r in declared.values()):
            raise self._error(
                f"Kernel {self.name} needs a return annotation: one type, tuple[A, B], or a NamedTuple of types."
            )
        self.declared_results: dict[str, Type | Fixed | VectorType] = declared
        """Types of the results as the function has them."""
        self.results = {field: leaf for name, type_ in declared.items() for field, leaf in leaves(name, type_)}
        """Fields of a beat that comes out."""

    def pack(self, values: list[Any]) -> Any:
        """Results in the form the annotation asks for."""
        if self.result_class is None:
            return values[0]
        return tuple(values) if self.result_class is tuple else self.result_class(*values)

    def __call__(self, *args: Any, **named: Any) -> Any:
        """Trace the kernel inside another one."""
        if not any(isinstance(a, Value | FixedValue | Vector | Memory) for a in [*args, *named.values()]):
            raise TypeError(
                f"Kernel {self.name} was called with numbers: use {self.name}.model(...) to evaluate arrays."
            )
        bound = inspect.signature(self.function).bind(*args, **named)
        values = []
        for (name, type_), value in zip(self.declared.items(), bound.args, strict=True):
            if isinstance(type_, RamType):
                if not isinstance(value, Memory) or value.type != type_:
                    raise TypeError(f"Argument {name} of kernel {self.name} is {type_}: pass a memory of that type.")
            elif isinstance(type_, VectorType | Fixed):
                got = (
                    value.type
                    if isinstance(value, Vector | FixedValue)
                    else getattr(value, "type", type(value).__name__)
                )
                if not same_type(type_, got):
                    raise TypeError(f"Argument {name} of kernel {self.name} is {type_}, but got {got}.")
            else:
                value = value if isinstance(value, Value) else constant(value, type_)
                if value.type != type_:
                    raise TypeError(f"Argument {name} of kernel {self.name} is {type_}, but got {value.type}.")
            values.append(value)
        results = iter(self._trace(values))
        return self.pack([gathered(type_, results) for type_ in self.declared_results.values()])

    def _trace(self, values: list[Any]) -> list[Value]:
        try:
            returned = self._with_conditions(*values)
        except KernelError:  # of a kernel that this one calls
            raise
        except Exception as error:
            text = str(error) if isinstance(error, TypeError | ValueError) else f"{type(error).__name__}: {error}"
            raise self._body_error(text, error) from error
        items = list(returned) if isinstance(returned, tuple | list) else [returned]
        if returned is None:
            raise self._body_error(f"Kernel {self.name} returns nothing: it ends with return and its result.")
        if len(items) != len(self.declared_results) or (self.result_class is None and items[0] is not returned):
            raise self._body_error(
                f"Kernel {self.name} returns {_listed(items)} but is annotated with "
                f"{', '.join(str(type_) for type_ in self.declared_results.values())}."
            )
        out: list[Value] = []
        for item, (name, type_) in zip(items, self.declared_results.items(), strict=True):
            parts = scattered(item) if isinstance(type_, VectorType | Fixed) else [item]
            wanted = leaves(name, type_)
            whole = item.type if isinstance(item, Vector | FixedValue) else None
            if (isinstance(type_, VectorType | Fixed) or whole is not None) and not same_type(type_, whole):
                raise self._body_error(
                    f"Kernel {self.name} is annotated to return {type_} as {name}, but returns {_listed([item])}."
                )
            for part, (field, leaf) in zip(parts, wanted, strict=True):
                try:
                    part = part if isinstance(part, Value) else constant(part, leaf)
                except TypeError as error:
                    raise self._body_error(str(error)) from error
                if part.type != leaf:
                    raise self._body_error(
                        f"Kernel {self.name} is annotated to return {leaf} as {field}, but computes {part.type}."
                    )
                out.append(part)
        return out

    @functools.cached_property
    def _with_conditions(self) -> Callable:
        """The function as it is traced; made when it is, as that reads its source."""
        refuse_carried(self.function)
        return with_conditions(self.function)

    @functools.cached_property
    def graph(self) -> Graph:
        """The dataflow graph; of a kernel with loops that of an iteration, whose numbers are arguments."""
        return self._traced[0]

    @functools.cached_property
    def nest(self) -> Nest:
        """Its loops, if it has any."""
        return self._traced[1]

    @functools.cached_property
    def _traced(self) -> tuple[Graph, Nest]:
        depth = 0
        while True:  # once more for each loop that is found
            nest = Nest(depth=depth)
            try:
                with tracing(nest):
                    graph = self._graph(nest)
            except LoopFound:
                depth += 1
                continue
            return graph, nest

    def _check_command(self) -> None:
        """Refuse what a kernel with loops cannot have in its signature."""
        for name, (_, shared) in self.arguments.items():
            if shared:
                raise self._error(
                    f"Argument {name} of kernel {self.name} is Shared, but a kernel with loops takes all of its "
                    "arguments once a command: write it without Shared."
                )
        for name in [*self.arguments, *self.results]:
            if name.startswith("_") or (name == ACTIVE and name in self.results):
                raise self._error(f"Kernel {self.name} has loops and cannot call a value {name}: rename it.")

    def _graph(self, nest: Nest) -> Graph:
        commanded = nest.depth > 0
        if commanded:
            self._check_command()
        args = [
            Value("arg", (), type_, name=name, shared=shared or commanded, steady=commanded)
            for name, (type_, shared) in self.arguments.items()
        ]
        fields = iter(args)
        declared = [
            Memory(name, type_) if isinstance(type_, RamType) else gathered(type_, fields)
            for name, type_ in self.declared.items()
        ]
        results = self._trace(declared)
        if not args and not commanded:
            raise self._no_arguments()
        try:
            nest.finish()
            return Graph([*args, *(level.value for level in nest.levels)], results)
        except TypeError as error:
            raise self._body_error(str(error)) from error


def _listed(items: list[Any]) -> str:
    """Say how many values of which types there are."""
    types = ", ".join(str(getattr(item, "type", type(item).__name__)) for item in items)
    return f"{len(items)} value{'' if len(items) == 1 else 's'} ({types})"


def same_type(declared: Any, got: Any) -> bool:
    """Whether a result is of the type that was declared; how a fixed-point type rounds does not matter any more."""
    if isinstance(declared, VectorType) and isinstance(got, VectorType):
        return declared.length == got.length and same_type(declared.item, got.item)
    if isinstance(declared, Fixed) and isinstance(got, Fixed):
        return (declared.leaf, declared.fraction) == (got.leaf, got.fraction)
    return declared == got
