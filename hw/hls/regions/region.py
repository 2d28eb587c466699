"""Regions: one function over streams gives the model in NumPy, the schedule with its FIFOs, and the component."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from rtlm.hw.hls.directives import Directives
from rtlm.hw.hls.errors import KernelError, kernel_error
from rtlm.hw.hls.regions.emit import RegionComponent
from rtlm.hw.hls.regions.graph import RegionGraph, connected, distinct, ordered
from rtlm.hw.hls.regions.model import Beats, evaluate_arrays, evaluate_region
from rtlm.hw.hls.regions.plan import RegionPlan
from rtlm.hw.hls.regions.schedule import RegionSchedule
from rtlm.hw.hls.regions.streams import Column, Input, Output, Register, StreamType, StreamValue
from rtlm.hw.hls.trace import RESERVED

PORTS = ("o", "clk", "rst", "too_long")
"""Ports that a region has itself, beside those of its inputs."""


class Region:
    """A function over streams: call it inside another region, or use its model, schedule and component."""

    def __init__(self, function: Callable):
        functools.update_wrapper(self, function)
        self.function, self.name = function, function.__name__
        signature = inspect.signature(function, eval_str=True)
        self.declared: dict[str, StreamType] = {}
        """Types of the inputs."""
        for name, parameter in signature.parameters.items():
            plain = parameter.kind is parameter.POSITIONAL_OR_KEYWORD
            if not plain or not isinstance(parameter.annotation, StreamType):
                raise self._error(f"Argument {name} of region {self.name} needs an annotation such as Stream[F32].")
            if name in (*RESERVED, *PORTS):
                raise self._error(f"Region {self.name} cannot call an argument {name}: the component uses that name.")
            self.declared[name] = parameter.annotation
        if not self.declared:
            raise self._error(f"Region {self.name} has no arguments: it needs at least one, such as x: Stream[F32].")
        self._result(signature.return_annotation)

    def _result(self, annotation: Any) -> None:
        self.result_class: Any = None
        if isinstance(annotation, StreamType):
            self.declared_results = {"o": annotation}
        elif isinstance(annotation, type) and issubclass(annotation, tuple) and hasattr(annotation, "_fields"):
            hints = inspect.get_annotations(annotation, eval_str=True)
            self.declared_results, self.result_class = {n: hints[n] for n in annotation._fields}, annotation
        else:
            items = getattr(annotation, "__args__", ())
            self.declared_results, self.result_class = {f"o{n}": item for n, item in enumerate(items)}, tuple
        if not self.declared_results or not all(isinstance(t, StreamType) for t in self.declared_results.values()):
            raise self._error(
                f"Region {self.name} needs a return annotation: Stream[T], tuple[Stream[A], Stream[B]], or a "
                "NamedTuple of streams."
            )
        taken = self.declared_results.keys() & {*self.declared, *PORTS[1:]}
        if taken:
            raise self._error(f"Region {self.name} has two ports {min(taken)}: rename an argument or a result.")

    def _error(self, text: str, cause: BaseException | None = None) -> KernelError:
        return kernel_error(self.function, text, line=self.function.__code__.co_firstlineno, cause=cause)

    def __call__(self, *args: Any, **named: Any) -> Any:
        """Call the region on streams inside another one: its nodes become that one's."""
        bound = inspect.signature(self.function).bind(*args, **named)
        for (name, type_), value in zip(self.declared.items(), bound.args, strict=True):
            if not isinstance(value, StreamValue):
                raise TypeError(
                    f"Argument {name} of region {self.name} is {type_}: call it on streams inside a region, or use "
                    f"{self.name}.model(...) on arrays."
                )
            if not value.type.same(type_):
                raise TypeError(f"Argument {name} of region {self.name} is {type_}, but got {value.type}.")
        return self._pack(self._trace(bound.args))

    def _pack(self, values: Sequence[Any]) -> Any:
        if self.result_class is None:
            return values[0]
        return tuple(values) if self.result_class is tuple else self.result_class(*values)

    def _trace(self, streams: Sequence[StreamValue]) -> list[StreamValue]:
        try:
            returned = self.function(*streams)
        except KernelError:
            raise
        except Exception as error:
            text = str(error) if isinstance(error, TypeError | ValueError) else f"{type(error).__name__}: {error}"
            raise self._error(text, error) from error
        items = [returned] if self.result_class is None else returned
        wanted = ", ".join(map(str, self.declared_results.values()))
        if not isinstance(items, tuple | list) or not all(isinstance(item, StreamValue) for item in items):
            raise self._error(f"Region {self.name} is annotated to return {wanted}, but does not return that.")
        got = ", ".join(str(item.type) for item in items)
        types = list(self.declared_results.values())
        if len(items) != len(types) or not all(item.type.same(t) for item, t in zip(items, types, strict=True)):
            raise self._error(f"Region {self.name} is annotated to return {wanted}, but returns {got}.")
        return list(items)

    @functools.cached_property
    def graph(self) -> RegionGraph:
        """The network of its nodes."""
        inputs = [Input(name, type_) for name, type_ in self.declared.items()]
        results = self._trace([node.value(node.type.parts) for node in inputs])
        outputs = []
        for (name, type_), result in zip(self.declared_results.items(), results, strict=True):
            columns = result.columns
            if len({(c.node, c.port) for c in columns}) > 1 or isinstance(columns[0].node, Input):
                columns = Register(columns, result.flow).value(result.parts).columns
            outputs.append(Output(name, columns, type_))
        nodes = [node for node in ordered([*inputs, *outputs]) if node not in outputs] + outputs
        read = {c.node for node in nodes for i in node.inputs for c in i if isinstance(c, Column)}
        unread = [node.name for node in inputs if node not in read]
        if unread:
            raise self._error(f"Region {self.name} does not use its argument {unread[0]}.")
        for flow in (flow for node in nodes for flow in node.flows):
            try:
                flow.check()
            except TypeError as error:
                raise self._error(str(error)) from error
        apart = [node.name for node in inputs if node not in connected(nodes)]
        if apart:
            raise self._error(
                f"Arguments {inputs[0].name} and {apart[0]} of region {self.name} never meet: make two regions."
            )
        for node, name in zip(nodes, distinct([node.name for node in nodes]), strict=True):
            node.name = name
        framed = any(node.framed for node in nodes)
        return RegionGraph(nodes=tuple(nodes), framed=framed)

    def model(self, *arrays: Any) -> Any:
        """Evaluate on NumPy arrays, bit for bit what the gates compute.

        Parameters
        ----------
        *arrays
            One an argument, or for a stream of several parts a tuple of them. The axis before those of a ``Vec`` is
            the beats; in a region that works on packets it is the elements of a packet, and the axes before it are
            packets in order.

        Returns
        -------
        Any
            One array a result, or a tuple of them for several parts. Where a packet has one beat by its rate, the axis
            of beats is missing.

        Raises
        ------
        TypeError, ValueError
            If the arrays are not what the arguments say, or streams that meet differ in length.
        """
        return self._pack(evaluate_arrays(self, arrays))

    def model_of_beats(self, inputs: Sequence[Beats]) -> list[Beats]:
        """Evaluate on the beats of each input; one for each result."""
        return evaluate_region(self.graph, inputs)

    def schedule(
        self, directives: Directives | None = None, *, max_length: int | None = None, **changes: Any
    ) -> RegionSchedule:
        """Latency, interval and what limits it, FIFOs with the reason of their depth, with nothing built.

        Parameters
        ----------
        directives
            How kernels become gates (:class:`.directives.Directives`); ``ii`` is cycles between beats of the first
            input, and each kernel has as many more or fewer as its rate says. ``lanes`` is 1.
        max_length
            Longest packet of an input in beats, for a region that works on packets.
        **changes
            Directives by their names.

        Raises
        ------
        ValueError
            If a directive cannot be met; one sentence.
        """
        return self.plan(directives, max_length=max_length, **changes).schedule

    def plan(
        self, directives: Directives | None = None, *, max_length: int | None = None, **changes: Any
    ) -> RegionPlan:
        """Schedule the region and size its FIFOs; parameters and errors as of `schedule`."""
        return _plan(self, replace(directives or Directives(), **changes), max_length)

    def component(
        self, directives: Directives | None = None, *, max_length: int | None = None, **changes: Any
    ) -> RegionComponent:
        """Amaranth component (:class:`.emit.RegionComponent`); parameters as of `schedule`."""
        return RegionComponent(self.plan(directives, max_length=max_length, **changes))


@cache
def _plan(region: Region, directives: Directives, max_length: int | None) -> RegionPlan:
    return RegionPlan(region.name, region.graph, directives, max_length)


def region(function: Callable) -> Region:
    """Turn an annotated Python function over streams into a :class:`Region`."""
    return Region(function)
