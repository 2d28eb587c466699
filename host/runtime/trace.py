"""Windows of clock cycles in which a simulation writes a trace: a waveform, or samples of the switching activity."""

import random
from collections.abc import Iterable, Iterator
from pathlib import Path

from rtlm.sim import AcceleratorModel

SAMPLE_CYCLES = 1024
"""Length of a sample of switching activity. A bit counts at most one toggle too many in each, hence at most 0.1 %."""
SAMPLES = 32
"""Samples in a step: two seconds of processor time with the configuration `kv260`, at 20,000 traced cycles/s."""


class Trace:
    """Writes the cycles in some windows to one file, while the accelerator works.

    Parameters
    ----------
    model
        The simulation; its build must have been made with a trace.
    path
        File to write.
    windows
        First cycle and cycle after the last of each window, in order, counted from the simulation's start.
    """

    def __init__(self, model: AcceleratorModel, path: Path, windows: Iterable[tuple[int, int]]):
        self.model = model
        self.path = path
        self.started = False
        self.windows = 0
        """Windows that were begun."""
        self._recording = False
        self._windows = iter(windows)
        self._window = next(self._windows, None)

    def advance(self) -> None:
        """Run until the interrupt, recording the cycles that lie in a window."""
        while not self.model.irq:
            border = self.update()
            if border is None:
                self.model.run()
            else:
                self.model.advance(border - self.model.cycles)

    def update(self) -> int | None:
        """Begin, pause or end the file at this cycle, and return the cycle of the next border; None: no more."""
        now = self.model.cycles
        while self._window and now >= self._window[1]:
            self._window = next(self._windows, None)
            if self._recording:
                self.model.trace_pause(True)
                self._recording = False
        if self._window is None:
            self.close()
            return None
        first, end = self._window
        if now < first:
            return first
        if not self.started:
            self.model.trace_start(self.path)
            self.started = True
        if not self._recording:
            self.model.trace_pause(False)
            self._recording = True
            self.windows += 1
        return end

    def close(self) -> None:
        """End the file."""
        if self.started:
            self.model.trace_stop()
        self._windows, self._window = iter(()), None


def sample_windows(
    start: int, expected_cycles: int, *, samples: int = SAMPLES, cycles: int = SAMPLE_CYCLES, seed: int = 0
) -> Iterator[tuple[int, int]]:
    """Yield windows spread over a step, without end: one of `cycles` at a random place of each period.

    The period is the expected length divided by `samples`; the random place keeps the samples from falling on the
    same operator of every layer.

    Parameters
    ----------
    start
        Cycle in which the step begins.
    expected_cycles
        Its length, as far as it is known beforehand.
    samples, cycles
        How many windows the expected length has, and how long each is.
    seed
        Of the random places.
    """
    period = max(expected_cycles // samples, cycles)
    places = random.Random(seed)
    while True:
        first = start + places.randint(0, period - cycles)
        yield first, first + cycles
        start += period
