"""The memory image: weights, tables and program as the accelerator reads them."""

import numpy as np
from numpy.typing import NDArray
from rtlm.host.compiler.header import ImageHeader
from rtlm.host.compiler.layout import MemoryMap, PlacedRegion
from rtlm.host.compiler.plan import Matrix, Norm
from rtlm.host.errors import ModelError
from rtlm.host.models.model import LlamaModel
from rtlm.host.models.stored import embedding_blocks, matrix_blocks
from rtlm.hw.control.isa import Instruction, assemble
from rtlm.hw.formats import Blocks, pack_tiles
from rtlm.hw.params import AcceleratorParams

PACK_ROWS = 4096
"""Rows packed at once, to bound working memory; a multiple of every array's row group."""


def build_image(
    params: AcceleratorParams, model: LlamaModel, memory: MemoryMap, program: list[Instruction]
) -> NDArray[np.uint8]:
    """Build the linear image: everything but the KV cache and the result buffer, which start as zeros.

    Returns
    -------
    NDArray[np.uint8]
        One row for each word, shape (words, word_bytes), up to the first KV slot.

    Raises
    ------
    ModelError
        If the plan is that of a model on paper whose feed-forward network has no gate.
    """
    if not memory.plan.shape.gated:
        raise ModelError("a feed-forward network without a gate is planned on paper only: no unit computes it")
    regions = memory.regions
    image = np.zeros((regions["kv0"].start, params.word_bytes), dtype=np.uint8)
    header = ImageHeader(
        word_bytes=params.word_bytes,
        config_hash=params.config_hash,
        words=memory.words,
        content_words=len(image),
        program_start=regions["program"].start,
        program_words=regions["program"].words,
    )
    _put(image, regions["header"], header.pack())
    _put(image, regions["program"], assemble(program))
    _put(image, regions["embedding"], _embedding_rows(params, model, regions["embedding"]))
    _put(image, regions["rope"], _rope_rows(params, model, regions["rope"]))
    for region in regions.values():
        match region.tensor:
            case Norm(source=source, layer=layer):
                _put(image, region, model.norm(source, layer))
            case Matrix() as matrix:
                _put_matrix(params, image, region, matrix, model)
    return image


def _put(image: NDArray[np.uint8], region: PlacedRegion, content: NDArray) -> None:
    """Write bytes from a region's start."""
    raw = np.ascontiguousarray(content).view(np.uint8).reshape(-1)
    words = image[region.start : region.start + region.words]
    if raw.size > words.size:
        raise ModelError(f"{region.name} takes {raw.size} bytes where {region.words} words are planned")
    words.reshape(-1)[: raw.size] = raw


def _put_matrix(
    params: AcceleratorParams, image: NDArray[np.uint8], region: PlacedRegion, matrix: Matrix, model: LlamaModel
) -> None:
    """Write a matrix in tiles, some rows at a time; behind its last row that row is repeated."""
    tile, format = params.tile_shape, matrix.storage.format
    blocks = interleave([matrix_blocks(model, source, matrix.layer) for source in matrix.sources])
    run = tile.tiles_per_scale_word(format) * tile.group_rows(format)
    step = -(-PACK_ROWS // run) * run
    start = region.start
    for row in range(0, matrix.rows, step):
        part = blocks.select(np.minimum(np.arange(row, min(row + step, matrix.rows)), blocks.rows - 1))
        words = pack_tiles(tile, part, matrix.storage.group_shift)
        image[start : start + len(words)] = words
        start += len(words)
    if start != region.start + region.words:
        raise ModelError(f"{region.name} takes {start - region.start} words where {region.words} are planned")


def interleave(matrices: list[Blocks]) -> Blocks:
    """Interleave the rows of matrices: with gate and up, each pair of results is one gate and its up value."""
    if len(matrices) == 1:
        return matrices[0]

    def alternate(parts: list[NDArray]) -> NDArray:
        return np.stack(parts, axis=1).reshape(-1, *parts[0].shape[1:])

    minima = [blocks.m for blocks in matrices if blocks.m is not None]
    return Blocks(
        format=matrices[0].format,
        u=alternate([blocks.u for blocks in matrices]),
        d=alternate([blocks.d for blocks in matrices]),
        m=alternate(minima) if minima else None,
    )


def _embedding_rows(params: AcceleratorParams, model: LlamaModel, region: PlacedRegion) -> NDArray[np.uint8]:
    """Return the embedding's rows: scales in the first words, signed values in the following ones."""
    blocks = embedding_blocks(model)
    rows = np.zeros((region.entries, region.entry_words * params.word_bytes), np.uint8)
    rows[:, : 2 * blocks.k_blocks] = blocks.d.astype("<u2").view(np.uint8)
    first = (region.entry_words - -(-model.dim // params.word_bytes)) * params.word_bytes
    signed = (blocks.u.astype(np.int16) - blocks.format.zero).astype(np.int8)
    rows[:, first : first + model.dim] = signed.reshape(model.vocab, -1).view(np.uint8)
    return rows


def _rope_rows(params: AcceleratorParams, model: LlamaModel, region: PlacedRegion) -> NDArray[np.uint8]:
    """Return the cosines and sines of each position, pair by pair."""
    table = np.stack(model.rope_table(0, region.entries), axis=-1).reshape(region.entries, -1)
    rows = np.zeros((region.entries, region.entry_words * params.word_bytes), np.uint8)
    rows[:, : region.entry_bytes] = np.ascontiguousarray(table, dtype="<f4").view(np.uint8)
    return rows
