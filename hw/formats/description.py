"""What a block format is: one description gives file, memory image, golden model, gates and documentation."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

BLOCK = 32
"""Weights in a block, and activations that share a scale."""

SUPER_SHIFT = 3
"""log2 of the blocks in a super-block: 256 weights."""

NIBBLE_BITS = 4

HALF_BITS = 16
"""Bits of an fp16."""

PAIR_BITS = 2
"""Bits of a code, or the lower ones of it, of which a nibble has two."""


class Codes(NamedTuple):
    """What blocks of a file hold beside scales and minima.

    Attributes
    ----------
    u
        Unsigned codes, shape (blocks of the file, weights).
    factors
        int8, shape (blocks of the file, blocks of 32, 2 or 4), see `Factors`; None where the format has none.
    d
        Scales as fp16 bit patterns, shape (blocks of the file,), where the file has them otherwise.
    """

    u: NDArray[np.uint8]
    factors: NDArray[np.int8] | None = None
    d: NDArray[np.uint16] | None = None


class Factors(Enum):
    """What the scales of a super-block are multiplied with for each of its blocks."""

    NONE = "none"
    """There are none: weight = d (u - zero) + m."""

    SCALE_AND_MINIMUM = "scale and minimum"
    """6 bits for the scale and 6 for the minimum: weight = d f0 (u - zero) + m f1."""

    HALVES = "halves"
    """An int8 for each half: weight = d f0 (u - zero) in the first 16, d f1 (u - zero) in the last 16."""

    SHORT_HALVES = "short halves"
    """As `HALVES`, with 6 bits."""

    HALVES_WITH_MINIMA = "halves with minima"
    """4 bits for scale and minimum of each half: weight = d f0 u + m f2 in the first 16, d f1 u + m f3 in the last."""

    @property
    def ranges(self) -> tuple[tuple[int, int], ...]:
        """The least and the largest of each of the integers."""
        return _RANGES[self]


_RANGES = {
    Factors.NONE: (),
    Factors.SCALE_AND_MINIMUM: ((0, 63), (-63, 0)),
    Factors.HALVES: ((-128, 127), (-128, 127)),
    Factors.SHORT_HALVES: ((-32, 31), (-32, 31)),
    Factors.HALVES_WITH_MINIMA: ((0, 15), (0, 15), (-15, 0), (-15, 0)),
}


@dataclass(frozen=True, kw_only=True)
class Description:
    """A block format.

    Parameters
    ----------
    code
        Its number in an instruction. The three formats that all gates have are 0 to 2; of the others the lowest two
        bits are 3, which gates without them refuse.
    bits
        Bits of a code in memory: 4, 5, 6, or 8, which takes two nibble rows; of 2 or 3 bits a nibble has 2 of one tile
        and 2 of the next.
    zero
        The code that stands for zero: 0 or a power of two.
    table
        What the codes in memory stand for: the unsigned codes that are multiplied. None where they are themselves.
    scales_at
        Bytes of a block in a GGUF file at which its scale, and its minimum if it has one, lie as fp16.
    scale_bits
        Bits of a scale in memory: 16, or 8, of an fp16 whose lower byte is 0.
    factors
        What the scales of a super-block are multiplied with.
    file_weights, file_bytes
        Size of a block in a GGUF file.
    unpack
        Takes blocks of a file, shape (blocks, file_bytes), apart; codes are those that are multiplied.
    pack
        The inverse: makes blocks of a file from codes and factors as in `Codes`, and scales and minima as fp16 bit
        patterns, shape (blocks, values), in the order of `scales_at`. None for formats that the gguf package quantises.
    """

    code: int
    bits: int
    zero: int
    scales_at: tuple[int, ...] = (0,)
    scale_bits: int = HALF_BITS
    factors: Factors = Factors.NONE
    file_weights: int = BLOCK
    file_bytes: int
    unpack: Callable[[NDArray[np.uint8]], Codes]
    pack: Callable[[NDArray[np.uint8], NDArray[np.int8], NDArray[np.uint16]], NDArray[np.uint8]] | None = None
    table: tuple[int, ...] | None = None

    @property
    def element_bits(self) -> int:
        """Bits of what an array multiplies: those of a code, or of half of one of 8 bits."""
        if self.table is not None:
            return max(self.table).bit_length()
        return NIBBLE_BITS if self.bits == 2 * NIBBLE_BITS else max(NIBBLE_BITS, self.bits)


def nibbles(raw: NDArray[np.uint8], run: int) -> NDArray[np.uint8]:
    """Return nibbles: of each run of bytes first all lower ones, then all upper ones."""
    return bit_fields(raw, run, NIBBLE_BITS)


def joined(low: NDArray[np.uint8], upper: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return codes from their nibbles and the bits above."""
    return low | upper << np.uint8(NIBBLE_BITS)


def bit_fields(raw: NDArray[np.uint8], run: int, bits: int) -> NDArray[np.uint8]:
    """Return fields of `bits` bits: of each run of bytes first the lowest ones of all, then those above them."""
    shifts = np.arange(0, 8, bits, dtype=np.uint8)[:, None]
    fields = raw.reshape(len(raw), -1, 1, run) >> shifts & np.uint8((1 << bits) - 1)
    return fields.reshape(len(raw), -1)


def packed_fields(codes: NDArray[np.uint8], run: int, bits: int, above: int = 0) -> NDArray[np.uint8]:
    """Return the bytes of which `bit_fields` makes the `bits` bits of codes that stand above the lowest `above`."""
    shifts = np.arange(0, 8, bits, dtype=np.uint8)[:, None]
    fields = (codes >> np.uint8(above)).reshape(len(codes), -1, len(shifts), run) & np.uint8((1 << bits) - 1)
    return np.bitwise_or.reduce(fields << shifts, axis=2).reshape(len(codes), -1)


def half_bytes(halves: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Return the bytes of fp16 bit patterns, shape (blocks, 2 * values)."""
    return np.ascontiguousarray(halves, "<u2").view(np.uint8)
