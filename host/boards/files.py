"""Device files: opened with a sentence where they cannot be, registers in a mapped one, interrupts told by one."""

import mmap
import os
import select
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from rtlm.host.errors import AcceleratorError


@contextmanager
def opened(path: str, flags: int = os.O_RDWR, *, why: str) -> Iterator[int]:
    """Open a device file; give its descriptor.

    Parameters
    ----------
    path
        The file.
    flags
        How it is opened.
    why
        What it is needed for and where it is from, for the sentence if it cannot be opened.

    Raises
    ------
    AcceleratorError
        If it cannot be opened.
    """
    try:
        descriptor = os.open(path, flags | os.O_CLOEXEC)
    except OSError as error:
        raise AcceleratorError(f"{path} cannot be opened: {error.strerror}; it is {why}") from None
    try:
        yield descriptor
    finally:
        os.close(descriptor)


class MappedRegisters:
    """Registers of 32 bits in a device file that is mapped.

    Parameters
    ----------
    descriptor
        The device file.
    offset
        Where the mapped part begins in the file, a multiple of the page size.
    first
        Where the registers begin in that part.
    size
        Bytes of registers.
    name
        Of the file, for sentences.

    Raises
    ------
    AcceleratorError
        If the file cannot be mapped.
    """

    def __init__(self, descriptor: int, *, offset: int = 0, first: int = 0, size: int, name: str) -> None:
        length = -(-(first + size) // mmap.PAGESIZE) * mmap.PAGESIZE
        try:
            self._map = mmap.mmap(descriptor, length, offset=offset)
        except (OSError, ValueError) as error:
            raise AcceleratorError(f"the registers in {name} cannot be mapped: {error}") from None
        # An aligned element of NumPy is read and written by one access of its width, as devices need.
        self._words: np.ndarray | None = np.frombuffer(self._map, "<u4", length // 4)
        self._first = first // 4

    def read(self, address: int) -> int:
        """Return the register at a byte offset."""
        assert self._words is not None
        return int(self._words[self._first + address // 4])

    def write(self, address: int, value: int) -> None:
        """Write the register at a byte offset."""
        assert self._words is not None
        self._words[self._first + address // 4] = value

    def close(self) -> None:
        """Undo the mapping."""
        self._words = None
        self._map.close()


class EventFile:
    """A device file that tells of interrupts.

    Parameters
    ----------
    descriptor
        The file: it can be read when an interrupt has come, and a read takes the number of interrupts.
    name
        Of the file, for sentences.
    """

    def __init__(self, descriptor: int, name: str) -> None:
        self._descriptor, self._name = descriptor, name
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLIN)

    def wait(self, seconds: float) -> bool:
        """Wait for an interrupt; return whether one came. It may be one of an earlier step.

        Raises
        ------
        AcceleratorError
            If the file tells of none any more.
        """
        if not self._poll.poll(seconds * 1000):
            return False
        try:
            taken = os.read(self._descriptor, 4)
        except OSError as error:
            raise AcceleratorError(f"{self._name} tells of no interrupts any more: {error.strerror}") from None
        if len(taken) != 4:
            raise AcceleratorError(f"{self._name} tells of no interrupts any more: it has ended")
        return True
