"""Weight blocks: 32 weights that share a scale and, in some formats, a minimum.

The layouts are those of ggml (``ggml-common.h``: ``block_q4_0``, ``block_q4_1``, ``block_q8_0``). A weight is
``d * (u - zero) + m`` with an unsigned integer ``u``; see docs/numerics.md. Weights with a scale for each group of 64,
128 or 256 (AWQ, arXiv:2306.00978; GPTQ, arXiv:2210.17323) are blocks of which 2, 4 or 8 have the same scale.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray
from rtlm.hw.common.checks import check_range

BLOCK = 32
"""Weights in a block, and activations that share a scale."""

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
    """Weight formats the matrix unit reads; the value is the format's code in an instruction."""

    Q4_0 = 0
    Q4_1 = 1
    Q8_0 = 2

    @property
    def bits(self) -> int:
        """Bits of one weight, without scales."""
        return 8 if self is BlockFormat.Q8_0 else 4

    @property
    def zero(self) -> int:
        """The unsigned code that stands for zero."""
        return {BlockFormat.Q4_0: 8, BlockFormat.Q4_1: 0, BlockFormat.Q8_0: 128}[self]

    @property
    def has_minimum(self) -> bool:
        """Whether each block carries a minimum beside its scale."""
        return self is BlockFormat.Q4_1

    @property
    def scale_bytes(self) -> int:
        """Bytes of scale (and minimum) for one block."""
        return 4 if self.has_minimum else 2

    @property
    def block_bytes(self) -> int:
        """Bytes of one block in a GGUF file."""
        return self.scale_bytes + BLOCK * self.bits // 8


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
    """

    format: BlockFormat
    u: NDArray[np.uint8]
    d: NDArray[np.uint16]
    m: NDArray[np.uint16] | None

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
            If the row length is no multiple of 32 or the byte count does not fit the shape.
        """
        if columns % BLOCK:
            raise ValueError(f"a row of {columns} weights does not divide into blocks of {BLOCK}")
        k_blocks = columns // BLOCK
        if data.size != rows * k_blocks * format.block_bytes:
            raise ValueError(
                f"{data.size} bytes given for a {rows} x {columns} {format.name} matrix, "
                f"which takes {rows * k_blocks * format.block_bytes}"
            )
        raw = data.reshape(rows, k_blocks, format.block_bytes)
        scales = np.ascontiguousarray(raw[..., : format.scale_bytes]).view("<u2")
        codes = raw[..., format.scale_bytes :]
        u = np.concatenate([codes & 15, codes >> 4], axis=-1) if format.bits == 4 else codes ^ 0x80
        return cls(
            format=format,
            u=np.ascontiguousarray(u),
            d=scales[..., 0].copy(),
            m=scales[..., 1].copy() if format.has_minimum else None,
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
        values = (self.u.astype(np.int16) - self.format.zero).astype(np.float32)
        values *= self.d.view(np.float16).astype(np.float32)[..., None]
        if self.m is not None:
            values += self.m.view(np.float16).astype(np.float32)[..., None]
        return values.reshape(self.rows, -1)

    def select(self, rows: NDArray[np.intp]) -> "Blocks":
        """Return a matrix made of the named rows, in that order."""
        return Blocks(format=self.format, u=self.u[rows], d=self.d[rows], m=None if self.m is None else self.m[rows])
