"""Physically contiguous memory on an ARM Linux: a u-dma-buf, or a buffer of PYNQ; both with cache maintenance.

The buffers are cached by the CPU: uncached ones are mapped as device memory, where copies of any length may fault. So
what is written is pushed out for the accelerator, and what is read is fetched anew. ``/dev/mem`` is not used: nothing
there keeps a wrong address from overwriting the kernel.
"""

import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rtlm.host.boards.address import BoardAddress
from rtlm.host.boards.device import Memory
from rtlm.host.boards.files import opened
from rtlm.host.errors import AcceleratorError

CLASSES = ("/sys/class/u-dma-buf", "/sys/class/udmabuf")
"""Where the buffers' attributes lie; the second is the name of versions before 3."""
TO_DEVICE, FROM_DEVICE = 1, 2
"""Directions of a transfer, for the maintenance of the cache (enum dma_data_direction of Linux)."""
WHY = "a buffer of the kernel module u-dma-buf"


class UDmaBuf(Memory):
    """A buffer of the kernel module u-dma-buf.

    Parameters
    ----------
    descriptor
        Its device file.
    attributes
        Its folder in ``/sys``.
    """

    def __init__(self, descriptor: int, attributes: str) -> None:
        self._attributes = attributes
        self.address, self.size = self._number("phys_addr"), self._number("size")
        self._coherent = self._number("dma_coherent") == 1
        try:
            self._map = mmap.mmap(descriptor, self.size)
        except (OSError, ValueError) as error:
            raise AcceleratorError(f"the buffer of {attributes} cannot be mapped: {error}") from None
        self._bytes: np.ndarray | None = np.frombuffer(self._map, np.uint8)

    def read(self, address: int, size: int) -> NDArray[np.uint8]:
        """Read bytes that the accelerator may have written."""
        assert self._bytes is not None
        self._hand_over("sync_for_cpu", address, size, FROM_DEVICE)
        return self._bytes[address : address + size].copy()

    def write(self, address: int, content: NDArray[np.uint8]) -> None:
        """Write bytes that the accelerator will read."""
        assert self._bytes is not None
        flat = content.reshape(-1)
        self._bytes[address : address + flat.size] = flat
        self._hand_over("sync_for_device", address, flat.size, TO_DEVICE)

    def close(self) -> None:
        """Undo the mapping."""
        self._bytes = None
        self._map.close()

    def _hand_over(self, attribute: str, address: int, size: int, direction: int) -> None:
        """Hand a part of the buffer to the CPU or to the device: the cache is invalidated or cleaned."""
        if self._coherent:
            return
        for name, value in (
            ("sync_offset", address),
            ("sync_size", size),
            ("sync_direction", direction),
            (attribute, 1),
        ):
            with opened(f"{self._attributes}/{name}", os.O_WRONLY, why=WHY) as file:
                _write_attribute(file, value, f"{self._attributes}/{name}")

    def _number(self, name: str) -> int:
        with opened(f"{self._attributes}/{name}", os.O_RDONLY, why=WHY) as file:
            text = os.read(file, 64).decode(errors="replace").strip()
        try:
            return int(text, 0)
        except ValueError:
            raise AcceleratorError(f"{self._attributes}/{name} must hold a number, got {text!r}") from None


def _write_attribute(descriptor: int, value: int, name: str) -> None:
    try:
        os.write(descriptor, str(value).encode())
    except OSError as error:
        raise AcceleratorError(f"{name} cannot be written: {error.strerror}") from None


class PynqBuffer(Memory):
    """A buffer of PYNQ, from its ``allocate``.

    Parameters
    ----------
    buffer
        The buffer, of bytes.
    """

    def __init__(self, buffer: Any) -> None:
        self._buffer = buffer
        self.address, self.size = int(buffer.physical_address), int(buffer.nbytes)

    def read(self, address: int, size: int) -> NDArray[np.uint8]:
        """Read bytes that the accelerator may have written."""
        self._buffer.invalidate()
        return np.array(self._buffer[address : address + size])

    def write(self, address: int, content: NDArray[np.uint8]) -> None:
        """Write bytes that the accelerator will read."""
        flat = content.reshape(-1)
        self._buffer[address : address + flat.size] = flat
        self._buffer.flush()

    def close(self) -> None:
        """Free the buffer."""
        self._buffer.freebuffer()


@contextmanager
def contiguous_memory(address: BoardAddress, size: int) -> Iterator[Memory]:
    """Open the memory of a Zynq's accelerator: the u-dma-buf that is named, PYNQ's ``allocate``, or any u-dma-buf.

    Parameters
    ----------
    address
        The board.
    size
        Bytes that are needed.

    Raises
    ------
    AcceleratorError
        If there is no buffer, it is too small, or it does not begin where the accelerator's byte address 0 is.
    """
    name = address.settings.get("udmabuf")
    if name is None and find_spec("pynq"):
        with _pynq_buffer(size) as buffer:
            _check_place(address, "the buffer of PYNQ", buffer, size)
            yield buffer
        return
    name = str(name) if name is not None else _first_buffer()
    with opened(f"/dev/{name}", why=WHY) as file:
        memory = UDmaBuf(file, _attributes(name))
        try:
            _check_place(address, f"the buffer {name}", memory, size)
            yield memory
        finally:
            memory.close()


def _attributes(name: str) -> str:
    """Return the folder of a buffer's attributes."""
    for folder in CLASSES:
        try:
            os.close(os.open(f"{folder}/{name}/size", os.O_RDONLY))
        except OSError:
            continue
        return f"{folder}/{name}"
    raise AcceleratorError(f"{name} is no u-dma-buf: it has no attributes in {' or '.join(CLASSES)}")


def _first_buffer() -> str:
    """Return the name of the first u-dma-buf that there is."""
    for folder in CLASSES:
        if os.path.isdir(folder) and (names := sorted(os.listdir(folder))):
            return names[0]
    raise AcceleratorError(
        "the accelerator's memory must be a physically contiguous buffer: name a u-dma-buf as in "
        "uio:/dev/uio0,udmabuf=udmabuf0, or install PYNQ; neither is here"
    )


@contextmanager
def _pynq_buffer(size: int) -> Iterator[PynqBuffer]:
    """Take a buffer from PYNQ."""
    try:
        buffer = PynqBuffer(import_module("pynq").allocate(shape=(size,), dtype=np.uint8))
    except (OSError, RuntimeError, MemoryError) as error:
        raise AcceleratorError(f"PYNQ could not allocate {size:,} contiguous bytes: {error}") from None
    try:
        yield buffer
    finally:
        buffer.close()


def _check_place(address: BoardAddress, what: str, memory: UDmaBuf | PynqBuffer, size: int) -> None:
    """Refuse a buffer that is not the memory behind the accelerator's byte address 0."""
    if memory.address != address.base:
        raise AcceleratorError(
            f"{what} begins at physical address {memory.address:#x}, but the accelerator's byte address 0 is at "
            f"{address.base:#x} (base= behind the board's address): it would read and write memory of others. "
            "Reserve the buffer there, or build the block design with MEMORY_BASE at the buffer"
        )
    if memory.size < size:
        raise AcceleratorError(f"{what} has {memory.size:,} bytes; model and KV cache take {size:,}")
