"""An accelerator on a board as a device: registers, memory and interrupt, whatever carries them."""

import time
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from rtlm.host.compiler.layout import striping_of
from rtlm.host.errors import AcceleratorError
from rtlm.host.runtime.control import Control
from rtlm.host.runtime.striped_memory import StripedMemory
from rtlm.hw.params import AcceleratorParams

LOOK_S = 1.0
"""Seconds after which STATUS is looked at, whatever the interrupt does."""
POLL_S = 0.0005
"""Pause between looks at STATUS where nothing tells of the interrupt."""


class Registers(Protocol):
    """Registers of 32 bits at byte offsets."""

    def read(self, address: int) -> int:
        """Read one."""

    def write(self, address: int, value: int) -> None:
        """Write one."""


class Memory(Protocol):
    """The board's memory as the accelerator sees it, from its byte address 0 on."""

    piece_bytes: int = 16 << 20
    """Bytes that are written between two looks at how far it has come; about."""

    def read(self, address: int, size: int) -> NDArray[np.uint8]:
        """Read bytes that the accelerator may have written."""

    def write(self, address: int, content: NDArray[np.uint8]) -> None:
        """Write bytes that the accelerator will read."""

    def clear(self, address: int, size: int) -> None:
        """Write zeros."""
        self.write(address, np.zeros(size, np.uint8))

    def seconds(self, size: int) -> float:
        """Return how long bytes take to be written, 0 where that is not known."""
        return 0.0


class Interrupt(Protocol):
    """What tells of the interrupt."""

    def wait(self, seconds: float) -> bool:
        """Wait for an interrupt; return whether one came. It may be one of an earlier step."""


class Polling:
    """Stands for an interrupt that is not connected."""

    def wait(self, seconds: float) -> bool:
        """Pause shortly."""
        time.sleep(min(seconds, POLL_S))
        return True


class BoardDevice:
    """The five methods of `rtlm.host.runtime.device.Device` on a board.

    Parameters
    ----------
    params
        What the accelerator was built from.
    registers, memory, interrupt
        The board.
    timeout_s
        Seconds that a step may take.
    name
        Of the board, for sentences.
    """

    def __init__(
        self,
        params: AcceleratorParams,
        registers: Registers,
        memory: Memory,
        interrupt: Interrupt,
        *,
        timeout_s: float,
        name: str,
    ) -> None:
        self.params, self.memory, self.name = params, memory, name
        self.control = Control(params, registers.read, registers.write)
        self.striping = striping_of(params)
        self._registers, self._interrupt, self._timeout_s = registers, interrupt, timeout_s
        self._words = StripedMemory(self.striping, params.word_bytes, memory.read, memory.write)

    def write_register(self, address: int, value: int) -> None:
        """Write 32 bits."""
        self._registers.write(address, value)

    def read_register(self, address: int) -> int:
        """Read 32 bits."""
        return self._registers.read(address)

    def write_words(self, word: int, content: NDArray[np.uint8]) -> None:
        """Write whole words (bytes in linear order) at a word address."""
        self._words.write_words(word, content)

    def read_words(self, word: int, count: int) -> NDArray[np.uint8]:
        """Read whole words as bytes in linear order."""
        return self._words.read_words(word, count)

    def run(self) -> None:
        """Wait until the accelerator has raised its interrupt.

        Raises
        ------
        AcceleratorError
            If the board does not answer, the step has ended without an interrupt, or it does not end in time. The
            accelerator is reset then, if it answers, so that a next step can begin.
        """
        deadline = time.monotonic() + self._timeout_s
        missed = False
        while True:
            came = self._interrupt.wait(min(LOOK_S, self._timeout_s))
            status = self.control.status()
            if status["done"] or status["error"]:
                if came:
                    self.control.clear_done()
                    return
                if missed:
                    self.control.reset()
                    raise AcceleratorError(
                        f"the step has ended, but no interrupt came through {self.name}: connect the accelerator's "
                        "irq, or set interrupt=poll behind the board's address"
                    )
                missed = True
            elif time.monotonic() >= deadline:
                state = self.control.state()
                self.control.reset()
                raise AcceleratorError(
                    f"the step did not end within {self._timeout_s:g} s on {self.name} ({state}); the accelerator was "
                    "reset and can be used again"
                )
