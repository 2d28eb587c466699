"""The order in which a matrix lies in memory: tiles of (rows x one block), as the matrix unit consumes them.

A word holds 32 unsigned nibbles for each of the array's ``rows`` nibble rows. A 4-bit format has one matrix row in each
nibble row; an 8-bit format has the low nibbles of matrix row i in nibble row 2i and the high nibbles in 2i + 1. Tiles
follow each other row group by row group, within a row group block by block. Before each run of
``tiles_per_scale_word`` tiles (fewer at the end of the matrix) lies one scale word with the scales (and minima) of
those tiles: tile by tile, in a tile row by row, ``d`` then ``m``, little-endian fp16.

Scales may be shared by groups of ``32 << group_shift`` weights along k, as AWQ and GPTQ have them. A scale word then
serves ``1 << group_shift`` times as many tiles. A group never straddles rows: the blocks in a row are a multiple of
``1 << group_shift``.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from rtlm.hw.common.checks import check_power_of_two
from rtlm.hw.formats.blocks import BLOCK, BlockFormat, Blocks, check_group

MIN_ROWS = 4
"""Fewest nibble rows of an array: its word is 64 bytes."""


@dataclass(frozen=True, kw_only=True)
class TileShape:
    """Tile geometry of one array.

    Parameters
    ----------
    rows
        Nibble rows of the array, a power of two, at least `MIN_ROWS`.
    """

    rows: int

    def __post_init__(self) -> None:
        """Validate."""
        check_power_of_two("rows", self.rows, MIN_ROWS)

    @classmethod
    def of_lanes(cls, lanes: int) -> Self:
        """Return the geometry of an array with so many lanes; one that has less than a word's takes several cycles."""
        return cls(rows=max(MIN_ROWS, lanes // BLOCK))

    @property
    def word_bytes(self) -> int:
        """Bytes of a word: 32 nibbles for each nibble row."""
        return self.rows * BLOCK // 2

    def group_rows(self, format: BlockFormat) -> int:
        """Matrix rows in a tile."""
        return self.rows * 4 // format.bits

    def tiles_per_scale_word(self, format: BlockFormat, group_shift: int = 0) -> int:
        """Tiles whose scales share a word (4, 8 or 16 groups of tiles, whatever the array's size)."""
        return self.word_bytes // (self.group_rows(format) * format.scale_bytes) << group_shift

    def padded_rows(self, format: BlockFormat, rows: int) -> int:
        """Matrix rows after padding to whole tiles."""
        group = self.group_rows(format)
        return -(-rows // group) * group

    def words(self, format: BlockFormat, rows: int, k_blocks: int, group_shift: int = 0) -> int:
        """Words that a matrix takes in memory.

        Raises
        ------
        ValueError
            If groups of ``32 << group_shift`` weights do not divide a row.
        """
        check_group(k_blocks, group_shift)
        tiles = self.padded_rows(format, rows) // self.group_rows(format) * k_blocks
        return tiles + -(-tiles // self.tiles_per_scale_word(format, group_shift))


def pack_tiles(shape: TileShape, weights: Blocks, group_shift: int = 0) -> NDArray[np.uint8]:
    """Lay a matrix out in words; rows are padded with zero weights.

    Parameters
    ----------
    shape
        Tile geometry.
    weights
        The matrix.
    group_shift
        Scales are stored once for ``32 << group_shift`` weights; those of the blocks of a group must be equal.

    Returns
    -------
    NDArray[np.uint8]
        Shape (words, word_bytes).

    Raises
    ------
    ValueError
        If groups do not divide a row, or the blocks of a group differ in scale or minimum.
    """
    check_group(weights.k_blocks, group_shift)
    if group_shift and weights.group_shift < group_shift:
        raise ValueError(
            f"scales of groups of {BLOCK << group_shift} weights are asked for, "
            f"but in this matrix only groups of {BLOCK << weights.group_shift} weights share one"
        )
    format = weights.format
    group = shape.group_rows(format)
    groups = shape.padded_rows(format, weights.rows) // group
    padding = groups * group - weights.rows

    def by_tile(values: NDArray, fill: int) -> NDArray:
        width = ((0, padding),) + ((0, 0),) * (values.ndim - 1)
        padded = np.pad(values, width, constant_values=fill) if padding else values
        split = padded.reshape(groups, group, *values.shape[1:])
        return split.swapaxes(1, 2).reshape(groups * values.shape[1], group, *values.shape[2:])

    u = by_tile(weights.u, format.zero)
    tiles = u.shape[0]
    if format.bits == 8:
        u = np.stack([u & 15, u >> 4], axis=2).reshape(tiles, shape.rows, BLOCK)
    codes = (u[..., 0::2] | (u[..., 1::2] << 4)).reshape(tiles, shape.word_bytes)
    stored = [weights.d] if weights.m is None else [weights.d, weights.m]
    parts = [by_tile(values[:, :: 1 << group_shift], 0) for values in stored]
    scales = np.ascontiguousarray(np.stack(parts, axis=-1).astype("<u2").reshape(tiles >> group_shift, -1))

    run = shape.tiles_per_scale_word(format, group_shift)
    runs = -(-tiles // run)
    words = np.zeros((runs, run + 1, shape.word_bytes), dtype=np.uint8)
    spare = runs * run - tiles
    padded = np.pad(scales.view(np.uint8), ((0, spare >> group_shift), (0, 0)))
    words[:, 0] = padded.reshape(runs, shape.word_bytes)
    words[:, 1:] = np.pad(codes, ((0, spare), (0, 0))).reshape(runs, run, shape.word_bytes)
    return words.reshape(-1, shape.word_bytes)[: tiles + runs]


def unpack_tiles(
    shape: TileShape, format: BlockFormat, words: NDArray[np.uint8], rows: int, k_blocks: int, group_shift: int = 0
) -> Blocks:
    """Undo `pack_tiles`; each block gets its group's scale.

    Raises
    ------
    ValueError
        If the number of words does not fit the shape, or groups do not divide a row.
    """
    expected = shape.words(format, rows, k_blocks, group_shift)
    if words.shape != (expected, shape.word_bytes):
        raise ValueError(f"words of shape {words.shape} given where the matrix takes {(expected, shape.word_bytes)}")
    group, run = shape.group_rows(format), shape.tiles_per_scale_word(format, group_shift)
    groups = shape.padded_rows(format, rows) // group
    tiles = groups * k_blocks
    runs = -(-tiles // run)
    full = np.pad(words, ((0, runs * (run + 1) - expected), (0, 0))).reshape(runs, run + 1, shape.word_bytes)
    codes = full[:, 1:].reshape(-1, shape.word_bytes)[:tiles].reshape(tiles, shape.rows, BLOCK // 2)
    u = np.stack([codes & 15, codes >> 4], axis=-1).reshape(tiles, shape.rows, BLOCK)
    if format.bits == 8:
        u = u[:, 0::2] | (u[:, 1::2] << 4)
    scales = np.ascontiguousarray(full[:, 0]).view("<u2").reshape(runs * run >> group_shift, group, -1)
    scales = np.repeat(scales, 1 << group_shift, axis=0)[:tiles]

    def by_row(values: NDArray) -> NDArray:
        split = values.reshape(groups, k_blocks, group, *values.shape[2:]).swapaxes(1, 2)
        return np.ascontiguousarray(split.reshape(groups * group, k_blocks, *values.shape[2:])[:rows])

    return Blocks(
        format=format,
        u=by_row(u),
        d=by_row(scales[..., 0]),
        m=by_row(scales[..., 1]) if format.has_minimum else None,
    )
