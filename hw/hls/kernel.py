"""Kernels: one function gives the model in NumPy, the schedule, and the component in gates."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from rtlm.hw.hls.emit import KernelComponent
from rtlm.hw.hls.evaluate import evaluate
from rtlm.hw.hls.plan import Plan
from rtlm.hw.hls.schedule import Schedule
from rtlm.hw.hls.trace import TracedFunction


class Kernel(TracedFunction):
    """A function over typed values: call it inside another kernel, or use its model, schedule and component."""

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
        return evaluate(self, arrays, last)

    def schedule(self, *, lanes: int = 1, clock_mhz: float = 300, technology: str = "generic") -> Schedule:
        """Latency, initiation interval, operators and registers, with nothing built (:class:`.schedule.Schedule`)."""
        return _schedule(self, lanes, clock_mhz, technology)

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
    ) -> KernelComponent:
        """Pipelined Amaranth component (:class:`.emit.KernelComponent`)."""
        plan = Plan(self, lanes=lanes, clock_mhz=clock_mhz, technology=technology)
        return KernelComponent(plan, max_length=max_length, tag=tag, framing=framing, busy=busy)


@cache
def _schedule(kernel: Kernel, lanes: int, clock_mhz: float, technology: str) -> Schedule:
    return Plan(kernel, lanes=lanes, clock_mhz=clock_mhz, technology=technology).schedule


def kernel(function: Callable) -> Kernel:
    """Turn an annotated Python function into a :class:`Kernel`."""
    return Kernel(function)
