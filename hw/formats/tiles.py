"""The order in which a matrix lies in memory: tiles of (rows x one block), as the matrix unit consumes them.

A word holds 32 unsigned nibbles for each of the array's ``rows`` nibble rows. A 4-bit format has one matrix row in each
nibble row; an 8-bit format has the low nibbles of matrix row i in nibble row 2i and the high nibbles in 2i + 1. Tiles
follow each other row group by row group, within a row group block by block. Before each run of
``tiles_per_scale_word`` tiles (fewer at the end of the matrix) lies one scale word with the scales (and minima) of
those tiles: tile by tile, in a tile row by row, ``d`` then ``m``, little-endian fp16; of MXFP4 the upper byte alone,
since the lower one is 0.

Scales may be shared by groups of ``32 << group_shift`` weights along k, as AWQ and GPTQ have them. A scale word then
serves ``1 << group_shift`` times as many tiles. A group never straddles rows: the blocks in a row are a multiple of
``1 << group_shift``.

Two more kinds of word stand before the tiles that they serve, behind a scale word:

* a factor word, of formats with factors, for 8 tiles: for each row 8 lanes of 16 bits, one for each tile. With
  `Factors.HALVES` a lane is two int8, with `Factors.HALVES_WITH_MINIMA` 4 bits each: both scales, both minima. With
  `Factors.SCALE_AND_MINIMUM` it is 6 bits of scale, 6 of minimum, and 4 of the super-block's own ``d`` and ``m``, whose
  32 bits the 8 lanes have from the lowest on; there is no scale word. With `Factors.SHORT_HALVES` it is 6 bits for each
  half and 4 of ``d`` twice.
* a plane word, of formats of 3, 5 or 6 bits, with the bits above those in nibbles. Its quarters have a bit for each
  weight of a tile: one bit for each of 4 tiles; with 6 bits, for 2 tiles, first the fifth bits of both, then the sixth
  bits of both.

In formats of 2 and 3 bits a word of nibbles serves two tiles: the lower 2 bits of each are of the first, the upper 2 of
the second.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from rtlm.hw.common.checks import check_power_of_two
from rtlm.hw.formats.blocks import BlockFormat, Blocks, check_group
from rtlm.hw.formats.description import BLOCK, NIBBLE_BITS, PAIR_BITS, SUPER_SHIFT, Factors

MIN_ROWS = 4
"""Fewest nibble rows of an array: its word is 64 bytes."""

QUARTERS = 4
"""Parts of a plane word: a bit for each weight of a tile."""

LANE_BITS = 16
"""Bits of a factor word for a row and a tile."""

FACTOR_BITS = 6
"""Bits of a scale or minimum where both are factors."""


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
        return self.rows // 2 if format.has_eight_bits else self.rows

    def tiles_per_scale_word(self, format: BlockFormat, group_shift: int = 0) -> int:
        """Tiles whose scales share a word (4, 8 or 16 groups of tiles, whatever the array's size); 0 without any."""
        if not format.scale_bytes:
            return 0
        shift = max(group_shift, format.group_shift)
        return self.word_bytes // (self.group_rows(format) * format.scale_bytes) << shift

    def runs(self, format: BlockFormat, group_shift: int = 0) -> list[int]:
        """Tiles that a scale word, a factor word and a plane word serve, without those that the format lacks."""
        factors = 1 << SUPER_SHIFT if format.has_factors else 0
        planes = QUARTERS // format.upper_bits if format.upper_bits else 0
        return [run for run in (self.tiles_per_scale_word(format, group_shift), factors, planes) if run]

    def padded_rows(self, format: BlockFormat, rows: int) -> int:
        """Matrix rows after padding to whole tiles."""
        group = self.group_rows(format)
        return -(-rows // group) * group

    def words(self, format: BlockFormat, rows: int, k_blocks: int, group_shift: int = 0) -> int:
        """Words that a matrix takes in memory.

        Raises
        ------
        ValueError
            If groups of ``32 << group_shift`` weights, or super-blocks, do not divide a row.
        """
        check_group(k_blocks, max(group_shift, format.group_shift))
        tiles = self.padded_rows(format, rows) // self.group_rows(format) * k_blocks
        return sum(-(-tiles // run) for run in (*self.runs(format, group_shift), format.tiles_per_word))


def _places(tiles: int, runs: list[int], per_word: int) -> tuple[NDArray[np.intp], list[NDArray[np.intp]]]:
    """Return where words of nibbles lie, each of `per_word` tiles, and where the words that serve `runs` of them."""

    def before(tile: NDArray[np.intp], earlier: list[int], later: list[int]) -> NDArray[np.intp]:
        """Words in front of what stands at a tile: of the earlier kinds also those that stand there themselves."""
        return tile // per_word + sum(tile // run + 1 for run in earlier) + sum(-(-tile // run) for run in later)

    firsts = [np.arange(0, tiles, run) for run in runs]
    sides = [before(first, runs[:kind], runs[kind:]) for kind, first in enumerate(firsts)]
    return before(np.arange(0, tiles, per_word), runs, []), sides


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
        If groups do not divide a row, the blocks of a group differ in scale or minimum, or a scale has bits that
        memory does not hold.
    """
    format = weights.format
    group_shift = max(group_shift, format.group_shift)
    check_group(weights.k_blocks, group_shift)
    if group_shift and weights.group_shift < group_shift:
        raise ValueError(
            f"scales of groups of {BLOCK << group_shift} weights are asked for, "
            f"but in this matrix only groups of {BLOCK << weights.group_shift} weights share one"
        )
    group = shape.group_rows(format)
    groups = shape.padded_rows(format, weights.rows) // group
    padding = groups * group - weights.rows

    def by_tile(values: NDArray, fill: int) -> NDArray:
        width = ((0, padding),) + ((0, 0),) * (values.ndim - 1)
        padded = np.pad(values, width, constant_values=fill) if padding else values
        split = padded.reshape(groups, group, *values.shape[1:])
        return split.swapaxes(1, 2).reshape(groups * values.shape[1], group, *values.shape[2:])

    def in_words(served: NDArray, run: int) -> NDArray[np.uint8]:
        """Put what each tile (or group of tiles) has into a word for so many; the last one is filled up with zeros."""
        raw = np.ascontiguousarray(served).view(np.uint8).reshape(len(served), -1)
        return np.pad(raw, ((0, -len(raw) % run), (0, 0))).reshape(-1, shape.word_bytes)

    # What fills up has the scale 0, whatever its codes.
    if format.table is None:
        u = by_tile(weights.u, format.zero)
    else:
        number = np.zeros(256, np.uint8)
        number[list(format.table)] = range(len(format.table))
        u = by_tile(number[weights.u], 0)
    tiles = u.shape[0]
    kinds: list[NDArray[np.uint8]] = []
    stored = [weights.d] if weights.m is None else [weights.d, weights.m]
    if run := shape.tiles_per_scale_word(format, group_shift):
        parts = np.stack([by_tile(values[:, :: 1 << group_shift], 0) for values in stored], axis=-1)
        if format.has_short_scales:
            if (parts & 255).any():
                raise ValueError(f"scales of {format.name} must be powers of two that an fp16's upper byte holds")
            parts >>= 8
        kinds.append(in_words(parts.astype(f"<u{format.description.scale_bits // 8}"), run >> group_shift))
    if weights.factors is not None:
        lanes = _lanes(format, by_tile(weights.factors, 0), [by_tile(values, 0) for values in stored])
        by_row = lanes.reshape(-1, 1 << SUPER_SHIFT, group).swapaxes(1, 2)
        kinds.append(in_words(by_row.astype("<u2"), 1))
    if format.upper_bits:
        kinds.append(_plane_words(u >> np.uint8(format.bits - format.upper_bits), format.upper_bits))
    if format.has_eight_bits:
        u = np.stack([u & 15, u >> 4], axis=2).reshape(tiles, shape.rows, BLOCK)
    if format.is_paired:
        low = u & np.uint8((1 << PAIR_BITS) - 1)
        u = low[0::2] | low[1::2] << np.uint8(PAIR_BITS)
    codes = (u[..., 0::2] & 15) | (u[..., 1::2] << NIBBLE_BITS)
    place, sides = _places(tiles, shape.runs(format, group_shift), format.tiles_per_word)
    words = np.empty((len(codes) + sum(map(len, kinds)), shape.word_bytes), dtype=np.uint8)
    words[place] = codes.reshape(-1, shape.word_bytes)
    for side, content in zip(sides, kinds, strict=True):
        words[side] = content
    return words


def _lanes(format: BlockFormat, factors: NDArray[np.int8], scales: list[NDArray[np.uint16]]) -> NDArray[np.uint16]:
    """Return a factor word's 16 bits for each tile and row; `scales` are those of the super-blocks."""
    if format.factors is Factors.HALVES:
        return factors.view(np.uint8).astype(np.uint16) @ np.array([1, 256], np.uint16)
    if format.weighs_halves:
        return np.abs(factors).astype(np.uint16) @ (1 << NIBBLE_BITS * np.arange(4)).astype(np.uint16)
    first, second = factors[..., 0], factors[..., 1] if format.has_halves else -factors[..., 1]
    pair = [each.view(np.uint8).astype(np.uint16) & ((1 << FACTOR_BITS) - 1) for each in (first, second)]
    own = scales[0].astype(np.uint32) | scales[-1].astype(np.uint32) << LANE_BITS
    tile = np.arange(len(own), dtype=np.uint32)[:, None] % (1 << SUPER_SHIFT)
    nibble = (own >> (NIBBLE_BITS * tile) & 15).astype(np.uint16)
    return (pair[0] | pair[1] << FACTOR_BITS | nibble << 2 * FACTOR_BITS).astype(np.uint16)


def _plane_words(upper: NDArray[np.uint8], bits: int) -> NDArray[np.uint8]:
    """Return plane words of tiles' upper bits, shape (tiles, rows, 32)."""
    served = QUARTERS // bits
    padded = np.pad(upper, ((0, -len(upper) % served), (0, 0), (0, 0))).reshape(-1, served, *upper.shape[1:])
    planes = np.stack([padded >> bit & 1 for bit in range(bits)], axis=1)
    return np.packbits(planes.reshape(len(planes), -1), axis=1, bitorder="little")


def unpack_tiles(
    shape: TileShape, format: BlockFormat, words: NDArray[np.uint8], rows: int, k_blocks: int, group_shift: int = 0
) -> Blocks:
    """Undo `pack_tiles`; each block gets its group's scale.

    Raises
    ------
    ValueError
        If the number of words does not fit the shape, or groups do not divide a row.
    """
    group_shift = max(group_shift, format.group_shift)
    expected = shape.words(format, rows, k_blocks, group_shift)
    if words.shape != (expected, shape.word_bytes):
        raise ValueError(f"words of shape {words.shape} given where the matrix takes {(expected, shape.word_bytes)}")
    group = shape.group_rows(format)
    groups = shape.padded_rows(format, rows) // group
    tiles = groups * k_blocks
    place, sides = _places(tiles, shape.runs(format, group_shift), format.tiles_per_word)
    kinds = [np.ascontiguousarray(words[side]) for side in sides]
    codes = words[place].reshape(-1, shape.rows, BLOCK // 2)
    u = np.stack([codes & 15, codes >> NIBBLE_BITS], axis=-1).reshape(-1, shape.rows, BLOCK)
    if format.has_eight_bits:
        u = u[:, 0::2] | (u[:, 1::2] << NIBBLE_BITS)
    if format.is_paired:
        u = np.stack([u & ((1 << PAIR_BITS) - 1), u >> PAIR_BITS], axis=1).reshape(tiles, shape.rows, BLOCK)
    if bits := format.upper_bits:
        planes = np.unpackbits(kinds.pop(), axis=1, bitorder="little").reshape(-1, bits, QUARTERS // bits, group, BLOCK)
        for bit in range(bits):
            u = u | planes[:, bit].reshape(-1, group, BLOCK)[:tiles] << np.uint8(format.bits - bits + bit)
    if format.table is not None:
        u = np.array(format.table, np.uint8)[u]
    factors = None
    if format.has_factors:
        lanes = kinds.pop().view("<u2").reshape(-1, group, 1 << SUPER_SHIFT).swapaxes(1, 2).reshape(tiles, group)
        factors, own = _from_lanes(format, lanes)
    if kinds:
        size = format.description.scale_bits // 8
        scales = kinds[0].view(f"<u{size}").astype(np.uint16).reshape(-1, group, format.scale_bytes // size)
        if format.has_short_scales:
            scales <<= 8
        own = np.repeat(scales, 1 << group_shift, axis=0)[:tiles]

    def by_row(values: NDArray) -> NDArray:
        split = values.reshape(groups, k_blocks, group, *values.shape[2:]).swapaxes(1, 2)
        return np.ascontiguousarray(split.reshape(groups * group, k_blocks, *values.shape[2:])[:rows])

    return Blocks(
        format=format,
        u=by_row(u),
        d=by_row(own[..., 0]),
        m=by_row(own[..., 1]) if format.has_minimum else None,
        factors=None if factors is None else by_row(factors),
    )


def _from_lanes(format: BlockFormat, lanes: NDArray[np.uint16]) -> tuple[NDArray[np.int8], NDArray[np.uint16]]:
    """Return factors, and the super-blocks' own scales where lanes have them, of each tile and row."""
    none = np.zeros((*lanes.shape, 0), np.uint16)
    if format.factors is Factors.HALVES:
        return np.stack([lanes & 255, lanes >> 8], axis=-1).astype(np.uint8).view(np.int8), none
    if format.weighs_halves:
        fields = lanes[..., None] >> NIBBLE_BITS * np.arange(4, dtype=np.uint16) & 15
        return fields.astype(np.int8) * np.array([1, 1, -1, -1], np.int8), none
    pair = np.stack([lanes, lanes >> FACTOR_BITS], axis=-1).astype(np.uint8) & np.uint8((1 << FACTOR_BITS) - 1)
    if format.has_halves:
        spare = np.uint8(8 - FACTOR_BITS)
        factors = (pair << spare).view(np.int8) >> spare.view(np.int8)
    else:
        factors = pair.astype(np.int8) * np.array([1, -1], np.int8)
    nibble = (lanes >> 2 * FACTOR_BITS).astype(np.uint32).reshape(-1, 1 << SUPER_SHIFT, lanes.shape[1])
    shifts = NIBBLE_BITS * np.arange(1 << SUPER_SHIFT, dtype=np.uint32)[:, None]
    both = np.repeat((nibble << shifts).sum(axis=1, dtype=np.uint32), 1 << SUPER_SHIFT, axis=0)
    return factors, np.stack([both & 0xFFFF, both >> LANE_BITS], axis=-1).astype(np.uint16)
