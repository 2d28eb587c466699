"""A model's matrices as they lie in the accelerator's memory: which format, and the blocks themselves.

Matrices keep the blocks that they have in the file. Float matrices become Q8_0, and the embedding, of which the
accelerator reads single rows, becomes Q8_0 where its own format has minima or super-blocks.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from rtlm.host.errors import ModelError
from rtlm.host.models.model import ALL_ROWS, FLOAT_DTYPES, LAYER_MATRICES, LlamaModel, check_q8_0_range
from rtlm.host.models.scalars import NO_SCALARS, Scalars
from rtlm.hw.formats import BLOCK, BlockFormat, Blocks, find_group_shift


@dataclass(frozen=True, kw_only=True)
class Storage:
    """How a matrix is stored.

    Parameters
    ----------
    format
        Its block format.
    group_shift
        log2 of the neighbouring blocks that share a scale, at least that of the format's super-blocks.
    """

    format: BlockFormat
    group_shift: int = 0

    def __post_init__(self) -> None:
        """Count super-blocks as groups."""
        object.__setattr__(self, "group_shift", max(self.group_shift, self.format.group_shift))

    def size(self, rows: int, columns: int) -> int:
        """Return the bytes of a matrix, with nothing stored twice and no padding."""
        blocks = rows * columns // BLOCK
        size = rows * columns // self.format.block_weights * self.format.block_bytes
        if self.format.group_shift:
            return size
        return size - (blocks - (blocks >> self.group_shift)) * self.format.scale_bytes


@dataclass(frozen=True, kw_only=True)
class ModelShape:
    """What the compiler has to know of a model: its sizes and how its matrices are stored, but no weight.

    Parameters
    ----------
    layers, dim, hidden_dim, heads, kv_heads, head_dim, vocab, rotation_free, scalars, biased, head_normed
        As in `LlamaModel`.
    rms_eps
        `LlamaModel.stream_eps`.
    windowed, window, post_normed, gelu
        As in `LlamaModel`.
    own_eps
        `LlamaModel.rms_eps`, which norms of heads and of what is added have; it matters only where there are such.
    layer_storage
        For each layer the storage of its matrices, by the names in `LAYER_MATRICES`.
    output_storage
        Storage of the output projection.
    gated
        Whether the feed-forward network has a gate, as all models with weights have; models on paper may have none.
    """

    dim: int
    hidden_dim: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab: int
    rms_eps: float
    layer_storage: tuple[Mapping[str, Storage], ...]
    output_storage: Storage
    gated: bool = True
    rotation_free: frozenset[int] = frozenset()
    scalars: Scalars = NO_SCALARS
    biased: bool = False
    head_normed: bool = False
    post_normed: bool = False
    gelu: bool = False
    windowed: frozenset[int] = frozenset()
    window: int = 0
    own_eps: float = 0.0

    @property
    def layers(self) -> int:
        """Transformer layers."""
        return len(self.layer_storage)

    def storage(self, name: str, layer: int | None = None) -> Storage:
        """Return the storage of ``output`` or, with a layer, of one of ``LAYER_MATRICES``."""
        return self.output_storage if layer is None else self.layer_storage[layer][name]

    def attended(self, layer: int, history: int) -> int:
        """Return to how many of the positions before its own a layer attends."""
        return min(history, self.window - 1) if layer in self.windowed else history

    @classmethod
    def uniform(cls, *, layers: int, storage: Storage, output_storage: Storage, **sizes: Any) -> Self:
        """Return the shape of a model whose layers have all their matrices in one storage, from its sizes alone."""
        layer = dict.fromkeys(LAYER_MATRICES, storage)
        return cls(layer_storage=(layer,) * layers, output_storage=output_storage, **sizes)

    @classmethod
    def of(cls, model: LlamaModel) -> Self:
        """Return the shape of a model; to find groups that share a scale, its scales are compared."""
        return cls(
            dim=model.dim,
            hidden_dim=model.hidden_dim,
            heads=model.heads,
            kv_heads=model.kv_heads,
            head_dim=model.head_dim,
            vocab=model.vocab,
            rms_eps=model.stream_eps,
            rotation_free=model.rotation_free,
            scalars=model.scalars,
            biased=model.biased,
            head_normed=model.head_normed,
            post_normed=model.post_normed,
            gelu=model.gelu,
            windowed=model.windowed,
            window=model.window,
            own_eps=model.rms_eps if model.head_normed or model.post_normed else 0.0,
            layer_storage=tuple(
                {name: matrix_storage(model, name, layer) for name in LAYER_MATRICES} for layer in range(model.layers)
            ),
            output_storage=matrix_storage(model, "output"),
        )


def matrix_storage(model: LlamaModel, name: str, layer: int | None = None) -> Storage:
    """Return how a matrix is stored: in its own format, or as Q8_0 if the file holds floats.

    Where neighbouring blocks have the same scale (and minimum) throughout, as in weights that were quantised in groups
    of 64, 128 or 256 (AWQ, GPTQ), one for each group is stored.
    """
    tensor = model.matrix(name, layer)
    if tensor.type in FLOAT_DTYPES:
        return Storage(format=BlockFormat.Q8_0)
    format = BlockFormat[tensor.type.name]
    if format.group_shift:
        return Storage(format=format)
    blocks = tensor.data.reshape(tensor.shape[0], -1, format.block_bytes)
    return Storage(format=format, group_shift=find_group_shift(blocks[..., : format.scale_bytes]))


def matrix_blocks(model: LlamaModel, name: str, layer: int | None = None, rows: slice = ALL_ROWS) -> Blocks:
    """Return a matrix, or some rows of it, in the blocks that are stored: its own, or Q8_0 made from floats."""
    if model.matrix(name, layer).type in FLOAT_DTYPES:
        return Blocks.quantise_q8_0(model.float_matrix(name, layer, rows))
    return model.blocks(name, layer, rows)


def embedding_blocks(model: LlamaModel, rows: slice = ALL_ROWS) -> Blocks:
    """Return the embedding, or some rows, as blocks with a scale each; other formats are quantised to Q8_0.

    A factor of the embedding multiplies the blocks' scales, which rounds them to fp16 once more.

    Raises
    ------
    ModelError
        If a weight or a scale is too large.
    """
    factor = model.scalars.embedding / model.scalars.residual
    name = model.tensor_name("token_embd")
    if model.matrix("token_embd").type in FLOAT_DTYPES:
        values = model.float_matrix("token_embd", rows=rows)
    else:
        blocks = model.blocks("token_embd", rows=rows)
        if not blocks.format.has_minimum and blocks.factors is None:
            return blocks if factor == 1 else _scaled(blocks, factor, name)
        with np.errstate(invalid="ignore"):  # Infinite scales: refused below.
            values = blocks.dequantise()
    if factor != 1:
        values = values * np.float32(factor)
    check_q8_0_range(name, values)
    return Blocks.quantise_q8_0(values)


def _scaled(blocks: Blocks, factor: float, name: str) -> Blocks:
    scales = blocks.d.view(np.float16).astype(np.float64) * factor
    largest = float(np.finfo(np.float16).max)
    if not (np.abs(scales) <= largest).all():
        raise ModelError(
            f"the scales of the tensor {name}, multiplied by {factor:g}, must be at most {largest:g}, got "
            f"{np.abs(scales).max():g}"
        )
    return replace(blocks, d=scales.astype(np.float16).view(np.uint16))
