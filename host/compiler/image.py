"""The memory image: weights, tables and program as the accelerator reads them."""

import numpy as np
from numpy.typing import NDArray
from rtlm.host.compiler.header import ImageHeader
from rtlm.host.compiler.layout import F32_BYTES, MATRICES, MemoryMap, Region, embedding_row_words, output_rows
from rtlm.host.errors import ModelError
from rtlm.host.model import FLOAT_DTYPES, LlamaModel, check_q8_0_range
from rtlm.hw.control.isa import Instruction, assemble
from rtlm.hw.formats import Blocks, pack_tiles
from rtlm.hw.params import AcceleratorParams

PACK_ROWS = 4096
"""Rows packed at once, to bound working memory; a multiple of every array's row group."""


def matrix_blocks(model: LlamaModel, name: str, layer: int | None = None) -> Blocks:
    """Give a matrix in the blocks that go to memory: its own, or Q8_0 made from floats."""
    if model.matrix(name, layer).type in FLOAT_DTYPES:
        return Blocks.quantise_q8_0(model.float_matrix(name, layer))
    return model.blocks(name, layer)


def embedding_blocks(model: LlamaModel) -> Blocks:
    """Give the embedding as symmetric blocks (Q8_0 or Q4_0); other formats are quantised to Q8_0."""
    blocks = matrix_blocks(model, "token_embd")
    if not blocks.format.has_minimum:
        return blocks
    with np.errstate(invalid="ignore"):  # Infinite scales: refused in the next line.
        values = blocks.dequantise()
    check_q8_0_range(model.tensor_name("token_embd"), values)
    return Blocks.quantise_q8_0(values)


def build_image(
    params: AcceleratorParams, model: LlamaModel, memory: MemoryMap, program: list[Instruction]
) -> NDArray[np.uint8]:
    """Build the linear image: everything but the KV cache and the result buffer, which start as zeros.

    Returns
    -------
    NDArray[np.uint8]
        One row for each word, shape (words, word_bytes), up to the first KV slot.
    """
    image = np.zeros((memory.regions["kv0"].start, params.word_bytes), dtype=np.uint8)
    tile = params.tile_shape

    def put(region: Region, content: NDArray) -> None:
        raw = np.ascontiguousarray(content).view(np.uint8).reshape(-1)
        if raw.size > region.words * params.word_bytes:
            raise ModelError(f"{region.name} takes {raw.size} bytes where {region.words} words are planned")
        image[region.start : region.start + region.words].reshape(-1)[: raw.size] = raw

    def put_matrix(name: str, blocks: Blocks, rows: int | None = None) -> None:
        """Write a matrix; where `rows` is more than it has, its last row is repeated."""
        rows = rows or blocks.rows
        region, start = memory.regions[name], memory.regions[name].start
        run = tile.tiles_per_scale_word(blocks.format) * tile.group_rows(blocks.format)
        step = -(-PACK_ROWS // run) * run
        for row in range(0, rows, step):
            part = blocks.select(np.minimum(np.arange(row, min(row + step, rows)), blocks.rows - 1))
            words = pack_tiles(tile, part, region.group_shift)
            image[start : start + len(words)] = words
            start += len(words)
        if start != region.start + region.words:
            raise ModelError(f"{name} takes {start - region.start} words where {region.words} are planned")

    header = ImageHeader(
        word_bytes=params.word_bytes,
        config_hash=params.config_hash,
        words=memory.words,
        content_words=len(image),
        program_start=memory.regions["program"].start,
        program_words=memory.regions["program"].words,
    )
    put(memory.regions["header"], header.pack())
    put(memory.regions["program"], assemble(program))
    _put_embedding(params, model, memory, image)
    _put_rope(params, model, memory, image)
    for i in range(model.layers):
        for short in ("wq", "wk", "wv", "wo", "down"):
            put_matrix(f"layer{i}.{short}", matrix_blocks(model, MATRICES[short], i))
        gate, up = (matrix_blocks(model, MATRICES[short], i) for short in ("gate", "up"))
        put_matrix(f"layer{i}.gate_up", interleave(gate, up))
        for norm in ("attn_norm", "ffn_norm"):
            put(memory.regions[f"layer{i}.{norm}"], model.norm(norm, i))
    put(memory.regions["output_norm"], model.norm("output_norm"))
    put_matrix("output", matrix_blocks(model, "output"), output_rows(params, model.vocab))
    return image


def interleave(gate: Blocks, up: Blocks) -> Blocks:
    """Let the rows of two matrices alternate, so that each pair of results is one gate and its up value."""

    def alternate(a: NDArray, b: NDArray) -> NDArray:
        return np.stack([a, b], axis=1).reshape(-1, *a.shape[1:])

    return Blocks(
        format=gate.format,
        u=alternate(gate.u, up.u),
        d=alternate(gate.d, up.d),
        m=None if gate.m is None or up.m is None else alternate(gate.m, up.m),
    )


def _put_embedding(params: AcceleratorParams, model: LlamaModel, memory: MemoryMap, image: NDArray[np.uint8]) -> None:
    """Write the embedding rows: scales in the first words, signed values in the following ones."""
    blocks = embedding_blocks(model)
    words, region = embedding_row_words(params, model.dim), memory.regions["embedding"]
    rows = image[region.start : region.start + region.words].reshape(model.vocab, words * params.word_bytes)
    rows[:, : 2 * blocks.k_blocks] = blocks.d.astype("<u2").view(np.uint8)
    first = (words - -(-model.dim // params.word_bytes)) * params.word_bytes
    signed = (blocks.u.astype(np.int16) - blocks.format.zero).astype(np.int8)
    rows[:, first : first + model.dim] = signed.reshape(model.vocab, -1).view(np.uint8)


def _put_rope(params: AcceleratorParams, model: LlamaModel, memory: MemoryMap, image: NDArray[np.uint8]) -> None:
    """Write the cosines and sines of each position, pair by pair."""
    region = memory.regions["rope"]
    row_words = -(-F32_BYTES * model.head_dim // params.word_bytes)
    positions = region.words // row_words
    table = np.stack(model.rope_table(0, positions), axis=-1).reshape(positions, -1)
    rows = image[region.start : region.start + region.words].reshape(positions, -1)
    rows[:, : F32_BYTES * model.head_dim] = np.ascontiguousarray(table, dtype="<f4").view(np.uint8)
