"""A serial port of Linux: raw bytes at a speed, and a sentence when it goes away."""

import contextlib
import fcntl
import os
import select
import struct
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager

from rtlm.host.boards.files import opened
from rtlm.host.errors import AcceleratorError

CHUNK_BYTES = 1 << 16
WHY = "the serial port of the board's USB bridge; on most systems it is for members of the group dialout"
SERIAL_STRUCT_BYTES, FLAGS_OFFSET, ASYNC_LOW_LATENCY = 128, 16, 1 << 13
"""Of Linux's serial_struct (linux/serial.h): room for it, its member flags, and the flag that has a bridge of FTDI pass
on what it has received after 1 ms in place of 16."""


class SerialPort:
    """An open serial port.

    Parameters
    ----------
    descriptor
        The device file, not blocking.
    name
        Of the port, for sentences.
    """

    def __init__(self, descriptor: int, name: str) -> None:
        self._descriptor, self.name = descriptor, name

    def write(self, content: bytes, seconds: float) -> None:
        """Write bytes.

        Raises
        ------
        AcceleratorError
            If the port is gone, or takes nothing for so many seconds.
        """
        view = memoryview(content)
        while view:
            if not self._wait(select.POLLOUT, seconds):
                raise AcceleratorError(f"{self.name} has taken no bytes for {seconds:g} s")
            try:
                view = view[os.write(self._descriptor, view) :]
            except BlockingIOError:
                continue
            except OSError as error:
                raise self._gone(error.strerror) from None

    def read(self, seconds: float) -> bytes:
        """Return what has been received, waiting for it some seconds at most.

        Raises
        ------
        AcceleratorError
            If the port is gone.
        """
        if not self._wait(select.POLLIN, seconds):
            return b""
        try:
            content = os.read(self._descriptor, CHUNK_BYTES)
        except BlockingIOError:
            return b""
        except OSError as error:
            raise self._gone(error.strerror) from None
        if not content:
            raise self._gone("it has ended")
        return content

    def _wait(self, event: int, seconds: float) -> bool:
        poll = select.poll()
        poll.register(self._descriptor, event)
        return bool(poll.poll(max(0.0, seconds) * 1000))

    def _gone(self, why: str | None) -> AcceleratorError:
        return AcceleratorError(f"{self.name} is gone ({why}): is the cable still there, and the board on?")


@contextmanager
def serial_port(path: str, *, baud: int) -> Iterator[SerialPort]:
    """Open a serial port: eight bits, no parity, one stop bit, no flow control.

    Parameters
    ----------
    path
        Its device file.
    baud
        Its speed.

    Raises
    ------
    AcceleratorError
        If it cannot be opened, is no serial port, cannot have that speed, or another program has it.
    """
    speed = getattr(termios, f"B{baud}", None)
    if speed is None:
        raise AcceleratorError(f"baud of {path} must be a speed that Linux has a name for, got {baud}")
    with opened(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK, why=WHY) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise AcceleratorError(f"{path} is being used by another program") from None
        try:
            _set(file, speed)
        except termios.error as error:
            raise AcceleratorError(f"{path} cannot be set to {baud} baud: {error.args[-1]}") from None
        yield SerialPort(file, path)


def _set(file: int, speed: int) -> None:
    tty.setraw(file)
    mode = termios.tcgetattr(file)
    flags = mode[2]
    flags &= ~(termios.CSTOPB | termios.PARENB | termios.CRTSCTS | termios.HUPCL)
    mode[2] = flags | termios.CS8 | termios.CLOCAL | termios.CREAD
    mode[4] = mode[5] = speed
    termios.tcsetattr(file, termios.TCSANOW, mode)
    termios.tcflush(file, termios.TCIOFLUSH)
    # Only some drivers have it.
    with contextlib.suppress(OSError):
        serial = bytearray(SERIAL_STRUCT_BYTES)
        fcntl.ioctl(file, termios.TIOCGSERIAL, serial)
        (flags,) = struct.unpack_from("=i", serial, FLAGS_OFFSET)
        struct.pack_into("=i", serial, FLAGS_OFFSET, flags | ASYNC_LOW_LATENCY)
        fcntl.ioctl(file, termios.TIOCSSERIAL, serial)
