"""Kernels: one function gives the model in NumPy, the schedule, and the component in gates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from rtlm.hw.hls.directives import Directives
from rtlm.hw.hls.emit import KernelComponent
from rtlm.hw.hls.evaluate import evaluate, evaluate_fields
from rtlm.hw.hls.nests.component import NestComponent, NestPlan
from rtlm.hw.hls.plan import Plan
from rtlm.hw.hls.regions.streams import Load, StreamValue, apply
from rtlm.hw.hls.schedule import Schedule
from rtlm.hw.hls.trace import TracedFunction


class Kernel(TracedFunction):
    """A function over typed values: call it inside another kernel, or use its model, schedule and component."""

    def __call__(self, *args: Any, **named: Any) -> Any:
        """Call the kernel on values inside another one, or on streams inside a region."""
        if any(isinstance(a, StreamValue | Load) for a in [*args, *named.values()]):
            return apply(self, args, named)
        return super().__call__(*args, **named)

    def model(self, *arrays: Any, last: Any = None) -> Any:
        """Evaluate on NumPy arrays, bit for bit what the gates compute.

        Parameters
        ----------
        *arrays
            One an argument, of shapes that broadcast: float32 (any float format), int64 (integers), uint64
            (``UInt(64)``). A kernel that works on packets takes ``(..., packet_length)``; a value constant in a packet
            is ``(..., 1)`` or a scalar. Those of a ``Vec`` have its axes behind these. The array of a ``Ram`` is
            ``(words,)``, and behind it the axes of a ``Vec``. A kernel with loops takes a command: one number, or
            vector, for each argument; its results have an axis for each bound, in which those of the innermost loop
            are missing where they come once a packet, and are empty if a bound is 0.
        last
            For a kernel that works on packets: flags of shape ``(beats,)`` that cut arrays of shape ``(beats,)`` or
            ``(beats, lanes)`` into packets of different lengths; results keep the beats.

        Raises
        ------
        TypeError, ValueError
            If the arrays are not what the arguments say, or a memory is read where nothing was loaded.
        """
        return evaluate(self, arrays, last)

    def model_of_fields(self, fields: Sequence[Any], contents: dict[str, list[Any]], last: Any = None) -> list[Any]:
        """Evaluate on the fields of the streams: one array for each number of a vector.

        Parameters
        ----------
        fields
            One array for each of `arguments`.
        contents
            For each of `memories` the words of each of its fields.
        last
            As of `model`.

        Returns
        -------
        list[Any]
            One array for each of `results`.
        """
        return evaluate_fields(self, fields, contents, last)

    def schedule(self, directives: Directives | None = None, **changes: Any) -> Schedule:
        """Latency, initiation interval, operators and registers, with nothing built.

        Parameters
        ----------
        directives
            How the kernel becomes gates (:class:`.directives.Directives`).
        **changes
            Directives by their names, instead of those of `directives`: ``schedule(lanes=4)``.

        Raises
        ------
        ValueError
            If a directive cannot be met; one sentence.
        """
        return self._scheduled(directives, changes).schedule

    def plan(self, directives: Directives | None = None, **changes: Any) -> Plan:
        """Schedule the pipeline, of a kernel with loops that of an iteration; of equal directives there is one plan.

        Parameters and errors as of `schedule`.
        """
        plan = self._scheduled(directives, changes)
        return plan.body if isinstance(plan, NestPlan) else plan

    def _scheduled(self, directives: Directives | None, changes: dict[str, Any]) -> Plan | NestPlan:
        return _plan(self, replace(directives or Directives(), **changes))

    def component(
        self,
        directives: Directives | None = None,
        *,
        max_length: int | None = None,
        tag: Any = None,
        framing: bool = False,
        busy: bool = False,
        keys: int = 1,
        **changes: Any,
    ) -> KernelComponent | NestComponent:
        """Pipelined Amaranth component (:class:`.emit.KernelComponent`, of a kernel with loops
        :class:`.nests.component.NestComponent`); directives as of `schedule`.

        Parameters and errors as of :class:`.emit.KernelComponent`; a kernel with loops takes neither `max_length` nor
        `keys`.
        """
        plan = self._scheduled(directives, changes)
        if isinstance(plan, NestPlan):
            if max_length is not None:
                raise ValueError(f"Kernel {self.name} has loops: its longest packet is theirs, not max_length.")
            if keys > 1:
                raise ValueError(
                    f"Kernel {self.name} has loops: its packets come one after the other; leave keys at 1."
                )
            return NestComponent(plan, tag=tag, busy=busy)
        return KernelComponent(plan, max_length=max_length, tag=tag, framing=framing, busy=busy, keys=keys)


@cache
def _plan(kernel: Kernel, directives: Directives) -> Plan | NestPlan:
    return NestPlan(kernel, directives) if kernel.nest.loops else Plan(kernel, directives)


def kernel(function: Callable) -> Kernel:
    """Turn an annotated Python function into a :class:`Kernel`."""
    return Kernel(function)
