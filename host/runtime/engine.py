"""Runs decoding steps on an accelerator: what the driver does with its registers and its memory."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from rtlm.host.compiler.header import ImageHeader
from rtlm.host.compiler.layout import MemoryMap
from rtlm.host.errors import AcceleratorError
from rtlm.host.runtime.control import Control
from rtlm.host.runtime.device import ColumnInput, Device, StepResult, check_inputs
from rtlm.hw.params import AcceleratorParams
from rtlm.hw.registers.accelerator import COUNTERS


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
    context
        Positions of a sequence for which the memory image has tables.
    program_crc
        From `rtlm.host.compiler.program.program_crc`; 0 leaves the program unchecked.

    Raises
    ------
    AcceleratorError
        If the device is no accelerator of this configuration, its memory holds no image for it, or a reset does not
        end what an earlier program has left running.
    """

    def __init__(
        self,
        device: Device,
        params: AcceleratorParams,
        memory: MemoryMap,
        *,
        vocabulary: int,
        context: int,
        program_crc: int = 0,
    ):
        self.device = device
        self.params = params
        self.memory = memory
        self.vocabulary = vocabulary
        self.columns = params.columns
        self.context = context
        self.control = Control(params, device.read_register, device.write_register)
        self.registers = self.control.registers
        self.control.check_identity()
        self.free()
        self._check_image()
        self.registers.write("PROGRAM_BASE", memory.address("program"))
        self.registers.write("PROGRAM_WORDS", memory.regions["program"].words)
        self.registers.write("PROGRAM_CRC", program_crc)
        self.registers.write("LIMIT", memory.beats)

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
            If an input is not allowed, or the accelerator stopped with an error, in this step or before a `reset`.
        """
        check_inputs(columns, limit=self.columns, vocabulary=self.vocabulary, context=self.context)
        if self.control.stopped:
            raise AcceleratorError("the accelerator has stopped with an error; reset it before the next step")
        write = self.registers.write
        write("COLUMNS", len(columns))
        for c, column in enumerate(columns):
            write("TOKEN", column.token, c)
            write("POSITION", column.position, c)
            write("HISTORY", column.history, c)
            write("LOCAL_FIRST", column.local_first, c)
            write("KV_BASE", self.memory.address(f"kv{column.slot}"), c)
        control = self.registers.registers["CONTROL"]
        write("CONTROL", control.encode(start=1, no_logits=not want_logits, store_logits=read_logits))
        self.device.run()
        self.check_error()
        best = [self.registers.read("BEST", c) for c in range(len(columns))] if want_logits else None
        logits = self.read_logits(len(columns)) if want_logits and read_logits else None
        return StepResult(best=best, logits=logits, counters=self.counters())

    def read_logits(self, columns: int) -> NDArray[np.float32]:
        """Read the result buffer, float32 of shape (columns, vocabulary)."""
        region = self.memory.regions["logits"]
        raw = self.device.read_words(region.start, region.entry_words * columns).view("<f4").reshape(columns, -1)
        return raw[:, : self.vocabulary].astype(np.float32)

    def counters(self) -> dict[str, int]:
        """Read the counters of the last step."""
        return {name: self.registers.read(name) for name in COUNTERS}

    def free(self) -> None:
        """Reset an accelerator that was left within a step or stopped: its registers are locked."""
        self.control.free()

    def _check_image(self) -> None:
        region = self.memory.regions["header"]
        header = ImageHeader.parse(self.device.read_words(region.start, region.words))
        header.check(self.params)
        if header.words != self.memory.words:
            raise AcceleratorError(
                f"the memory image in the device takes {header.words} words; that of this model {self.memory.words}"
            )

    def reset(self) -> None:
        """Reset the accelerator after an error or within a step; memory and registers keep their content."""
        self.control.reset()

    def check_error(self) -> None:
        """Raise an `AcceleratorError` with a sentence if the accelerator has stopped with an error."""
        self.control.check_error()
