"""Tracing: an annotated Python function over typed values becomes a dataflow graph."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from rtlm.hw.hls import types as t
from rtlm.hw.hls.errors import KernelError, kernel_error
from rtlm.hw.hls.graph import Graph, Value, constant
from rtlm.hw.hls.types import Float, SInt, Type, UInt


class TracedFunction:
    """An annotated function over typed values: its arguments and results, and the graph that tracing it gives."""

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


def _listed(items: list[Any]) -> str:
    """Say how many values of which types there are."""
    types = ", ".join(str(item.type) if isinstance(item, Value) else type(item).__name__ for item in items)
    return f"{len(items)} value{'' if len(items) == 1 else 's'} ({types})"
