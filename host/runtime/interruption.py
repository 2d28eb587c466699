"""Ending an answer early, so that what was done is still reported."""

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from rtlm.host.runtime.device import ColumnInput, Stepper, StepResult

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def first_signal(handle: Callable[[int], None]) -> Iterator[None]:
    """Let the first SIGINT or SIGTERM within the block call something; a second one is handled as it was before.

    Outside the main thread, which alone receives signals, it does nothing.
    """
    before: dict[int, Any] = {}

    def restore() -> None:
        while before:
            signal.signal(*before.popitem())

    def first(number: int, frame: object) -> None:
        restore()
        handle(number)

    if threading.current_thread() is threading.main_thread():
        for number in SIGNALS:
            # What is ignored, as in the background of a shell, stays so.
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                before[number] = signal.signal(number, first)
    try:
        yield
    finally:
        restore()


class InterruptibleStepper:
    """Computes steps until a signal comes.

    The first signal breaks off the step that is being computed (a simulation notices after its current slice of
    cycles), or where none is, the next one before it begins. So nothing but a step is ever broken off, and all that
    came of the steps before is whole. A second signal is handled as it was before.

    Parameters
    ----------
    stepper
        What computes.

    Attributes
    ----------
    signal : int or None
        The signal that has come; None where none has.
    ended_at : float
        When the last whole step ended, by `time.perf_counter`; at first the time of construction.
    """

    def __init__(self, stepper: Stepper):
        self.columns, self.context = stepper.columns, stepper.context
        self.signal: int | None = None
        self.ended_at = time.perf_counter()
        self._stepper = stepper
        self._computing = False

    def step(self, columns: Sequence[ColumnInput], *, want_logits: bool, read_logits: bool) -> StepResult:
        """Feed one token for each column; see `Engine.step`.

        Raises
        ------
        KeyboardInterrupt
            If a signal has come.
        """
        self._computing = True
        try:
            if self.interrupted:
                raise KeyboardInterrupt
            result = self._stepper.step(columns, want_logits=want_logits, read_logits=read_logits)
            self.ended_at = time.perf_counter()
            return result
        finally:
            self._computing = False

    @property
    def interrupted(self) -> bool:
        """Whether a signal has come."""
        return self.signal is not None

    @contextmanager
    def until_signal(self) -> Iterator[None]:
        """Handle signals within the block, and end it quietly at a step that is broken off.

        Outside the main thread, which alone receives signals, it does nothing.
        """
        with first_signal(self._interrupt), suppress(KeyboardInterrupt):
            yield

    def _interrupt(self, number: int) -> None:
        self.signal = number
        if self._computing:
            raise KeyboardInterrupt
