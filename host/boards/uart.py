"""Accelerators on boards that only a serial line leads to: registers and memory in packets, STATUS is polled."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray
from rtlm.host.boards.address import BoardAddress
from rtlm.host.boards.device import BoardDevice, Memory, Polling
from rtlm.host.boards.link_client import WINDOW, LinkClient
from rtlm.host.boards.serial_port import serial_port
from rtlm.host.errors import AcceleratorError
from rtlm.hw.board.link.protocol import MAX_WORDS, WORD_BYTES, Opcode, Request, numbers
from rtlm.hw.board.linked import DEFAULT_BAUD
from rtlm.hw.params import AcceleratorParams

DEFAULT_ANSWER_S = 1.0
"""Far above what USB and a request take."""
PACKET_BYTES = MAX_WORDS * WORD_BYTES
CLEAR_BYTES = 1 << 16
"""Bytes that one request clears: 33,000 cycles, within which nothing else is sent."""


class UartRegisters:
    """Registers behind a link.

    Parameters
    ----------
    link
        The link.
    """

    def __init__(self, link: LinkClient) -> None:
        self._link = link

    def read(self, address: int) -> int:
        """Read one."""
        (words,) = self._link.exchange([Request(opcode=Opcode.READ_REGISTERS, address=address, count=1)])
        return numbers(words)[0]

    def write(self, address: int, value: int) -> None:
        """Write one."""
        words = value.to_bytes(WORD_BYTES, "little")
        self._link.exchange([Request(opcode=Opcode.WRITE_REGISTERS, address=address, words=words)])


class UartMemory(Memory):
    """Memory behind a link, in whole words.

    Parameters
    ----------
    link
        The link.
    """

    piece_bytes = 1 << 16

    def __init__(self, link: LinkClient) -> None:
        self._link = link

    def read(self, address: int, size: int) -> NDArray[np.uint8]:
        """Read bytes."""
        requests = [
            Request(opcode=Opcode.READ_MEMORY, address=start, count=(end - start) // WORD_BYTES)
            for start, end in _pieces(address, size, PACKET_BYTES)
        ]
        return np.frombuffer(b"".join(self._link.exchange(requests, window=WINDOW)), np.uint8)

    def write(self, address: int, content: NDArray[np.uint8]) -> None:
        """Write bytes."""
        flat = np.ascontiguousarray(content).reshape(-1)
        requests = [
            Request(opcode=Opcode.WRITE_MEMORY, address=start, words=flat[start - address : end - address].tobytes())
            for start, end in _pieces(address, flat.size, PACKET_BYTES)
        ]
        self._link.exchange(requests, window=WINDOW)

    def clear(self, address: int, size: int) -> None:
        """Write zeros, which do not go over the line."""
        for start, end in _pieces(address, size, CLEAR_BYTES):
            words = ((end - start) // WORD_BYTES).to_bytes(WORD_BYTES, "little")
            self._link.exchange([Request(opcode=Opcode.CLEAR_MEMORY, address=start, words=words)])

    def seconds(self, size: int) -> float:
        """Return how long bytes take to be written."""
        packets = -(-size // PACKET_BYTES)
        return self._link.seconds(size + packets * (Request(opcode=Opcode.WRITE_MEMORY).size))


def _pieces(address: int, size: int, most: int) -> Iterator[tuple[int, int]]:
    """Yield first and last-but-one addresses of parts between multiples of a size."""
    if address % WORD_BYTES or size % WORD_BYTES:
        raise ValueError(f"address and size must be multiples of {WORD_BYTES}, got {address:#x} and {size}")
    end = address + size
    while address < end:
        stop = min(end, (address // most + 1) * most)
        yield address, stop
        address = stop


@contextmanager
def open_uart(address: BoardAddress, params: AcceleratorParams, memory_bytes: int) -> Iterator[BoardDevice]:
    """Open the serial port of a board.

    Parameters
    ----------
    address
        Where it is.
    params
        The accelerator's.
    memory_bytes
        Bytes of memory that are needed.

    Raises
    ------
    AcceleratorError
        If it cannot be used, no accelerator answers, or its memory is too small.
    """
    baud = address.number("baud", DEFAULT_BAUD)
    answer_s = float(address.settings.get("answer", DEFAULT_ANSWER_S))
    with serial_port(address.path, baud=baud) as port:
        link = LinkClient(port, baud=baud, name=address.name, answer_s=answer_s)
        if link.memory_bytes < memory_bytes:
            raise AcceleratorError(
                f"the memory of {address.name} has {link.memory_bytes:,} bytes; the model needs {memory_bytes:,}"
            )
        registers, memory = UartRegisters(link), UartMemory(link)
        yield BoardDevice(params, registers, memory, Polling(), timeout_s=address.timeout_s, name=address.name)
