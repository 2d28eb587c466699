"""The simulated accelerator as a device: registers and words in front of the Verilator model."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from rtlm.host.compiler.header import check_image
from rtlm.host.compiler.layout import MemoryMap, striping_of
from rtlm.host.compiler.plan import PURPOSES
from rtlm.host.runtime.striped_memory import StripedMemory
from rtlm.host.runtime.trace import Trace
from rtlm.hw.params import AcceleratorParams
from rtlm.sim import AcceleratorModel


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
        self.striping = striping_of(params)
        self._memory = StripedMemory(self.striping, params.word_bytes, model.read, model.write)
        self.trace: Trace | None = None
        self.on_slice: Callable[[], None] = lambda: None
        """Called between slices of cycles of a step that is not traced; what it raises breaks the step off."""

    def load(self, image: NDArray[np.uint8]) -> None:
        """Check a linear image and write it to address 0."""
        check_image(self.params, image)
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
        self._memory.write_words(word, content)

    def read_words(self, word: int, count: int) -> NDArray[np.uint8]:
        """Read whole words as bytes in linear order."""
        return self._memory.read_words(word, count)

    def write_register(self, address: int, value: int) -> None:
        """Write 32 bits over AXI4-Lite."""
        if self.trace:
            self.trace.update()
        self.model.write_register(address, value)

    def read_register(self, address: int) -> int:
        """Read 32 bits over AXI4-Lite."""
        if self.trace:
            self.trace.update()
        return self.model.read_register(address)

    def run(self) -> None:
        """Wait until the accelerator has raised its interrupt."""
        if self.trace:
            self.trace.advance()
        else:
            self.model.run(on_slice=self.on_slice)
