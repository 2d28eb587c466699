"""Processes of this machine as workers."""

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from rtlm.gen.common.errors import ToolError
from rtlm.host.exploration.workers import WAITING

Task = TypeVar("Task")
Result = TypeVar("Result")

MOST_DEATHS = 3
"""Workers that may die one after the other, with no task finished between."""


class LocalWorkers:
    """Processes of this machine.

    Parameters
    ----------
    count
        How many.
    """

    def __init__(self, count: int):
        self._count = count
        self._deaths = 0
        self._pool: ProcessPoolExecutor | None = None

    @property
    def count(self) -> int:
        """How many there are."""
        return self._count

    @property
    def deaths(self) -> int:
        """How many times processes have died so far."""
        return self._deaths

    def run(self, function: Callable[[Task], Result], tasks: Iterable[Task]) -> Iterator[tuple[Task, Result]]:
        """Yield each task with its result; tasks of a process that died are done again in new ones."""
        coming = iter(tasks)
        again: list[Task] = []
        running: dict[Future[Result], Task] = {}
        deaths_in_a_row = 0
        while True:
            while len(running) < WAITING * self._count:
                task = again.pop() if again else next(coming, None)
                if task is None:
                    break
                try:
                    running[self._executor().submit(function, task)] = task
                except BrokenProcessPool:
                    again.append(task)
                    break
            if not running and not again:
                return
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            broken = not running
            for future in done:
                task = running.pop(future)
                try:
                    result = future.result()
                except BrokenProcessPool:
                    broken = True
                    again.append(task)
                    continue
                deaths_in_a_row = 0
                yield task, result
            if broken:
                # One death ends the pool: everything that was handed out is done again.
                again += running.values()
                running.clear()
                self._end()
                self._deaths += 1
                deaths_in_a_row += 1
                if deaths_in_a_row == MOST_DEATHS:
                    raise ToolError(
                        f"{MOST_DEATHS} worker processes died one after the other, with no result between them "
                        "(memory may be short: --workers 1 needs least); every result before is stored"
                    )

    def close(self) -> None:
        """End the processes, whatever they do."""
        self._end()

    def _executor(self) -> ProcessPoolExecutor:
        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                self._count, mp_context=multiprocessing.get_context("spawn"), initializer=_prepare_process
            )
        return self._pool

    def _end(self) -> None:
        if self._pool is None:
            return
        processes = list((self._pool._processes or {}).values())
        for process in processes:
            # With all that it has started; before it leads a group it has started nothing. The pool itself ends the
            # others as soon as one is gone, and then their groups are still there.
            if process.pid is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
        for process in processes:
            process.kill()
            process.join()
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._pool = None


def _prepare_process() -> None:
    """Make a process leader of a group, which ends with it: what it starts (compilers, yosys) outlives no sweep.

    Ctrl-C so is for the parent alone, which ends its workers; where the parent is killed, they notice.
    """
    os.setsid()
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.killpg(os.getpgrp(), signal.SIGKILL)
