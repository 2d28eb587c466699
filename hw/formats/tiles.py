"""The order in which a matrix lies in memory: tiles of (rows x one block), as the matrix unit consumes them.

A word holds 32 unsigned nibbles for each of the array's ``rows`` nibble rows. A 4-bit format has one matrix row in each
nibble row; an 8-bit format has the low nibbles of matrix row i in nibble row 2i and the high nibbles in 2i + 1. Tiles
follow each other row group by row group, within a row group block by block. Before each run of
``tiles_per_scale_word`` tiles (fewer at the end of the matrix) lies one scale word with the scales (and minima) of
those tiles: tile by tile, in a tile row by row, ``d`` then ``m``, little-endian fp16.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rtlm.hw.formats.blocks import BLOCK, BlockFormat, Blocks


@dataclass(frozen=True, kw_only=True)
class TileShape:
    """Tile geometry of one array.

    Parameters
    ----------
    rows
        Nibble rows of the array, a power of two, at least 4.
    """

    rows: int

    def __post_init__(self) -> None:
        """Validate."""
        if self.rows < 4 or self.rows & (self.rows - 1):
            raise ValueError(
                f"an array of {self.rows} nibble rows is not possible: the number is a power of two, at least 4"
            )

    @property
    def word_bytes(self) -> int:
        """Bytes of a word: 32 nibbles for each nibble row."""
        return self.rows * BLOCK // 2

    def group_rows(self, format: BlockFormat) -> int:
        """Matrix rows in a tile."""
        return self.rows * 4 // format.bits

    def tiles_per_scale_word(self, format: BlockFormat) -> int:
        """Tiles whose scales share a word (4, 8 or 16, whatever the array's size)."""
        return self.word_bytes // (self.group_rows(format) * format.scale_bytes)

    def padded_rows(self, format: BlockFormat, rows: int) -> int:
        """Matrix rows after padding to whole tiles."""
        group = self.group_rows(format)
        return -(-rows // group) * group

    def words(self, format: BlockFormat, rows: int, k_blocks: int) -> int:
        """Words that a matrix takes in memory."""
        tiles = self.padded_rows(format, rows) // self.group_rows(format) * k_blocks
        return tiles + -(-tiles // self.tiles_per_scale_word(format))


def pack_tiles(shape: TileShape, weights: Blocks) -> NDArray[np.uint8]:
    """Lay a matrix out in words; rows are padded with zero weights.

    Returns
    -------
    NDArray[np.uint8]
        Shape (words, word_bytes).
    """
    format = weights.format
    group = shape.group_rows(format)
    groups = shape.padded_rows(format, weights.rows) // group
    padding = groups * group - weights.rows

    def by_tile(values: NDArray, fill: int) -> NDArray:
        width = ((0, padding),) + ((0, 0),) * (values.ndim - 1)
        padded = np.pad(values, width, constant_values=fill) if padding else values
        split = padded.reshape(groups, group, weights.k_blocks, *values.shape[2:])
        return split.swapaxes(1, 2).reshape(groups * weights.k_blocks, group, *values.shape[2:])

    u = by_tile(weights.u, format.zero)
    tiles = u.shape[0]
    if format.bits == 8:
        u = np.stack([u & 15, u >> 4], axis=2).reshape(tiles, shape.rows, BLOCK)
    codes = (u[..., 0::2] | (u[..., 1::2] << 4)).reshape(tiles, shape.word_bytes)
    parts = [by_tile(weights.d, 0)] + ([] if weights.m is None else [by_tile(weights.m, 0)])
    scales = np.ascontiguousarray(np.stack(parts, axis=-1).astype("<u2").reshape(tiles, -1)).view(np.uint8)

    run = shape.tiles_per_scale_word(format)
    runs = -(-tiles // run)
    words = np.zeros((runs, run + 1, shape.word_bytes), dtype=np.uint8)
    spare = runs * run - tiles
    words[:, 0] = np.pad(scales, ((0, spare), (0, 0))).reshape(runs, shape.word_bytes)
    words[:, 1:] = np.pad(codes, ((0, spare), (0, 0))).reshape(runs, run, shape.word_bytes)
    return words.reshape(-1, shape.word_bytes)[: tiles + runs]


def unpack_tiles(shape: TileShape, format: BlockFormat, words: NDArray[np.uint8], rows: int, k_blocks: int) -> Blocks:
    """Undo `pack_tiles`.

    Raises
    ------
    ValueError
        If the number of words does not fit the shape.
    """
    expected = shape.words(format, rows, k_blocks)
    if words.shape != (expected, shape.word_bytes):
        raise ValueError(f"words of shape {words.shape} given where the matrix takes {(expected, shape.word_bytes)}")
    group, run = shape.group_rows(format), shape.tiles_per_scale_word(format)
    groups = shape.padded_rows(format, rows) // group
    tiles = groups * k_blocks
    runs = -(-tiles // run)
    full = np.pad(words, ((0, runs * (run + 1) - expected), (0, 0))).reshape(runs, run + 1, shape.word_bytes)
    codes = full[:, 1:].reshape(-1, shape.word_bytes)[:tiles].reshape(tiles, shape.rows, BLOCK // 2)
    u = np.stack([codes & 15, codes >> 4], axis=-1).reshape(tiles, shape.rows, BLOCK)
    if format.bits == 8:
        u = u[:, 0::2] | (u[:, 1::2] << 4)
    scales = np.ascontiguousarray(full[:, 0]).view("<u2").reshape(runs * run, group, -1)[:tiles]

    def by_row(values: NDArray) -> NDArray:
        split = values.reshape(groups, k_blocks, group, *values.shape[2:]).swapaxes(1, 2)
        return np.ascontiguousarray(split.reshape(groups * group, k_blocks, *values.shape[2:])[:rows])

    return Blocks(
        format=format,
        u=by_row(u),
        d=by_row(scales[..., 0]),
        m=by_row(scales[..., 1]) if format.has_minimum else None,
    )
