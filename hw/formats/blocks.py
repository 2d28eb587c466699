"""Weight blocks: 32 weights that share a scale and, in some formats, a minimum.

The layouts are those of ggml (``ggml-common.h``), each described in a file of its own (`Description`). A weight is
``d * (u - zero) + m`` with an unsigned integer ``u``; see docs/numerics.md. Weights with a scale for each group of 64,
128 or 256 (AWQ, arXiv:2306.00978; GPTQ, arXiv:2210.17323) are blocks of which 2, 4 or 8 have the same scale. So are
super-blocks of 256 weights, in which integers multiply the scale (and minimum) of each block.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray
from rtlm.hw.common.checks import check_range
from rtlm.hw.formats.description import (
    BLOCK,
    HALF_BITS,
    NIBBLE_BITS,
    PAIR_BITS,
    SUPER_SHIFT,
    Description,
    Factors,
)
from rtlm.hw.formats.iq4_nl import IQ4_NL
from rtlm.hw.formats.mxfp4 import MXFP4
from rtlm.hw.formats.q2_k import Q2_K
from rtlm.hw.formats.q3_k import Q3_K
from rtlm.hw.formats.q4_0 import Q4_0
from rtlm.hw.formats.q4_1 import Q4_1
from rtlm.hw.formats.q4_k import Q4_K
from rtlm.hw.formats.q5 import Q5_0, Q5_1
from rtlm.hw.formats.q5_k import Q5_K
from rtlm.hw.formats.q6_k import Q6_K
from rtlm.hw.formats.q8_0 import Q8_0
from rtlm.hw.formats.tq import TQ1_0, TQ2_0

MAX_GROUP_SHIFT = 3
"""log2 of the blocks that share a scale at most: groups of 256 weights."""


def check_group(k_blocks: int, group_shift: int) -> None:
    """Refuse groups of ``1 << group_shift`` blocks that are too large or do not divide a row of `k_blocks` blocks.

    Raises
    ------
    ValueError
        Saying which.
    """
    check_range("group_shift", group_shift, 0, MAX_GROUP_SHIFT)
    if k_blocks % (1 << group_shift):
        raise ValueError(
            f"a row of {k_blocks} blocks does not divide into groups of {1 << group_shift} blocks "
            f"({BLOCK << group_shift} weights)"
        )


def find_group_shift(scales: NDArray) -> int:
    """Return log2 of the neighbouring blocks that have the same scales everywhere, at most 3.

    Parameters
    ----------
    scales
        What is stored for each block beside its weights, shape (rows, blocks, values).
    """
    shift = 0
    while shift < MAX_GROUP_SHIFT and scales.shape[1] % (2 << shift) == 0:
        firsts = scales[:, :: 1 << shift]
        # The first row tells most matrices without groups apart.
        if not all(np.array_equal(part[:, ::2], part[:, 1::2]) for part in (firsts[:1], firsts)):
            break
        shift += 1
    return shift


class BlockFormat(IntEnum):
    """Weight formats that a matrix unit can read; the value is the format's code in an instruction."""

    Q4_0 = Q4_0.code
    Q4_1 = Q4_1.code
    Q8_0 = Q8_0.code
    Q5_0 = Q5_0.code
    Q5_1 = Q5_1.code
    Q4_K = Q4_K.code
    Q5_K = Q5_K.code
    Q6_K = Q6_K.code
    IQ4_NL = IQ4_NL.code
    Q2_K = Q2_K.code
    Q3_K = Q3_K.code
    TQ1_0 = TQ1_0.code
    TQ2_0 = TQ2_0.code
    MXFP4 = MXFP4.code

    @property
    def description(self) -> Description:
        """What the format is."""
        return DESCRIPTIONS[self]

    @property
    def bits(self) -> int:
        """Bits of one weight, without scales."""
        return self.description.bits

    @property
    def has_eight_bits(self) -> bool:
        """Whether a weight takes two nibble rows."""
        return self.bits == 2 * NIBBLE_BITS

    @property
    def is_paired(self) -> bool:
        """Whether a nibble has 2 bits of a weight and 2 of one in the next tile."""
        return self.bits < NIBBLE_BITS

    @property
    def tiles_per_word(self) -> int:
        """Tiles whose nibbles share a word."""
        return 2 if self.is_paired else 1

    @property
    def upper_bits(self) -> int:
        """Bits of one weight above those in a nibble, which lie in words of their own."""
        return 0 if self.has_eight_bits else self.bits - (PAIR_BITS if self.is_paired else NIBBLE_BITS)

    @property
    def table(self) -> tuple[int, ...] | None:
        """What the codes in memory stand for; None where they are themselves."""
        return self.description.table

    @property
    def zero(self) -> int:
        """The unsigned code that stands for zero."""
        return self.description.zero

    @property
    def has_minimum(self) -> bool:
        """Whether each block carries a minimum beside its scale."""
        return len(self.description.scales_at) > 1

    @property
    def factors(self) -> Factors:
        """What the scales of a super-block are multiplied with."""
        return self.description.factors

    @property
    def has_factors(self) -> bool:
        """Whether integers multiply the scales of blocks that share them."""
        return self.factors is not Factors.NONE

    @property
    def has_scales_in_factors(self) -> bool:
        """Whether factor words have the scales of super-blocks, too."""
        return self.factors in (Factors.SCALE_AND_MINIMUM, Factors.SHORT_HALVES)

    @property
    def has_halves(self) -> bool:
        """Whether the halves of a block are scaled apart, with a factor each."""
        return self.factors in (Factors.HALVES, Factors.SHORT_HALVES)

    @property
    def weighs_halves(self) -> bool:
        """Whether integers multiply the sums of halves, which are then scaled together."""
        return self.factors is Factors.HALVES_WITH_MINIMA

    @property
    def group_shift(self) -> int:
        """log2 of the blocks that share a scale in any matrix: those of a super-block, or 1 block."""
        return SUPER_SHIFT if self.block_weights > BLOCK else 0

    @property
    def scale_bytes(self) -> int:
        """Bytes of scale (and minimum) in scale words for one block, or for the blocks that share them."""
        if self.has_scales_in_factors:
            return 0
        return (2 if self.has_minimum else 1) * self.description.scale_bits // 8

    @property
    def has_short_scales(self) -> bool:
        """Whether scale words have the upper bytes of scales alone."""
        return self.description.scale_bits < HALF_BITS

    @property
    def block_weights(self) -> int:
        """Weights of one block in a GGUF file."""
        return self.description.file_weights

    @property
    def block_bytes(self) -> int:
        """Bytes of one block in a GGUF file."""
        return self.description.file_bytes


DESCRIPTIONS = {
    BlockFormat.Q4_0: Q4_0,
    BlockFormat.Q4_1: Q4_1,
    BlockFormat.Q8_0: Q8_0,
    BlockFormat.Q5_0: Q5_0,
    BlockFormat.Q5_1: Q5_1,
    BlockFormat.Q4_K: Q4_K,
    BlockFormat.Q5_K: Q5_K,
    BlockFormat.Q6_K: Q6_K,
    BlockFormat.IQ4_NL: IQ4_NL,
    BlockFormat.Q2_K: Q2_K,
    BlockFormat.Q3_K: Q3_K,
    BlockFormat.TQ1_0: TQ1_0,
    BlockFormat.TQ2_0: TQ2_0,
    BlockFormat.MXFP4: MXFP4,
}

DEFAULT_FORMATS = (BlockFormat.Q4_0, BlockFormat.Q4_1, BlockFormat.Q8_0)
"""Formats of gates for which no others are asked."""


def code_bits(formats: Iterable[BlockFormat]) -> int:
    """Return the bits of a format's code in gates that read `formats`: at least those of the default ones."""
    return max(*formats, *DEFAULT_FORMATS).bit_length()


@dataclass(frozen=True, kw_only=True)
class Blocks:
    """A matrix taken apart into blocks.

    Parameters
    ----------
    format
        Block format.
    u
        Unsigned weight codes, uint8, shape (rows, blocks, 32).
    d
        Scales as fp16 bit patterns, uint16, shape (rows, blocks).
    m
        Minima as fp16 bit patterns, uint16, shape (rows, blocks); None where the format has none.
    factors
        What scales and minima are multiplied with (`Factors`), int8, shape (rows, blocks, 2 or 4); None where the
        format has none.
    """

    format: BlockFormat
    u: NDArray[np.uint8]
    d: NDArray[np.uint16]
    m: NDArray[np.uint16] | None
    factors: NDArray[np.int8] | None = None

    @property
    def rows(self) -> int:
        """Rows of the matrix."""
        return self.u.shape[0]

    @property
    def k_blocks(self) -> int:
        """Blocks in a row."""
        return self.u.shape[1]

    @property
    def group_shift(self) -> int:
        """log2 of the neighbouring blocks that have the same scale and minimum everywhere, at most 3."""
        return find_group_shift(np.stack([self.d] if self.m is None else [self.d, self.m], axis=-1))

    @classmethod
    def from_groups(
        cls,
        format: BlockFormat,
        u: NDArray[np.uint8],
        d: NDArray[np.float16],
        m: NDArray[np.float16] | None = None,
    ) -> "Blocks":
        """Take a matrix whose scales serve groups of 32, 64, 128 or 256 weights along k.

        Parameters
        ----------
        format
            `Q4_0` for int4 (code 8 is zero), `Q8_0` for int8 (code 128 is zero), `Q4_1` for 4 bit with minimum.
        u
            Unsigned codes, shape (rows, k).
        d
            Scales, shape (rows, groups).
        m
            Minima, shape (rows, groups); None where the format has none.

        Raises
        ------
        ValueError
            If the groups do not divide a row into 32, 64, 128 or 256 weights, or minima are missing or too many.
        """
        rows, columns = u.shape
        groups = d.shape[1]
        shift = (columns // (BLOCK * max(1, groups))).bit_length() - 1
        if d.shape[0] != rows or not 0 <= shift <= MAX_GROUP_SHIFT or groups * (BLOCK << shift) != columns:
            raise ValueError(
                f"scales of shape {d.shape} do not fit codes of shape {u.shape}: "
                f"a group has {', '.join(str(BLOCK << i) for i in range(MAX_GROUP_SHIFT))} "
                f"or {BLOCK << MAX_GROUP_SHIFT} weights of a row"
            )
        if (m is not None) != format.has_minimum or (m is not None and m.shape != d.shape):
            raise ValueError(
                f"minima of shape {None if m is None else m.shape} do not fit "
                f"{format.name} with scales of shape {d.shape}"
            )

        def for_blocks(values: NDArray[np.float16]) -> NDArray[np.uint16]:
            return np.repeat(values.astype(np.float16).view(np.uint16), 1 << shift, axis=1)

        return cls(
            format=format,
            u=u.reshape(rows, columns // BLOCK, BLOCK),
            d=for_blocks(d),
            m=None if m is None else for_blocks(m),
        )

    @classmethod
    def from_gguf(cls, format: BlockFormat, data: NDArray[np.uint8], rows: int, columns: int) -> "Blocks":
        """Take the raw bytes of a GGUF tensor apart.

        Raises
        ------
        ValueError
            If the row length is no multiple of the file's blocks, the byte count does not fit the shape, or a scale is
            beyond what memory holds.
        """
        size = format.block_weights
        if columns % size:
            raise ValueError(f"a row of {columns} weights does not divide into blocks of {size}")
        in_row = columns // size
        if data.size != rows * in_row * format.block_bytes:
            raise ValueError(
                f"{data.size} bytes given for a {rows} x {columns} {format.name} matrix, "
                f"which takes {rows * in_row * format.block_bytes}"
            )
        raw = data.reshape(rows * in_row, format.block_bytes)
        codes = format.description.unpack(raw)

        def by_block(halves: NDArray[np.uint16]) -> NDArray[np.uint16]:
            return np.repeat(halves, size // BLOCK).reshape(rows, -1)

        stored = [np.ascontiguousarray(raw[:, at : at + 2]).view("<u2") for at in format.description.scales_at]
        return cls(
            format=format,
            u=np.ascontiguousarray(codes.u).reshape(rows, -1, BLOCK),
            d=by_block(stored[0] if codes.d is None else codes.d),
            m=by_block(stored[1]) if format.has_minimum else None,
            factors=None if codes.factors is None else codes.factors.reshape(rows, in_row * size // BLOCK, -1),
        )

    @classmethod
    def quantise_q8_0(cls, values: NDArray[np.float32]) -> "Blocks":
        """Quantise a float matrix to Q8_0, for files that hold float matrices.

        The result stands for the same weights as that of ggml's ``quantize_row_q8_0_ref``: codes are rounded, halves
        away from zero, against the float32 scale, which is then rounded to fp16.
        """
        rows, columns = values.shape
        if columns % BLOCK:
            raise ValueError(f"a row of {columns} weights does not divide into blocks of {BLOCK}")
        blocks = values.reshape(rows, columns // BLOCK, BLOCK).astype(np.float32)
        divisor = np.abs(blocks).max(axis=-1) / np.float32(127)
        scale = divisor.astype(np.float16)
        # Blocks whose scale vanishes in fp16 are zero whatever their codes, and their inverse could overflow.
        inverse = np.divide(np.float32(1), divisor, out=np.zeros_like(divisor), where=scale > 0)
        magnitude = np.abs(blocks) * inverse[..., None]
        rounded = np.floor(magnitude) + (magnitude % 1 >= 0.5)
        q = np.copysign(rounded, blocks).astype(np.int16)
        return cls(format=BlockFormat.Q8_0, u=(q + 128).astype(np.uint8), d=scale.view(np.uint16), m=None)

    def dequantise(self) -> NDArray[np.float32]:
        """Return the weights as float32, shape (rows, 32 * blocks)."""

        def scale(halves: NDArray[np.uint16], factors: NDArray[np.int8] | None) -> NDArray[np.float32]:
            values = halves.view(np.float16).astype(np.float32)
            return values if factors is None else values * factors.astype(np.float32)

        values = (self.u.astype(np.int16) - self.format.zero).astype(np.float32)
        factors = [None] * 4 if self.factors is None else [*np.moveaxis(self.factors, -1, 0)]
        halves = values[..., : BLOCK // 2], values[..., BLOCK // 2 :]
        if self.format.has_halves or self.format.weighs_halves:
            for half, factor in zip(halves, factors[:2], strict=True):
                half *= scale(self.d, factor)[..., None]
        else:
            values *= scale(self.d, factors[0])[..., None]
        if self.m is not None:
            minima = factors[2:] if self.format.weighs_halves else factors[1:2] * 2
            for half, factor in zip(halves, minima, strict=True):
                half += scale(self.m, factor)[..., None]
        return values.reshape(self.rows, -1)

    def select(self, rows: NDArray[np.intp]) -> "Blocks":
        """Return a matrix made of the named rows, in that order."""
        return replace(
            self,
            u=self.u[rows],
            d=self.d[rows],
            m=None if self.m is None else self.m[rows],
            factors=None if self.factors is None else self.factors[rows],
        )
