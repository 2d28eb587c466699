"""What a driver does with an accelerator's registers besides steps: recognise it, reset it, read what went wrong."""

from collections.abc import Callable

from rtlm.host.errors import AcceleratorError
from rtlm.hw.control.errors import Error
from rtlm.hw.params import AcceleratorParams
from rtlm.hw.registers import RegisterAccess
from rtlm.hw.registers.accelerator import COUNTERS, ID_VALUE, VERSION_VALUE, register_map

RESET_POLLS = 1000
"""Looks at STATUS before a reset counts as failed; outstanding bus transfers end long before."""
NO_ANSWER = 0xFFFFFFFF
"""What a read gives where no device answers, on PCI Express by definition; no value of STATUS."""


class Control:
    """Identity, state and reset of an accelerator.

    Parameters
    ----------
    params
        What it should have been built from.
    read32, write32
        Reads and writes the register at a byte offset.
    """

    def __init__(
        self, params: AcceleratorParams, read32: Callable[[int], int], write32: Callable[[int, int], None]
    ) -> None:
        self.params = params
        self.registers = RegisterAccess(register_map(params.columns), read32, write32)
        self.stopped = False
        """Whether it has stopped with an error: until a reset, registers are locked."""

    def check_identity(self) -> None:
        """Check that this is an accelerator of this configuration.

        Raises
        ------
        AcceleratorError
            Naming the first value that is another one.
        """
        if (value := self.registers.read("ID")) != ID_VALUE:
            raise AcceleratorError(
                f"the device's ID register is {value:#010x}; that of an accelerator is {ID_VALUE:#010x}"
            )
        if (value := self.registers.read("VERSION")) != VERSION_VALUE:
            raise AcceleratorError(
                f"the accelerator has register map {value}; this driver knows version {VERSION_VALUE}"
            )
        value = self.registers.read("CONFIG_HASH_LOW") | self.registers.read("CONFIG_HASH_HIGH") << 32
        if value != self.params.config_hash:
            raise AcceleratorError(
                f"the accelerator was built from configuration {value:016x}, "
                f"but the memory image is for {self.params.config_hash:016x}"
            )

    def status(self) -> dict[str, int]:
        """Return the fields of STATUS.

        Raises
        ------
        AcceleratorError
            If no device answers.
        """
        value = self.registers.read("STATUS")
        if value == NO_ANSWER:
            raise AcceleratorError(f"the accelerator does not answer: its register STATUS reads {value:#010x}")
        return self.registers.registers["STATUS"].decode(value)

    def free(self) -> None:
        """Reset an accelerator that was left within a step or stopped: its registers are locked."""
        status = self.status()
        if status["busy"] or status["error"] or status["resetting"]:
            self.reset()

    def clear_done(self) -> None:
        """Lower the interrupt of a step that has ended, so that the next one's is another."""
        self.registers.write("CONTROL", self.registers.registers["CONTROL"].encode(clear_done=1))

    def reset(self) -> None:
        """Reset the accelerator after an error or within a step; memory and registers keep their content.

        Raises
        ------
        AcceleratorError
            If it does not come out of the reset.
        """
        self.registers.write("CONTROL", self.registers.registers["CONTROL"].encode(reset=1))
        for _ in range(RESET_POLLS):
            if not self.status()["resetting"]:
                self.stopped = False
                return
        raise AcceleratorError(f"the accelerator has not come out of reset after {RESET_POLLS} looks at STATUS")

    def check_error(self) -> None:
        """Raise an `AcceleratorError` with a sentence if the accelerator has stopped with an error."""
        code = self.registers.read("ERROR")
        if not code:
            return
        self.stopped = True
        if code not in {error.value for error in Error}:
            raise AcceleratorError(f"the register ERROR reads {code:#x}, which no accelerator has; it does not answer")
        error = Error(code)
        raise AcceleratorError(f"the accelerator stopped with error {code} ({error.name.lower()}): {error.meaning}")

    def state(self) -> str:
        """Return in words where the accelerator stands, for a step that does not end."""
        flags = [name for name, value in self.status().items() if value] or ["idle"]
        counters = ((name, self.registers.read(name)) for name in COUNTERS)
        counted = ", ".join(f"{name} {value:,}" for name, value in counters if value)
        return f"STATUS {' '.join(flags)}, ERROR {self.registers.read('ERROR')}, {counted or 'all counters 0'}"
