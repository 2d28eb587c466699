"""The simulated accelerator as a device: registers and words in front of the Verilator model."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rtlm.host.layout import PURPOSES, MemoryMap
from rtlm.hw.memory import Striping
from rtlm.hw.params import AcceleratorParams
from rtlm.sim import AcceleratorModel

TRACE_STEP = 256
"""Cycles between two looks at the interrupt while a waveform is written or awaited."""


class SimulatedDevice:
    """The accelerator's gates in Verilator, with their memory.

    Parameters
    ----------
    model
        The simulation.
    params
        What the gates were generated from.
    """

    def __init__(self, model: AcceleratorModel, params: AcceleratorParams):
        self.model = model
        self.params = params
        self.striping = Striping(ports=params.ports, port_bytes=params.port_bytes)
        self.write_register = model.write_register
        self.read_register = model.read_register
        self._trace: tuple[Path, int, int] | None = None
        self._tracing = False

    @staticmethod
    def memory_bytes(params: AcceleratorParams, memory: MemoryMap) -> int:
        """Give the bytes of memory that a memory map takes, to the end of its last stripe."""
        stripe = Striping(ports=params.ports, port_bytes=params.port_bytes).stripe_bytes
        return -(-memory.words * params.word_bytes // stripe) * stripe

    def load(self, image: NDArray[np.uint8]) -> None:
        """Write a linear image to address 0."""
        self.model.write(0, self.striping.scatter(image))

    def count_purposes(self, memory: MemoryMap) -> None:
        """Count bytes by purpose from now on.

        Each port's part of a region is a range of its own, and one that begins or ends within a stripe is cut there.
        """
        purposes: dict[str, list[tuple[int, int]]] = {purpose: [] for purpose in PURPOSES}
        striping, beats = self.striping, self.params.beats_per_word
        for region in memory.regions.values():
            first, end = region.start * beats, (region.start + region.words) * beats
            while first < end:
                stop = min(end, (first // striping.burst_beats + 1) * striping.burst_beats)
                if first % striping.burst_beats == 0 and stop < end:
                    # Whole stripes are one range over all ports.
                    stop = end // striping.burst_beats * striping.burst_beats
                    start = striping.byte_address(first, 0)
                    size = (stop - first) * striping.beat_bytes
                    purposes[region.purpose].append((start, start + size))
                else:
                    for port in range(striping.ports):
                        start = striping.byte_address(first, port)
                        size = (stop - first) * striping.port_bytes
                        purposes[region.purpose].append((start, start + size))
                first = stop
        self.model.set_purposes(purposes)

    def write_words(self, word: int, content: NDArray[np.uint8]) -> None:
        """Write whole words (bytes in linear order) at a word address."""
        for address, piece in self._pieces(word, content.reshape(-1)):
            self.model.write(address, piece)

    def read_words(self, word: int, count: int) -> NDArray[np.uint8]:
        """Read whole words as bytes in linear order."""
        stripe = self.striping.stripe_bytes
        first = word * self.params.word_bytes
        start, end = first // stripe * stripe, -(-(first + count * self.params.word_bytes) // stripe) * stripe
        linear = self.striping.gather(self.model.read(start, end - start))
        return linear[first - start : first - start + count * self.params.word_bytes]

    def run(self) -> None:
        """Wait until the accelerator has raised its interrupt."""
        if self._trace:
            self._run_traced(*self._trace)
        self.model.run()

    def schedule_trace(self, path: Path, first: int, last: int) -> None:
        """Write a waveform of the cycles from `first` to `last`, counted from the simulation's start."""
        self._trace = (path, first, last)

    def _run_traced(self, path: Path, first: int, last: int) -> None:
        """Run to the end of a step or of the window, in pieces that end at the window's borders."""
        while not self.model.irq and self.model.cycles < last:
            inside = self.model.cycles >= first
            if inside and not self._tracing:
                self.model.trace_start(path)
                self._tracing = True
            border = last if inside else first
            self.model.step(min(border - self.model.cycles, TRACE_STEP))
        if self.model.cycles >= last:
            if self._tracing:
                self.model.trace_stop()
            self._trace, self._tracing = None, False

    def _pieces(self, word: int, content: NDArray[np.uint8]) -> list[tuple[int, NDArray[np.uint8]]]:
        """Cut linear bytes into what lies together in memory: one port's part of a beat."""
        width, beats = self.striping.port_bytes, self.params.beats_per_word
        parts = content.reshape(-1, self.striping.ports, width)
        return [
            (self.striping.byte_address(word * beats + beat, port), parts[beat, port])
            for beat in range(len(parts))
            for port in range(self.striping.ports)
        ]
