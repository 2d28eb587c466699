"""Workers of a Dask cluster, on this machine or on others."""

import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from rtlm.gen.common.errors import ToolError
from rtlm.gen.common.installation import install_command
from rtlm.host.exploration.workers import WAITING

Task = TypeVar("Task")
Result = TypeVar("Result")

CONNECT_SECONDS = 10
POLL_SECONDS = 1.0
LONELY_SECONDS = 60
"""Time without any worker after which a sweep ends."""
EXTRA = "dask"


class DaskWorkers:
    """The workers of a scheduler.

    A task whose worker dies is given to another one by the scheduler, which gives up after a few deaths
    (``distributed.scheduler.allowed-failures``, 3 by default).

    Parameters
    ----------
    address
        Of the scheduler, such as ``tcp://127.0.0.1:8786``.

    Raises
    ------
    ToolError
        If Dask is not installed, or no scheduler answers there, or it has no workers.
    """

    def __init__(self, address: str):
        try:
            import distributed
        except ImportError:
            raise ToolError(f"--scheduler needs Dask: {install_command(EXTRA)}") from None
        self._distributed = distributed
        self._address = address
        self._client: Any = None
        try:
            self._client = distributed.Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
            self._client.wait_for_workers(1, timeout=CONNECT_SECONDS)
        except (OSError, ValueError, TypeError, TimeoutError) as error:
            what = "has no worker" if self._client else "does not answer"
            self.close()
            raise ToolError(f"the scheduler {address} {what} ({str(error).partition(chr(10))[0]})") from None
        self._names = self._ask()
        self._seen = set(self._names)
        self._asked = time.monotonic()

    @property
    def count(self) -> int:
        """How many there are, but for those that have died; at least 1, as others may come."""
        self._look()
        return max(1, len(self._names))

    @property
    def deaths(self) -> int:
        """How many of those that were there once are gone."""
        self._names = self._ask()
        return len(self._seen - self._names)

    def run(self, function: Callable[[Task], Result], tasks: Iterable[Task]) -> Iterator[tuple[Task, Result]]:
        """Yield each task with its result as soon as it is there."""
        coming = iter(tasks)
        running: dict[Any, Task] = {}
        lonely_since: float | None = None
        while True:
            for task in itertools.islice(coming, max(0, WAITING * self.count - len(running))):
                # Impure: its key is fresh, so that nothing of an earlier sweep is taken.
                running[self._client.submit(function, task, pure=False)] = task
            if not running:
                return
            results = self._finished(list(running))
            for future, result in results:
                yield running.pop(future), result
            lonely_since = None if results or self._names else lonely_since or time.monotonic()
            if lonely_since is not None and time.monotonic() - lonely_since > LONELY_SECONDS:
                raise ToolError(
                    f"the scheduler {self._address} has had no worker for {LONELY_SECONDS} s; "
                    "every result before is stored"
                )

    def close(self) -> None:
        """Leave the cluster; tasks that still run there are given up."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def _finished(self, futures: list[Any]) -> list[tuple[Any, Any]]:
        """Return those that are finished with their results, none if that takes long."""
        found: list[tuple[Any, Any]] = []
        try:
            with self._client.as_current():
                state = self._distributed.wait(futures, timeout=POLL_SECONDS, return_when="FIRST_COMPLETED")
            for future in futures:
                if future in state.done:
                    # A result is lost with its worker if that dies now, and is then computed again.
                    found.append((future, future.result(timeout=POLL_SECONDS)))
        except TimeoutError:
            self._look()
        except self._distributed.KilledWorker:
            raise ToolError(
                "Dask gave a task up after every worker that had it died; every result before is stored"
            ) from None
        except self._distributed.CancelledError as error:
            raise self._lost(error) from None
        return found

    def _lost(self, error: BaseException) -> ToolError:
        reason = str(error).partition("\n")[0]
        return ToolError(f"the scheduler {self._address} is lost ({reason}); every result before is stored")

    def _look(self) -> None:
        """See now and then who is there."""
        if time.monotonic() - self._asked >= POLL_SECONDS:
            self._names, self._asked = self._ask(), time.monotonic()
            self._seen |= self._names

    def _ask(self) -> set[str]:
        return set(self._client.scheduler_info(n_workers=-1)["workers"])
