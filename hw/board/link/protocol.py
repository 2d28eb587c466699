"""Packets between a host and an accelerator behind a serial line; both sides take their definitions from here.

All numbers are little-endian, a word has 32 bits. A request is ``mark, opcode, sequence, count, address`` (bytes, the
address four of them), words if the opcode has `PAYLOAD`, and the CRC-32 of all that. An answer is ``mark, status,
sequence, count``, `count` words, and the CRC-32. Each request that arrives whole is answered once, in order, and is
carried out only if its CRC is right. Bytes between packets that are no mark are skipped, so that `FLUSH` ends whatever
packet was begun before. A write of registers that repeats the sequence number of the request before it was carried
out already: it is answered, and not carried out again.
"""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from amaranth.lib import data, enum

REQUEST_MARK, ANSWER_MARK = 0xC5, 0x3A
"""First byte of a packet."""

PAYLOAD = 0x80
"""Bit of an opcode behind whose header words follow."""

MAX_WORDS = 128
"""Words of a packet at most."""

CRC_BYTES = WORD_BYTES = 4

LINK_ID = int.from_bytes(b"rtlm", "little")
LINK_VERSION = 1


class Opcode(enum.Enum, shape=8):
    """What is asked."""

    IDENTIFY = 0x01
    """Answers `LINK_ID`, `LINK_VERSION` and the words of the memory; `count` is 0."""
    OPEN = 0x02
    """As IDENTIFY; the other requests are carried out from here on to the next reset."""
    READ_REGISTERS = 0x03
    """Reads `count` registers from a byte address on."""
    READ_MEMORY = 0x04
    """Reads `count` words of the memory within 4 KiB."""
    WRITE_REGISTERS = PAYLOAD | 0x03
    """Writes registers."""
    WRITE_MEMORY = PAYLOAD | 0x04
    """Writes words of the memory within 4 KiB."""
    CLEAR_MEMORY = PAYLOAD | 0x05
    """Writes zeros to as many words as the single word behind the header says."""


class Status(enum.Enum, shape=8):
    """What became of a request; words follow OKAY only."""

    OKAY = 0
    CHECKSUM = 1
    """The packet's CRC is wrong; its sequence number may be too."""
    OPCODE = 2
    """There is no such opcode."""
    COUNT = 3
    """`count` is not one that the opcode may have."""
    ADDRESS = 4
    """The address is no multiple of four, or what lies there is not all registers or memory, or is split by 4 KiB."""
    BUS = 5
    """An access was answered with SLVERR or DECERR."""
    NO_ANSWER = 6
    """An access was not answered in time, now or earlier."""
    RESET = 7
    """There was a reset since the last OPEN."""


REQUEST = data.StructLayout({"opcode": 8, "sequence": 8, "count": 8, "address": 32})
ANSWER = data.StructLayout({"status": Status, "sequence": 8, "count": 8})
"""Headers behind the mark."""

IDENTITY_WORDS = 3

_REQUEST = struct.Struct("<BBBBI")
_ANSWER = struct.Struct("<BBBB")
ANSWER_BYTES = _ANSWER.size + CRC_BYTES
"""Of an answer without words."""

FLUSH = bytes(_REQUEST.size + 255 * WORD_BYTES + CRC_BYTES)
"""Ends a packet that was begun, whatever its header says; no byte of it is a mark."""


def checked(content: bytes) -> bytes:
    """Return bytes with their CRC-32 behind them."""
    return content + zlib.crc32(content).to_bytes(CRC_BYTES, "little")


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a host asks.

    Parameters
    ----------
    opcode
        What.
    address
        Byte address.
    words
        Behind the header.
    count
        Words that are wanted, where none are sent.
    """

    opcode: Opcode
    address: int = 0
    words: bytes = b""
    count: int = 0

    def encode(self, sequence: int) -> bytes:
        """Return the packet."""
        count = len(self.words) // WORD_BYTES or self.count
        return checked(_REQUEST.pack(REQUEST_MARK, self.opcode.value, sequence, count, self.address) + self.words)

    @property
    def answer_words(self) -> int:
        """Words of the answer, if all is well."""
        if self.opcode in (Opcode.IDENTIFY, Opcode.OPEN):
            return IDENTITY_WORDS
        return 0 if self.opcode.value & PAYLOAD else self.count

    @property
    def size(self) -> int:
        """Bytes of the packet."""
        return _REQUEST.size + len(self.words) + CRC_BYTES

    @property
    def answer_size(self) -> int:
        """Bytes of the answer, if all is well."""
        return ANSWER_BYTES + self.answer_words * WORD_BYTES


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a link answers.

    Parameters
    ----------
    status
        A value of `Status`.
    sequence
        That of the request.
    words
        What was read.
    """

    status: int
    sequence: int
    words: bytes = b""

    @classmethod
    def decode(cls, received: bytes | bytearray) -> tuple[Self | None, int]:
        """Find an answer at the beginning of bytes.

        Returns
        -------
        answer, size
            None and 0 if bytes are missing; None and the bytes to skip if no answer begins there.
        """
        skipped = received.find(ANSWER_MARK)
        if skipped:
            return None, len(received) if skipped < 0 else skipped
        if len(received) < _ANSWER.size:
            return None, 0
        _, status, sequence, count = _ANSWER.unpack_from(received)
        if count > MAX_WORDS:
            return None, 1
        end = _ANSWER.size + count * WORD_BYTES
        if len(received) < end + CRC_BYTES:
            return None, 0
        packet = bytes(received[: end + CRC_BYTES])
        if checked(packet[:end]) != packet:
            return None, 1
        return cls(status=status, sequence=sequence, words=packet[_ANSWER.size : end]), len(packet)

    def encode(self) -> bytes:
        """Return the packet."""
        header = _ANSWER.pack(ANSWER_MARK, self.status, self.sequence, len(self.words) // WORD_BYTES)
        return checked(header + self.words)


def numbers(words: bytes) -> Sequence[int]:
    """Return words as numbers."""
    return struct.unpack(f"<{len(words) // WORD_BYTES}I", words)
