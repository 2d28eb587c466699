"""Weight blocks: 32 weights that share a scale and, in some formats, a minimum.

The layouts are those of ggml (``ggml-common.h``: ``block_q4_0``, ``block_q4_1``, ``block_q8_0``). A weight is
``d * (u - zero) + m`` with an unsigned integer ``u``; see docs/numerics.md.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

BLOCK = 32
"""Weights in a block, and activations that share a scale."""


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
        """Quantise a float matrix to Q8_0 (ggml's ``quantize_row_q8_0_ref``), for files that hold float matrices."""
        rows, columns = values.shape
        if columns % BLOCK:
            raise ValueError(f"a row of {columns} weights does not divide into blocks of {BLOCK}")
        blocks = values.reshape(rows, columns // BLOCK, BLOCK).astype(np.float32)
        scale = (np.abs(blocks).max(axis=-1) / np.float32(127)).astype(np.float16)
        divisor = scale.astype(np.float32)
        inverse = np.divide(1, divisor, out=np.zeros_like(divisor), where=divisor > 0)
        q = np.clip(np.rint(blocks * inverse[..., None]), -127, 127).astype(np.int16)
        return cls(format=BlockFormat.Q8_0, u=(q + 128).astype(np.uint8), d=scale.view(np.uint16), m=None)

    def dequantise(self) -> NDArray[np.float32]:
        """Give the weights as float32, shape (rows, 32 * blocks)."""
        values = (self.u.astype(np.int16) - self.format.zero).astype(np.float32)
        values *= self.d.view(np.float16).astype(np.float32)[..., None]
        if self.m is not None:
            values += self.m.view(np.float16).astype(np.float32)[..., None]
        return values.reshape(self.rows, -1)

    def select(self, rows: NDArray[np.intp]) -> "Blocks":
        """Give a matrix made of the named rows, in that order."""
        return Blocks(format=self.format, u=self.u[rows], d=self.d[rows], m=None if self.m is None else self.m[rows])
