"""Who computes: the sweep sees tasks go in and results come out, whoever does them."""

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")

WAITING = 2
"""Tasks for each worker that are handed out and not finished: one runs, one waits."""


class Workers(Protocol):
    """Compute tasks."""

    @property
    def count(self) -> int:
        """How many there are."""

    @property
    def deaths(self) -> int:
        """How many have died so far; their tasks were done again by others."""

    def run(self, function: Callable[[Task], Result], tasks: Iterable[Task]) -> Iterator[tuple[Task, Result]]:
        """Yield each task with its result as soon as it is there, in any order.

        Parameters
        ----------
        function
            A function of a module, which workers import.
        tasks
            What it is called with; taken as workers get free.

        Raises
        ------
        ToolError
            If workers keep on dying, or there are none.
        """

    def close(self) -> None:
        """End what still runs."""
