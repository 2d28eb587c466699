"""The memory image: weights, tables and program as the accelerator reads them.

It is made piece by piece in the order of its words, so that it can be larger than the memory of the machine that makes
it. `build_image` puts the pieces together for simulators.
"""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray
from rtlm.host.compiler.header import HEADER_BYTES, ImageHeader
from rtlm.host.compiler.layout import MemoryMap, PlacedRegion
from rtlm.host.compiler.plan import NO_ROPE, ROPE, WINDOW_ROPE, HeadVectors, Matrix, Norm
from rtlm.host.errors import ModelError
from rtlm.host.models.model import LlamaModel
from rtlm.host.models.rotary import unrotated
from rtlm.host.models.stored import embedding_blocks, matrix_blocks
from rtlm.hw.control.isa import Instruction, assemble
from rtlm.hw.formats import Blocks, pack_tiles
from rtlm.hw.params import AcceleratorParams

PIECE_WEIGHTS = 1 << 21
"""Weights in a piece, about, to bound working memory."""

STARTS_AS_ZEROS = ("kv", "logits")
"""Purposes of the regions behind the image."""


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
        As from `image_pieces`.
    """
    image = np.zeros((content_words(memory), params.word_bytes), dtype=np.uint8)
    start = 0
    for _, piece in image_pieces(params, model, memory, program):
        image[start : start + len(piece)] = piece
        start += len(piece)
    return image


def content_words(memory: MemoryMap) -> int:
    """Return the words of an image: up to the first KV slot."""
    return memory.regions["kv0"].start


def image_pieces(
    params: AcceleratorParams, model: LlamaModel, memory: MemoryMap, program: list[Instruction]
) -> Iterator[tuple[PlacedRegion, NDArray[np.uint8]]]:
    """Yield the linear image piece by piece, in the order of its words and without gaps.

    Yields
    ------
    tuple[PlacedRegion, NDArray[np.uint8]]
        A region and whole words of it, shape (words, word_bytes).

    Raises
    ------
    ModelError
        If the plan is that of a model on paper whose feed-forward network has no gate, or a weight cannot be stored.
    """
    if not memory.plan.shape.gated:
        raise ModelError("a feed-forward network without a gate is planned on paper only: no unit computes it")
    for region in memory.regions.values():
        if region.purpose in STARTS_AS_ZEROS:
            break
        words = 0
        for content in _contents(params, model, memory, program, region):
            piece = _whole_words(params, content)
            words += len(piece)
            yield region, piece
        if words != region.words:
            raise ModelError(
                f"{region.name} takes {words * params.word_bytes} bytes where {region.words} words are planned"
            )


def whole_stripes(pieces: Iterable[NDArray[np.uint8]], stripe_bytes: int) -> Iterator[NDArray[np.uint8]]:
    """Cut linear bytes anew, so that all but the last piece have whole stripes."""
    rest = np.empty(0, np.uint8)
    for piece in pieces:
        joined = np.concatenate([rest, piece])
        whole = joined.size // stripe_bytes * stripe_bytes
        if whole:
            yield joined[:whole]
        rest = joined[whole:].copy()
    if rest.size:
        yield rest


def _contents(
    params: AcceleratorParams,
    model: LlamaModel,
    memory: MemoryMap,
    program: list[Instruction],
    region: PlacedRegion,
) -> Iterator[NDArray]:
    """Yield the content of a region; each part but the last has whole words."""
    match region.tensor:
        case Norm(source=source, layer=layer):
            yield model.norm(source, layer)
        case HeadVectors(name="biases", layer=layer):
            yield model.biases(layer)
        case HeadVectors(name="head_norms", layer=layer):
            yield model.head_norms(layer)
        case Matrix() as matrix:
            yield from _tiles(params, matrix, model)
        case _ if region.name == "header":
            header = ImageHeader(
                word_bytes=params.word_bytes,
                config_hash=params.config_hash,
                words=memory.words,
                content_words=content_words(memory),
                program_start=memory.regions["program"].start,
                program_words=memory.regions["program"].words,
            )
            raw = np.zeros(region.words * params.word_bytes, np.uint8)
            raw[:HEADER_BYTES] = header.pack()
            yield raw
        case _ if region.name == "program":
            yield assemble(program)
        case _:
            rows = {
                "embedding": _embedding_rows,
                ROPE: _rope_rows,
                WINDOW_ROPE: _rope_rows,
                NO_ROPE: _unrotated_row,
            }[region.name]
            step = max(1, PIECE_WEIGHTS // model.dim)
            for first in range(0, region.entries, step):
                yield rows(params, model, region, first, min(first + step, region.entries))


def _whole_words(params: AcceleratorParams, content: NDArray) -> NDArray[np.uint8]:
    """Return content as rows of words, the last one filled up with zeros."""
    raw = np.ascontiguousarray(content).view(np.uint8).reshape(-1)
    spare = -raw.size % params.word_bytes
    return (np.pad(raw, (0, spare)) if spare else raw).reshape(-1, params.word_bytes)


def _tiles(params: AcceleratorParams, matrix: Matrix, model: LlamaModel) -> Iterator[NDArray[np.uint8]]:
    """Yield a matrix in tiles, some rows at a time; behind its last row that row is repeated."""
    tile, format, count = params.tile_shape, matrix.storage.format, len(matrix.sources)
    source_rows = model.matrix(matrix.sources[0], matrix.layer).shape[0]
    # Whole runs of tiles that share a word, and whole rows of each source; super-blocks divide a row.
    run = max(run >> format.group_shift for run in tile.runs(format)) or 1
    run *= tile.group_rows(format) * count
    step = -(-PIECE_WEIGHTS // matrix.columns // run) * run
    for first in range(0, matrix.rows, step):
        low = min(first // count, source_rows - 1)
        rows = slice(low, min((first + step) // count, source_rows))
        blocks = interleave([matrix_blocks(model, source, matrix.layer, rows) for source in matrix.sources])
        wanted = np.arange(first, min(first + step, matrix.rows)) - low * count
        if wanted[-1] >= blocks.rows:
            blocks = blocks.select(np.minimum(wanted, blocks.rows - 1))
        yield pack_tiles(tile, blocks, matrix.storage.group_shift)


def interleave(matrices: list[Blocks]) -> Blocks:
    """Interleave the rows of matrices: with gate and up, each pair of results is one gate and its up value."""
    if len(matrices) == 1:
        return matrices[0]

    def alternate(parts: list[NDArray]) -> NDArray:
        return np.stack(parts, axis=1).reshape(-1, *parts[0].shape[1:])

    minima = [blocks.m for blocks in matrices if blocks.m is not None]
    factors = [blocks.factors for blocks in matrices if blocks.factors is not None]
    return Blocks(
        format=matrices[0].format,
        u=alternate([blocks.u for blocks in matrices]),
        d=alternate([blocks.d for blocks in matrices]),
        m=alternate(minima) if minima else None,
        factors=alternate(factors) if factors else None,
    )


def _embedding_rows(
    params: AcceleratorParams, model: LlamaModel, region: PlacedRegion, first: int, end: int
) -> NDArray[np.uint8]:
    """Return some rows of the embedding: scales in the first words, signed values in the following ones."""
    blocks = embedding_blocks(model, slice(first, end))
    rows = np.zeros((end - first, region.entry_words * params.word_bytes), np.uint8)
    rows[:, : 2 * blocks.k_blocks] = blocks.d.astype("<u2").view(np.uint8)
    start = (region.entry_words - -(-model.dim // params.word_bytes)) * params.word_bytes
    signed = (blocks.u.astype(np.int16) - blocks.format.zero).astype(np.int8)
    rows[:, start : start + model.dim] = signed.reshape(end - first, -1).view(np.uint8)
    return rows


def _rope_rows(
    params: AcceleratorParams, model: LlamaModel, region: PlacedRegion, first: int, end: int
) -> NDArray[np.uint8]:
    """Return the cosines and sines of some positions, pair by pair."""
    table = model.rope_table(range(first, end), windowed=region.name == WINDOW_ROPE)
    return _rotations(params, region, *table)


def _unrotated_row(
    params: AcceleratorParams, model: LlamaModel, region: PlacedRegion, first: int, end: int
) -> NDArray[np.uint8]:
    """Return the cosines and sines of no rotation."""
    return _rotations(params, region, *unrotated(model.head_dim))


def _rotations(
    params: AcceleratorParams, region: PlacedRegion, cos: NDArray[np.float32], sin: NDArray[np.float32]
) -> NDArray[np.uint8]:
    table = np.stack((cos, sin), axis=-1).reshape(len(cos), -1)
    rows = np.zeros((len(table), region.entry_words * params.word_bytes), np.uint8)
    rows[:, : region.entry_bytes] = np.ascontiguousarray(table, dtype="<f4").view(np.uint8)
    return rows
