"""The seam between generation and what computes: decoding steps, and below them an accelerator's registers and memory.

Generation, batches and speculation ask a `Stepper`. Two compute: `rtlm.host.golden.engine.GoldenEngine` with NumPy,
which has neither registers nor memory, and `rtlm.host.runtime.engine.Engine`, which drives an accelerator through a
`Device`. Devices are simulated gates (`rtlm.host.runtime.simulated_device.SimulatedDevice`), boards
(`rtlm.host.boards.device.BoardDevice`) and, where only the driver's accesses are wanted,
`rtlm.host.verification.accelerator_bench.RecordingDevice`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from rtlm.host.errors import AcceleratorError


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


def successive(tokens: Sequence[int], position: int, *, slot: int) -> tuple[ColumnInput, ...]:
    """Return the columns that take successive tokens of one sequence, the first at `position`."""
    return tuple(
        ColumnInput(token=token, position=position + c, history=position, local_first=0, slot=slot)
        for c, token in enumerate(tokens)
    )


def side_by_side(sequences: Iterable[tuple[int, int, int]]) -> tuple[ColumnInput, ...]:
    """Return the columns that take one token of each sequence: tokens, their positions, and the sequences' slots."""
    return tuple(
        ColumnInput(token=token, position=position, history=position, local_first=c, slot=slot)
        for c, (token, position, slot) in enumerate(sequences)
    )


def check_inputs(columns: Sequence[ColumnInput], *, limit: int, vocabulary: int, context: int) -> None:
    """Refuse what no step can compute, before anything is written.

    Parameters
    ----------
    columns
        The step.
    limit
        Columns of the accelerator, which has as many KV slots.
    vocabulary
        Number of tokens.
    context
        Positions of a sequence.

    Raises
    ------
    AcceleratorError
        Naming the first value that is not allowed.
    """
    if not 1 <= len(columns) <= limit:
        raise AcceleratorError(f"the columns of a step must be 1 to {limit}, got {len(columns)}")
    written = {(column.slot, column.position) for column in columns}
    if len(written) < len(columns):
        raise AcceleratorError("two columns of a step have the same position of the same KV slot")
    for c, column in enumerate(columns):
        # History ends before the first position of its slot that this step writes: memory is never read after a write.
        first = min(position for slot, position in written if slot == column.slot)
        for what, value, high in (
            ("token", column.token, vocabulary - 1),
            ("slot", column.slot, limit - 1),
            ("position", column.position, context - 1),
            ("history", column.history, first),
            ("local_first", column.local_first, c),
        ):
            if not 0 <= value <= high:
                raise AcceleratorError(f"{what} of column {c} must be from 0 to {high}, got {value}")


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


class Stepper(Protocol):
    """Computes decoding steps.

    Attributes
    ----------
    columns : int
        Tokens of a step at most, and KV slots.
    context : int
        Positions of a sequence.
    """

    columns: int
    context: int

    def step(self, columns: Sequence[ColumnInput], *, want_logits: bool, read_logits: bool) -> StepResult:
        """Feed one token for each column.

        Parameters
        ----------
        columns
            What each column computes, at most `columns`.
        want_logits
            Whether the output projection runs.
        read_logits
            Whether the logits are given back, not only the arg-max.

        Raises
        ------
        AcceleratorError
            If an input is out of range, or the accelerator stopped with an error.
        """


class Device(Protocol):
    """Registers and memory of an accelerator, whose memory holds an image before an `Engine` drives it."""

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
