"""Runs decoding steps on an accelerator, whatever stands behind its registers and its memory."""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rtlm.host.errors import AcceleratorError
from rtlm.host.layout import F32_BYTES, MemoryMap
from rtlm.hw.control.registers import (
    COUNTERS,
    ID_VALUE,
    VERSION_VALUE,
    Error,
    register_map,
)
from rtlm.hw.params import AcceleratorParams


class Device(Protocol):
    """Registers and memory of an accelerator: simulated gates, the golden model, or a board."""

    def write_register(self, address: int, value: int) -> None:
        """Write 32 bits."""

    def read_register(self, address: int) -> int:
        """Read 32 bits."""

    def write_words(self, word: int, content: NDArray[np.uint8]) -> None:
        """Write whole words (bytes in linear order) at a word address."""

    def read_words(self, word: int, count: int) -> NDArray[np.uint8]:
        """Read whole words as bytes in linear order."""

    def run(self) -> None:
        """Wait until the accelerator has raised its interrupt."""


@dataclass(frozen=True, kw_only=True)
class ColumnInput:
    """What one column computes in a step.

    Parameters
    ----------
    token
        Token that is fed.
    position
        Its position.
    history
        Positions of its sequence that lie in the KV cache.
    local_first
        First column of this step that it attends to.
    slot
        KV slot of its sequence.
    """

    token: int
    position: int
    history: int
    local_first: int
    slot: int


@dataclass(frozen=True, kw_only=True)
class StepResult:
    """What a step gave.

    Parameters
    ----------
    best
        Arg-max token of each column, None where logits were skipped.
    logits
        float32 of shape (columns, vocabulary) where they were read back.
    counters
        The accelerator's counters of this step, by name; `cycles` is the step's length.
    """

    best: list[int] | None
    logits: NDArray[np.float32] | None
    counters: dict[str, int]


class Engine:
    """Drives an accelerator through its registers and memory only.

    Parameters
    ----------
    device
        The accelerator, its memory already holding the image.
    params
        What it was built from.
    memory
        Where things lie in its memory.
    vocabulary
        Number of logits.

    Raises
    ------
    AcceleratorError
        If the device is no accelerator of this configuration.
    """

    def __init__(self, device: Device, params: AcceleratorParams, memory: MemoryMap, *, vocabulary: int):
        self.device = device
        self.params = params
        self.memory = memory
        self.vocabulary = vocabulary
        self._map = register_map(params.columns)
        self._check_identity()
        self._write("PROGRAM_BASE", memory.address("program"))
        self._write("PROGRAM_WORDS", memory.regions["program"].words)
        self._write("LIMIT", memory.beats)

    def step(
        self, columns: Sequence[ColumnInput], *, want_logits: bool = True, read_logits: bool = False
    ) -> StepResult:
        """Feed one token for each column.

        Parameters
        ----------
        columns
            At most as many as the accelerator has.
        want_logits
            Whether the output projection runs.
        read_logits
            Whether the logits are written to memory and read back.

        Raises
        ------
        AcceleratorError
            If the accelerator stopped with an error.
        """
        if not 1 <= len(columns) <= self.params.columns:
            raise AcceleratorError(f"{len(columns)} columns are asked for; the accelerator has {self.params.columns}")
        self._write("COLUMNS", len(columns))
        for c, column in enumerate(columns):
            self._write(f"TOKEN{c}", column.token)
            self._write(f"POSITION{c}", column.position)
            self._write(f"HISTORY{c}", column.history)
            self._write(f"LOCAL_FIRST{c}", column.local_first)
            self._write(f"KV_BASE{c}", self.memory.address(f"kv{column.slot}"))
        start = self._map.field("CONTROL", "start") | (0 if want_logits else self._map.field("CONTROL", "no_logits"))
        start |= self._map.field("CONTROL", "store_logits") if read_logits else 0
        self._write("CONTROL", start)
        self.device.run()
        self._check_error()
        best = [self._read(f"BEST{c}") for c in range(len(columns))] if want_logits else None
        logits = self.read_logits(len(columns)) if want_logits and read_logits else None
        return StepResult(best=best, logits=logits, counters=self.counters())

    def read_logits(self, columns: int) -> NDArray[np.float32]:
        """Read the result buffer, float32 of shape (columns, vocabulary)."""
        words = -(-F32_BYTES * self.vocabulary // self.params.word_bytes)
        start = self.memory.regions["logits"].start
        raw = self.device.read_words(start, words * columns).view("<f4").reshape(columns, -1)
        return raw[:, : self.vocabulary].astype(np.float32)

    def counters(self) -> dict[str, int]:
        """Read the counters of the last step."""
        return {name: self._read(name) for name in COUNTERS}

    def _check_identity(self) -> None:
        if (value := self._read("ID")) != ID_VALUE:
            raise AcceleratorError(f"the device's ID register is {value:#010x}; an rtlm accelerator has {ID_VALUE:#010x}")
        if (value := self._read("VERSION")) != VERSION_VALUE:
            raise AcceleratorError(f"the accelerator has register map version {value}; this driver knows {VERSION_VALUE}")
        value = self._read("CONFIG_HASH_LOW") | self._read("CONFIG_HASH_HIGH") << 32
        if value != self.params.config_hash:
            raise AcceleratorError(
                f"the accelerator was built from configuration {value:016x}, "
                f"but the memory image is for {self.params.config_hash:016x}"
            )

    def _check_error(self) -> None:
        code = self._read("ERROR")
        if code:
            error = Error(code)
            raise AcceleratorError(f"the accelerator stopped with error {code} ({error.name.lower()}): {error.meaning}")

    def _write(self, name: str, value: int) -> None:
        self.device.write_register(self._map.address(name), value)

    def _read(self, name: str) -> int:
        return self.device.read_register(self._map.address(name))


def best_value(bits: int) -> float:
    """Turn the bits of a BEST_VALUE register into the logit."""
    return struct.unpack("<f", struct.pack("<I", bits))[0]


Progress = Callable[[str, int, int], None]
"""Called with a stage's name, how much is done and how much there is."""
