"""Accelerators in a Zynq: registers and interrupt by Linux's userspace I/O, memory in a contiguous buffer."""

import mmap
import os
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from rtlm.host.boards.address import BoardAddress
from rtlm.host.boards.contiguous import contiguous_memory
from rtlm.host.boards.device import BoardDevice, Interrupt, Polling
from rtlm.host.boards.files import EventFile, MappedRegisters, opened
from rtlm.host.errors import AcceleratorError
from rtlm.hw.params import AcceleratorParams
from rtlm.hw.registers.accelerator import register_map

WHY = "a device file of Linux's userspace I/O (uio_pdrv_genirq), which the device tree gives to the accelerator"
ENABLE = struct.pack("=I", 1)


class UioInterrupt(EventFile):
    """The interrupt of a UIO device, which its driver turns off whenever it comes; 1 written turns it on.

    Parameters
    ----------
    descriptor
        The device file.
    name
        Of the file, for sentences.
    """

    def __init__(self, descriptor: int, name: str) -> None:
        super().__init__(descriptor, name)
        self._on = False

    def wait(self, seconds: float) -> bool:
        """Wait for an interrupt; return whether one came. It may be one of an earlier step."""
        if not self._on:
            try:
                # The level is still high if the step has ended already: the interrupt comes at once then.
                os.write(self._descriptor, ENABLE)
            except OSError as error:
                raise AcceleratorError(
                    f"the interrupt of {self._name} cannot be waited for: {error.strerror}; the device tree must name "
                    "it, or set interrupt=poll behind the board's address"
                ) from None
        came = super().wait(seconds)
        self._on = not came
        return came


@contextmanager
def open_uio(address: BoardAddress, params: AcceleratorParams, memory_bytes: int) -> Iterator[BoardDevice]:
    """Open the files of an accelerator in a Zynq.

    Parameters
    ----------
    address
        Where they are.
    params
        The accelerator's.
    memory_bytes
        Bytes of memory that are needed.

    Raises
    ------
    AcceleratorError
        If one of them cannot be used.
    """
    path = address.path
    with ExitStack() as stack:
        file = stack.enter_context(opened(path, why=WHY))
        # The number of a map is told by the offset at which the file is mapped.
        offset = address.number("map") * mmap.PAGESIZE
        registers = MappedRegisters(file, offset=offset, size=register_map(params.columns).size, name=path)
        stack.callback(registers.close)
        interrupt: Interrupt = Polling() if address.polls else UioInterrupt(file, path)
        memory = stack.enter_context(contiguous_memory(address, memory_bytes))
        yield BoardDevice(params, registers, memory, interrupt, timeout_s=address.timeout_s, name=address.name)
