"""Cards on PCI Express behind AMD's XDMA driver: registers in a BAR, memory by DMA files, a file for the interrupt."""

import mmap
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import numpy as np
from numpy.typing import NDArray
from rtlm.host.boards.address import BoardAddress
from rtlm.host.boards.device import BoardDevice, Interrupt, Memory, Polling
from rtlm.host.boards.files import EventFile, MappedRegisters, opened
from rtlm.host.errors import AcceleratorError
from rtlm.hw.params import AcceleratorParams
from rtlm.hw.registers.accelerator import register_map

CHUNK_BYTES = 4 << 20
"""Bytes of a transfer at most: the driver pins as many pages of the buffer, and gives up after 10 s."""
WHY = "a device file of AMD's XDMA driver (module xdma)"


class XdmaMemory(Memory):
    """The card's memory through a pair of DMA files.

    Parameters
    ----------
    to_card, from_card
        Descriptors of the two files.
    base
        DMA address of the accelerator's byte address 0.
    name
        Of the card, for sentences.
    """

    def __init__(self, to_card: int, from_card: int, *, base: int, name: str) -> None:
        self._to_card, self._from_card, self._base, self._name = to_card, from_card, base, name
        # Anonymous memory begins at a page: the engine wants buffer and address equally aligned.
        self._bounce = mmap.mmap(-1, CHUNK_BYTES)

    def write(self, address: int, content: NDArray[np.uint8]) -> None:
        """Write bytes, some at a time."""
        flat = np.ascontiguousarray(content).reshape(-1)
        done = 0
        while done < flat.size:
            piece = flat[done : done + CHUNK_BYTES]
            self._bounce[: piece.size] = piece.tobytes()
            with memoryview(self._bounce)[: piece.size] as view:
                self._transfer("write", os.pwrite, self._to_card, view, address + done)
            done += piece.size

    def read(self, address: int, size: int) -> NDArray[np.uint8]:
        """Read bytes, some at a time."""
        content = np.empty(size, np.uint8)
        done = 0
        while done < size:
            count = min(CHUNK_BYTES, size - done)
            with memoryview(self._bounce)[:count] as view:
                self._transfer("read", _pread, self._from_card, view, address + done)
                content[done : done + count] = view
            done += count
        return content

    def _transfer(self, what: str, move, descriptor: int, view: memoryview, address: int) -> None:
        """Move all bytes of a buffer, in as many transfers as the driver makes of it."""
        done = 0
        while done < len(view):
            place = self._base + address + done
            try:
                with view[done:] as rest:
                    count = move(descriptor, rest, place)
            except OSError as error:
                raise AcceleratorError(
                    f"{self._name} could not {what} {len(view) - done} bytes at DMA address {place:#x}: "
                    f"{error.strerror}"
                ) from None
            if count <= 0:
                raise AcceleratorError(
                    f"{self._name} {what}s no bytes at DMA address {place:#x}: the card's memory may end before it"
                )
            done += count


def _pread(descriptor: int, view: memoryview, place: int) -> int:
    return os.preadv(descriptor, [view], place)


@contextmanager
def open_xdma(address: BoardAddress, params: AcceleratorParams, memory_bytes: int) -> Iterator[BoardDevice]:
    """Open the files of a card.

    Parameters
    ----------
    address
        Where they are: ``/dev/xdma0`` stands for ``/dev/xdma0_user`` and its siblings.
    params
        The accelerator's.
    memory_bytes
        Bytes of memory that are needed; the driver does not say how many there are.

    Raises
    ------
    AcceleratorError
        If one of them cannot be used.
    """
    channel, path = address.number("channel"), address.path
    with ExitStack() as stack:
        user = stack.enter_context(opened(f"{path}_user", why=WHY))
        registers = MappedRegisters(
            user, first=address.number("registers"), size=register_map(params.columns).size, name=f"{path}_user"
        )
        stack.callback(registers.close)
        to_card = stack.enter_context(opened(f"{path}_h2c_{channel}", os.O_WRONLY, why=WHY))
        from_card = stack.enter_context(opened(f"{path}_c2h_{channel}", os.O_RDONLY, why=WHY))
        memory = XdmaMemory(to_card, from_card, base=address.base, name=address.name)
        interrupt: Interrupt = Polling()
        if not address.polls:
            name = f"{path}_events_{address.number('event')}"
            interrupt = EventFile(stack.enter_context(opened(name, os.O_RDONLY, why=WHY)), name)
        yield BoardDevice(params, registers, memory, interrupt, timeout_s=address.timeout_s, name=address.name)
