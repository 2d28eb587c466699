"""The loops of a kernel while it is traced: which are open, and what may stand between them.

A function that is traced runs once, so a loop has to know the nest that it opens in. That nest is ambient for as long
as its kernel is traced (a :class:`contextvars.ContextVar`); nothing of it stays.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

ACTIVE = "active"
"""Result of a component that says which lanes of a beat have an iteration."""


@dataclass(eq=False)
class Level:
    """One counter of a nest.

    Parameters
    ----------
    bound
        How often it counts: a number of Python, or a :class:`.graph.Value` of the command.
    most
        The largest number that the bound can be.
    place
        File and line of its loop.
    value
        What it counts, from 0: a :class:`.graph.Value`.
    """

    bound: Any
    most: int
    place: str
    value: Any


@dataclass(eq=False)
class Nest:
    """Loops of a kernel, outermost first; each has a level for each of its bounds."""

    loops: list[list[Level]] = field(default_factory=list)
    depth: int = 0
    """Loops that are known from an earlier tracing; where there are any, the kernel's arguments are a command's."""
    _open: list[list[Level]] = field(default_factory=list)
    _sequential: str = ""
    """What stands in the loop that is innermost so far and concerns its iterations."""

    @property
    def levels(self) -> list[Level]:
        """All counters, outermost first."""
        return [level for loop in self.loops for level in loop]

    @property
    def innermost(self) -> bool:
        """Whether the loop that opens next is the innermost one."""
        return len(self.loops) + 1 == self.depth

    @property
    def packet(self) -> list[Level]:
        """Counters of the innermost loop: its iterations are a packet."""
        return self.loops[-1]

    def admit(self) -> None:
        """Refuse a loop that does not stand in those that are open; ask for another tracing if it is a new one."""
        if len(self._open) != len(self.loops):
            raise TypeError(
                f"This loop stands beside the one at {self.loops[len(self._open)][0].place}: a kernel is one nest of "
                "loops, each inside the one before; write two kernels, or one loop over both."
            )
        if self._sequential:
            raise TypeError(
                f"This loop stands behind {self._sequential} outside of it: reductions, scan, previous and index are "
                "of the innermost loop, whose iterations are a packet."
            )
        if len(self.loops) == self.depth:
            raise LoopFound

    def open(self, loop: list[Level]) -> None:
        """Begin a loop inside those that are open."""
        self.loops.append(loop)
        self._open.append(loop)

    def close(self, loop: list[Level]) -> None:
        """End the loop that was opened last."""
        if self._open[-1] is not loop:
            raise TypeError(left(self._open[-1]))
        self._open.pop()

    def finish(self) -> None:
        """Refuse a loop that was left before its end."""
        if self._open:
            raise TypeError(left(self._open[-1]))

    def note(self, op: str) -> None:
        """Take note of an operation that concerns the iterations of a loop."""
        if self.loops and len(self._open) < len(self.loops):
            said = _SAID[op]
            raise TypeError(
                f"{said[0].upper()}{said[1:]} stands outside of the innermost loop, at {self.packet[0].place}, whose "
                "iterations are a packet: move it into that loop, or give that loop both bounds, as in "
                "loop(rows, columns)."
            )
        self._sequential = self._sequential or _SAID[op]


def left(loop: Sequence[Level]) -> str:
    """Return what is wrong with a loop that does not reach its end."""
    return (
        f"The loop at {loop[0].place} is left by break or return: it runs as often as its bound says; return stands "
        "behind the loops, and select chooses what counts."
    )


_SAID = {
    "reduce_sum": "a sum over a packet",
    "reduce_max": "a maximum over a packet",
    "reduce_last": "a fold",
    "scan": "a scan or fold",
    "previous": "previous or window",
    "index": "index",
}

_TRACED: ContextVar[Nest | None] = ContextVar("traced", default=None)


def in_loop() -> bool:
    """Return whether a loop is being traced."""
    nest = _TRACED.get()
    return nest is not None and bool(nest.loops)


def traced() -> Nest | None:
    """Return the nest of the kernel that is being traced."""
    return _TRACED.get()


@contextlib.contextmanager
def tracing(nest: Nest) -> Iterator[None]:
    """Make a nest that of the kernel that is being traced."""
    token = _TRACED.set(nest)
    try:
        yield
    finally:
        _TRACED.reset(token)


class LoopFound(BaseException):
    """A kernel has one loop more than was known: it is traced again, as values are of another kind then."""
