"""The first words of a memory image: what it is, for which accelerator, and how long."""

import struct
import zlib
from dataclasses import astuple, dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from rtlm.host.errors import AcceleratorError
from rtlm.hw.params import AcceleratorParams

MAGIC = b"RTLMIMG\0"
VERSION = 2
HEADER_WORDS = 4
"""Words that are kept for the header, in every configuration."""

_FIELDS = struct.Struct("<8s2I5Q")
_CHECKSUM = struct.Struct("<I")
HEADER_BYTES = _FIELDS.size + _CHECKSUM.size


@dataclass(frozen=True, kw_only=True)
class ImageHeader:
    """The header's fields, in the order of their bytes; a CRC-32 of these follows.

    Parameters
    ----------
    word_bytes
        Bytes of a word.
    config_hash
        Hash of the configuration that the image is for.
    words
        Words of memory in all, KV cache and result buffer included.
    content_words
        Words of the image itself; the KV cache begins behind them.
    program_start, program_words
        Where the program lies.
    """

    word_bytes: int
    config_hash: int
    words: int
    content_words: int
    program_start: int
    program_words: int

    def pack(self) -> NDArray[np.uint8]:
        """Return the bytes."""
        fields = _FIELDS.pack(MAGIC, VERSION, *astuple(self))
        return np.frombuffer(fields + _CHECKSUM.pack(zlib.crc32(fields)), dtype=np.uint8)

    @classmethod
    def parse(cls, content: NDArray[np.uint8] | bytes) -> Self:
        """Read the header at the beginning of some bytes.

        Raises
        ------
        AcceleratorError
            If there is none, or one that is damaged or of another version.
        """
        raw = bytes(content[:HEADER_BYTES])
        if len(raw) < HEADER_BYTES:
            raise AcceleratorError(f"the memory image has {len(raw)} bytes; its header alone takes {HEADER_BYTES}")
        magic, version, *fields = _FIELDS.unpack_from(raw)
        if magic != MAGIC:
            raise AcceleratorError(f"the memory image must start with {MAGIC!r}, got {magic!r}")
        if version != VERSION:
            raise AcceleratorError(f"the memory image must have version {VERSION}, got {version}")
        (checksum,) = _CHECKSUM.unpack_from(raw, _FIELDS.size)
        if checksum != (actual := zlib.crc32(raw[: _FIELDS.size])):
            raise AcceleratorError(
                f"the memory image's header is damaged: its checksum is {checksum:#010x}, its bytes give {actual:#010x}"
            )
        names = ("word_bytes", "config_hash", "words", "content_words", "program_start", "program_words")
        return cls(**dict(zip(names, fields, strict=True)))

    def check(self, params: AcceleratorParams) -> None:
        """Check that the image is for an accelerator, and that its parts lie inside it.

        Raises
        ------
        AcceleratorError
            Naming the first value that does not fit.
        """
        if self.config_hash != params.config_hash:
            raise AcceleratorError(
                f"the memory image is for configuration {self.config_hash:016x}, "
                f"but the accelerator was built from {params.config_hash:016x}"
            )
        if self.word_bytes != params.word_bytes:
            raise AcceleratorError(
                f"the memory image has words of {self.word_bytes} bytes; the accelerator's have {params.word_bytes}"
            )
        limit = (1 << params.address_bits) // params.word_bytes
        for what, low, value, high in (
            ("words in all", 0, self.words, limit),
            ("words of content", HEADER_WORDS, self.content_words, self.words),
            ("as the program's first word", HEADER_WORDS, self.program_start, self.content_words),
            ("words of program", 1, self.program_words, self.content_words - self.program_start),
        ):
            if not low <= value <= high:
                raise AcceleratorError(f"the memory image's header must state {low} to {high} {what}, got {value}")


def check_image(params: AcceleratorParams, image: NDArray[np.uint8]) -> ImageHeader:
    """Check a whole image before it is loaded, and return its header.

    Parameters
    ----------
    params
        The accelerator that it is for.
    image
        Bytes in linear order, of any shape.

    Raises
    ------
    AcceleratorError
        If it is for another accelerator, damaged, or not as long as its header says.
    """
    flat = image.reshape(-1)
    header = ImageHeader.parse(flat)
    header.check(params)
    if flat.size != (expected := header.content_words * params.word_bytes):
        raise AcceleratorError(f"the memory image has {flat.size} bytes; its header states {expected}")
    return header
