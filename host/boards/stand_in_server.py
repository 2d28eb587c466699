"""Steps a Verilated accelerator behind device files, for programs with `device_files.cpp` in front of the kernel."""

import contextlib
import errno
import os
import selectors
import socket
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rtlm.host.boards.contiguous import FROM_DEVICE, TO_DEVICE
from rtlm.hw.registers import RegisterMap
from rtlm.sim import AcceleratorModel, SimulationError

OPEN, READ_REGISTER, WRITE_REGISTER, READ_MEMORY, WRITE_MEMORY = range(1, 6)
OTHER, ALIAS, REGISTERS, MEMORY, INTERRUPT, DOORBELL = 0, 1, 2, 4, 8, 16
"""As in `device_files.cpp`: what is asked, and what a file is."""

REQUEST = struct.Struct("=IIQ")
RESULT = struct.Struct("=q")
WORD = struct.Struct("=I")
SLICE_CYCLES = 5_000
"""Cycles between two looks at the sockets, while the accelerator works."""
CACHE_LINE = 64
UDMABUF_ATTRIBUTES = "/sys/class/u-dma-buf/udmabuf0"


@dataclass(frozen=True, kw_only=True)
class Faults:
    """What goes wrong.

    Parameters
    ----------
    die
        Start of the accelerator in which the process ends, as if a cable were pulled; 0 for none. The first is the
        driver's own probe.
    hang
        Start after which the clock stands still until a reset; 0 for none.
    silent
        Whether no interrupt is told.
    short
        Bytes that a DMA transfer moves at most; 0 for any number.
    shift
        Bytes by which the accelerator's memory lies elsewhere than the driver writes.
    """

    die: int = 0
    hang: int = 0
    silent: int = 0
    short: int = 0
    shift: int = 0


class Server:
    """The device files of one board.

    Parameters
    ----------
    model
        The accelerator and its memory.
    registers
        Its register map.
    listener
        Where programs connect.
    folder
        For files that programs map.
    base
        Physical address of the contiguous buffer, and DMA address of the card's memory.
    faults
        What goes wrong.
    """

    def __init__(
        self,
        model: AcceleratorModel,
        registers: RegisterMap,
        listener: socket.socket,
        folder: Path,
        *,
        base: int,
        faults: Faults,
    ) -> None:
        self._model, self._base, self._faults = model, base, faults
        self._control = registers.address("CONTROL")
        self._decode = registers["CONTROL"].decode
        self._selector = selectors.DefaultSelector()
        self._selector.register(listener, selectors.EVENT_READ, None)
        self._size = model.memory_bytes
        self._attributes = {"sync_offset": 0, "sync_size": 0, "sync_direction": 0}
        self._starts = self._interrupts = 0
        self._running = self._hung = self._level = False
        self._waiting: dict[socket.socket, bool] = {}
        """Files that tell of interrupts, and whether theirs is turned on."""
        self._aliases = self._write_files(folder)
        self._buffer = np.memmap(folder / "udmabuf0", np.uint8, "r+")

    def _write_files(self, folder: Path) -> dict[str, str]:
        """Write what is read as an ordinary file; return the place of each."""
        (folder / "udmabuf0").write_bytes(bytes(self._size))
        texts = {"phys_addr": f"{self._base:#x}\n", "size": f"{self._size}\n", "dma_coherent": "0\n"}
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="ascii")
        aliases = {f"{UDMABUF_ATTRIBUTES}/{name}": str(folder / name) for name in texts}
        return aliases | {"/dev/udmabuf0": str(folder / "udmabuf0")}

    def serve(self) -> None:
        """Answer programs until the process is ended."""
        while True:
            for key, _ in self._selector.select(0 if self._works else None):
                client = key.fileobj
                assert isinstance(client, socket.socket)
                if key.data is None:
                    self._selector.register(client.accept()[0], selectors.EVENT_READ, "")
                else:
                    self._answer(client, key.data)
            self._tell()
            if self._works:
                self._model.advance(SLICE_CYCLES)
                self._running = not self._model.irq
            self._tell()

    @property
    def _works(self) -> bool:
        return self._running and not self._hung

    def _answer(self, client: socket.socket, name: str) -> None:
        """Answer one request of a program; `name` is the file's, once it is known."""
        if client in self._waiting and name.startswith("/dev/uio"):
            if len(client.recv(4, socket.MSG_WAITALL)) == 4:
                self._waiting[client] = True
                return
            self._close(client)
            return
        raw = client.recv(REQUEST.size, socket.MSG_WAITALL)
        if len(raw) < REQUEST.size:
            self._close(client)
            return
        operation, count, address = REQUEST.unpack(raw)
        content = b""
        try:
            if operation == OPEN:
                name = client.recv(count, socket.MSG_WAITALL).decode()
                self._selector.modify(client, selectors.EVENT_READ, name)
                result, content = self._open(client, name)
            elif operation == READ_REGISTER:
                result, content = 4, WORD.pack(self._model.read_register(address))
            elif operation == WRITE_REGISTER:
                result = self._write_register(address, count)
            elif operation == READ_MEMORY:
                result, content = self._read_memory(address, count)
            else:
                result = self._write(client, name, address, count)
        except SimulationError:
            # SLVERR and DECERR: on a Zynq a bus error, on a card all ones.
            result, content = -errno.EIO, b""
        with contextlib.suppress(OSError):
            client.sendall(RESULT.pack(result) + content)

    def _open(self, client: socket.socket, name: str) -> tuple[int, bytes]:
        """Say what a file is, and where it lies if it is an ordinary one."""
        kind, alias = OTHER, ""
        if name in self._aliases:
            kind, alias = ALIAS, self._aliases[name]
        elif name.startswith(f"{UDMABUF_ATTRIBUTES}/sync_"):
            kind = DOORBELL
        elif name == "/dev/uio0":
            kind = REGISTERS | INTERRUPT
            self._waiting[client] = False
        elif name == "/dev/xdma0_user":
            kind = REGISTERS
        elif name in ("/dev/xdma0_h2c_0", "/dev/xdma0_c2h_0"):
            kind = MEMORY
        elif name == "/dev/xdma0_events_0":
            kind = INTERRUPT
            self._waiting[client] = True
        content = WORD.pack(kind) + alias.encode() + b"\0"
        return len(content), content

    def _write_register(self, address: int, value: int) -> int:
        if address == self._control and self._decode(value)["start"]:
            self._starts += 1
            if self._starts == self._faults.die:
                self._model.step(SLICE_CYCLES)
                os._exit(1)
            self._hung = self._starts == self._faults.hang
            self._running = True
        if address == self._control and self._decode(value)["reset"]:
            self._running = self._hung = False
        self._model.write_register(address, value)
        return 4

    def _read_memory(self, address: int, count: int) -> tuple[int, bytes]:
        place, count = self._place(address, count)
        content = self._model.read(place, count).tobytes()
        return len(content), content

    def _write(self, client: socket.socket, name: str, address: int, count: int) -> int:
        raw = client.recv(count, socket.MSG_WAITALL) if count else b""
        if name.startswith("/dev/"):
            place, count = self._place(address, count)
            self._model.write(place, raw[:count])
            return count
        attribute, value = name.rpartition("/")[2], int(raw, 0)
        if attribute in self._attributes:
            self._attributes[attribute] = value
        elif value:
            return self._synchronise(attribute, count)
        return count

    def _place(self, address: int, count: int) -> tuple[int, int]:
        """Return where a transfer begins in the memory, and how many bytes it moves."""
        if not self._base <= address <= self._base + self._size - count:
            raise SimulationError("Beyond the memory.")
        limit = self._faults.short or count
        return address - self._base + self._faults.shift, min(count, limit)

    def _synchronise(self, attribute: str, written: int) -> int:
        """Move a part of the buffer between what the CPU sees and what the accelerator sees: they share no cache."""
        start, size, direction = (self._attributes[name] for name in ("sync_offset", "sync_size", "sync_direction"))
        if start % CACHE_LINE or size % CACHE_LINE or start + size > self._size:
            return -errno.EINVAL
        place = start + self._faults.shift
        if attribute == "sync_for_device" and direction in (0, TO_DEVICE):
            self._model.write(place, self._buffer[start : start + size])
        elif attribute == "sync_for_cpu" and direction in (0, FROM_DEVICE):
            self._buffer[start : start + size] = self._model.read(place, size)
        return written

    def _tell(self) -> None:
        """Tell of an interrupt: a level for a UIO device that has it turned on, an edge for a card."""
        level = self._model.irq
        rises, self._level = level and not self._level, level
        for client, on in list(self._waiting.items()):
            edge = self._selector.get_key(client).data.startswith("/dev/xdma")
            if self._faults.silent or not on or not (rises if edge else level):
                continue
            self._interrupts += 1
            self._waiting[client] = edge
            with contextlib.suppress(OSError):
                client.sendall(WORD.pack(1 if edge else self._interrupts))

    def _close(self, client: socket.socket) -> None:
        self._selector.unregister(client)
        self._waiting.pop(client, None)
        client.close()
