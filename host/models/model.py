"""The hyper-parameters and tensors of a model whose layers, once the host has folded what it can, are llama's."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from os import PathLike
from typing import Any, Self

import ml_dtypes
import numpy as np
from gguf import GGMLQuantizationType, Keys
from numpy.typing import NDArray
from rtlm.host.errors import ModelError
from rtlm.host.families import BY_ARCHITECTURE, GELU, Family, Rotation
from rtlm.host.models.balance import balance
from rtlm.host.models.gguf_file import GGUFFile, Tensor
from rtlm.host.models.rotary import FACTORS, Rotary
from rtlm.host.models.scalars import Scalars
from rtlm.hw.formats.blocks import BLOCK, BlockFormat, Blocks

LAYER_MATRICES = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
LAYER_NORMS = ("attn_norm", "ffn_norm")
BIASED = ("attn_q", "attn_k", "attn_v")
"""Matrices that have biases in some families."""
HEAD_NORMS = ("attn_q_norm", "attn_k_norm")
"""Norms of each head's query and key, in some families."""
POST_NORMS = ("post_attention_norm", "post_ffw_norm")
"""Norms of what attention and feed-forward network add to the residual stream, in some families."""

FLOAT_DTYPES: dict[GGMLQuantizationType, np.dtype] = {
    GGMLQuantizationType.F32: np.dtype("<f4"),
    GGMLQuantizationType.F16: np.dtype("<f2"),
    GGMLQuantizationType.BF16: np.dtype(ml_dtypes.bfloat16),
}
"""Tensor types without blocks: norms, and matrices that are quantised to Q8_0 when they are packed."""

FEATURES = {
    ".bias": "biases",
    "_q_norm.weight": "RMSNorm of each head's query",
    "_k_norm.weight": "RMSNorm of each head's key",
    "post_attention_norm.weight": "RMSNorm behind attention",
    "post_ffw_norm.weight": "RMSNorm behind the feed-forward network",
    "_exps.weight": "experts",
    "ffn_gate_inp.weight": "experts",
    "attn_qkv.weight": "query, key and value in one matrix",
    "rope_factors_long.weight": "RoPE with other frequencies for long contexts",
}
"""What tensors that are not read stand for, by how their names end."""

ALL_ROWS = slice(None)

Q8_0_LARGEST = 127 * float(np.finfo(np.float16).max)
"""The largest weight that an fp16 scale and a code of at most 127 can stand for."""


@dataclass(frozen=True, kw_only=True)
class LlamaModel:
    """A model whose every tensor has been checked against its hyper-parameters.

    `norm`, `blocks`, `float_matrix`, `rotary`, `stream_eps` and `scalars` are what the gates take: a family's own order
    of a head's components and its factors are folded into them. `vector` and `matrix` are what the file holds.

    Parameters
    ----------
    family
        What the model has that a llama has not.
    layers, dim, hidden_dim
        Transformer layers, width of the residual stream, width of the feed-forward network.
    heads, kv_heads, head_dim
        Query heads, key/value heads, and the width of each.
    vocab, context
        Number of tokens in the vocabulary, and the longest sequence the model was trained for.
    rms_eps, rope_theta
        Epsilon of the normalisations, and base of the rotary embedding.
    rotary
        How far RoPE turns each pair, with all that scales it.
    rotation_free
        Layers without RoPE.
    windowed, window
        Layers that attend to so many positions only, the last of which is their own.
    window_rotary
        How far RoPE turns each pair in these layers.
    scalars
        Factors between the parts of the model.
    tied
        Whether the output projection is the embedding matrix.
    file
        The file it was read from.
    """

    family: Family
    layers: int
    dim: int
    hidden_dim: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab: int
    context: int
    rms_eps: float
    rope_theta: float
    rotary: Rotary = field(repr=False, compare=False)
    rotation_free: frozenset[int]
    windowed: frozenset[int] = frozenset()
    window: int = 0
    window_rotary: Rotary | None = field(default=None, repr=False, compare=False)
    scalars: Scalars
    tied: bool
    file: GGUFFile = field(repr=False, compare=False)

    @classmethod
    def open(cls, path: str | PathLike) -> Self:
        """Read the hyper-parameters of the GGUF file at ``path`` and check every tensor."""
        file = GGUFFile.open(path)
        try:
            return cls.from_file(file)
        except ModelError as error:
            raise ModelError(f"{path}: {error}") from None

    @classmethod
    def from_file(cls, file: GGUFFile) -> Self:
        """Read the hyper-parameters of an opened file and check every tensor."""
        family = supported_family(file)
        architecture = family.architecture

        def size(key: str, default: int | None = None, limit: int = 1 << 24) -> int:
            key = key.format(arch=architecture)
            value = file.get(key, int, default)
            if not 1 <= value <= limit:
                raise ModelError(f"{key} must be from 1 to {limit}, got {value}")
            return value

        def real(key: str, default: float | None = None) -> float:
            key = key.format(arch=architecture)
            value = float(file.get(key, (float, int), default))
            if not 0 < value < 1e12:
                raise ModelError(f"{key} must be above 0 and below 1e12, got {value}")
            return value

        embedding = cls._find(file, cls.tensor_name("token_embd"))
        dim, heads = size(Keys.LLM.EMBEDDING_LENGTH), size(Keys.Attention.HEAD_COUNT)
        head_dim = size(Keys.Attention.KEY_LENGTH, max(dim // heads, 1))
        layers = size(Keys.LLM.BLOCK_COUNT, limit=max(len(file.tensors), 1))
        context = size(Keys.LLM.CONTEXT_LENGTH, limit=1 << 32)
        rope_theta = real(Keys.Rope.FREQ_BASE, 10000.0)
        windows: dict[str, Any] = {}
        if windowed := _windowed(file, family, layers):
            base = real(Keys.Rope.FREQ_BASE_SWA, family.window_base)
            windows = {
                "windowed": windowed,
                "window": size(Keys.Attention.SLIDING_WINDOW, limit=1 << 32),
                "window_rotary": Rotary.unscaled(head_dim, base),
            }
        model = cls(
            family=family,
            layers=layers,
            dim=dim,
            hidden_dim=size(Keys.LLM.FEED_FORWARD_LENGTH),
            heads=heads,
            kv_heads=size(Keys.Attention.HEAD_COUNT_KV, heads),
            head_dim=head_dim,
            vocab=embedding.shape[0],
            context=context,
            rms_eps=real(Keys.Attention.LAYERNORM_RMS_EPS),
            rope_theta=rope_theta,
            rotary=Rotary.read(file, architecture, head_dim, rope_theta, context),
            rotation_free=_rotation_free(file, family, layers),
            **windows,
            scalars=Scalars.read(file, family, dim),
            tied=cls.tensor_name("output") not in file.tensors,
            file=file,
        )
        for key, expected in (
            (Keys.Attention.VALUE_LENGTH, head_dim),
            (Keys.Rope.DIMENSION_COUNT, head_dim),
            (Keys.LLM.VOCAB_SIZE, model.vocab),
        ):
            if (value := size(key, expected)) != expected:
                raise ModelError(f"{key.format(arch=architecture)} must be {expected}, got {value}")
        model._check_features()
        model._check_tensors()
        return model

    def matrix(self, name: str, layer: int | None = None) -> Tensor:
        """Return a matrix.

        Parameters
        ----------
        name
            ``token_embd``, ``output`` (the embedding if tied), or one of ``LAYER_MATRICES``.
        layer
            Which layer, for the latter.
        """
        if name == "output" and self.tied:
            name = "token_embd"
        return self.file.tensors[self.tensor_name(name, layer)]

    def blocks(self, name: str, layer: int | None = None, rows: slice = ALL_ROWS) -> Blocks:
        """Return a matrix (named as for :meth:`matrix`) of a block format, or some rows, taken apart into blocks."""
        tensor = self.matrix(name, layer)
        if tensor.type.name not in BlockFormat.__members__:
            formats = ", ".join(BlockFormat.__members__)
            raise ModelError(f"the tensor {tensor.name} must have one of the types {formats}, got {tensor.type.name}")
        data = tensor.data[self._order(name, tensor.shape[0], rows)]
        try:
            return Blocks.from_gguf(BlockFormat[tensor.type.name], data, len(data), tensor.shape[1])
        except ValueError as error:
            raise ModelError(f"the tensor {tensor.name} is refused: {error}") from error

    def vector(self, name: str, layer: int | None = None, *, kind: str = "weight") -> np.ndarray:
        """Return the weights of a norm (named as for :meth:`norm`), or the ``bias`` of a matrix, as the file has them.

        They are float32; what the file holds as F16 or BF16 is widened, which is exact.
        """
        tensor = self.file.tensors[self.tensor_name(name, layer, kind=kind)]
        return tensor.data.view(FLOAT_DTYPES[tensor.type]).astype(np.float32)

    def norm(self, name: str, layer: int | None = None) -> np.ndarray:
        """Return the float32 weights of ``output_norm``, or of ``attn_norm`` or ``ffn_norm`` of a layer.

        What divides the logits divides those of ``output_norm``: exactly where it is a power of two, otherwise rounded
        once.
        """
        weights = self.vector(name, layer)
        return weights / np.float32(self.scalars.logit) if name == "output_norm" else weights

    @property
    def biased(self) -> bool:
        """Whether query, key and value have biases."""
        return self.family.qkv_biases

    @property
    def head_normed(self) -> bool:
        """Whether each head's query and key are normalised."""
        return self.family.head_norms

    @property
    def post_normed(self) -> bool:
        """Whether what attention and feed-forward network add is normalised."""
        return self.family.post_norms

    @property
    def gelu(self) -> bool:
        """Whether the gate's activation is GELU instead of SiLU."""
        return self.family.activation == GELU

    def biases(self, layer: int) -> np.ndarray:
        """Return a layer's float32 biases of queries, keys and values behind each other, as the gates order heads."""
        parts = []
        for name in BIASED:
            bias = self.vector(name, layer, kind="bias")
            parts.append(bias[self._order(name, len(bias), ALL_ROWS)])
        return np.concatenate(parts)

    def head_norms(self, layer: int) -> np.ndarray:
        """Return a layer's float32 weights of the norms of a query's and a key's head, shape (2, head_dim).

        They are balanced, which changes no score.
        """
        order = self._order("attn_q", self.head_dim, ALL_ROWS)
        return balance(np.stack([self.vector(name, layer)[order] for name in HEAD_NORMS]))

    @property
    def stream_eps(self) -> float:
        """Epsilon of the normalisations in the unit in which the gates count the residual stream."""
        return self.rms_eps / self.scalars.residual**2

    def float_matrix(self, name: str, layer: int | None = None, rows: slice = ALL_ROWS) -> np.ndarray:
        """Return a matrix (named as for :meth:`matrix`), or some rows, that the file holds as floats, as float32.

        Raises
        ------
        ModelError
            If a weight is not a number, or too large for Q8_0.
        """
        tensor = self.matrix(name, layer)
        order = self._order(name, tensor.shape[0], rows)
        values = tensor.data[order].view(FLOAT_DTYPES[tensor.type]).astype(np.float32)
        check_q8_0_range(tensor.name, values)
        return values

    def rope_table(self, positions: Sequence[int], *, windowed: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """Return the float32 cosines and sines of some positions, shaped (positions, head_dim / 2).

        Those of layers with a window are their own.
        """
        rotary = self.window_rotary if windowed else self.rotary
        if rotary is None:
            raise ValueError("no layer has a window")
        return rotary.table(positions)

    def _order(self, name: str, count: int, rows: slice) -> slice | NDArray[np.intp]:
        """Return which of the file's `count` rows some rows of a matrix are: the gates turn neighbours in a head."""
        if self.family.rotation is Rotation.NEIGHBOURS or name not in ("attn_q", "attn_k"):
            return rows
        # Dot products of queries and keys do not depend on the order of their components.
        heads = np.arange(count).reshape(-1, 2, self.head_dim // 2)
        return heads.transpose(0, 2, 1).reshape(-1)[rows]

    @staticmethod
    def tensor_name(name: str, layer: int | None = None, *, kind: str = "weight") -> str:
        """Return the name in the file, e.g. ``blk.3.attn_q.weight``."""
        return f"{name}.{kind}" if layer is None else f"blk.{layer}.{name}.{kind}"

    @staticmethod
    def _find(file: GGUFFile, name: str) -> Tensor:
        if name not in file.tensors:
            raise ModelError(f"the tensor {name} is missing")
        return file.tensors[name]

    def _check_features(self) -> None:
        if self.heads % self.kv_heads:
            raise ModelError(
                f"the query heads must be a multiple of the {self.kv_heads} key/value heads, got {self.heads}"
            )
        for what, value, multiple in (
            ("embedding_length", self.dim, BLOCK),
            ("feed_forward_length", self.hidden_dim, BLOCK),
            ("the width of all query heads", self.heads * self.head_dim, BLOCK),
            ("the width of a head", self.head_dim, 2),
        ):
            if value % multiple:
                raise ModelError(f"{what} must be a multiple of {multiple}, got {value}")
        if experts := self.file.get(Keys.LLM.EXPERT_COUNT.format(arch=self.family.architecture), int, 0):
            raise ModelError(f"the model must be dense, got {experts} experts")

    def _check_tensors(self) -> None:
        expected = tensor_shapes(
            layers=self.layers,
            dim=self.dim,
            hidden_dim=self.hidden_dim,
            attention=self.heads * self.head_dim,
            keys=self.kv_heads * self.head_dim,
            vocab=self.vocab,
            tied=self.tied,
            biased=self.biased,
            head_dim=self.head_dim if self.head_normed else None,
            post_normed=self.post_normed,
        )
        for name, shape in expected.items():
            tensor = self._find(self.file, name)
            if tensor.shape != shape:
                raise ModelError(f"the tensor {name} must have the shape {shape}, got {tensor.shape}")
            if len(shape) == 1 and tensor.type not in FLOAT_DTYPES:
                raise ModelError(f"the tensor {name} must be F32, F16 or BF16, got {tensor.type.name}")
        if unknown := self.file.tensors.keys() - expected.keys() - {FACTORS}:
            name = min(unknown)
            feature = next((phrase for ending, phrase in FEATURES.items() if name.endswith(ending)), "")
            what = f"{feature} (the tensor {name!r:.70})" if feature else f"what the tensor {name!r:.70} is for"
            raise ModelError(f"the gates do not execute {what}")


def supported_family(file: GGUFFile) -> Family:
    """Return the family of an opened file.

    Raises
    ------
    ModelError
        If it is unknown, or has what the gates do not execute.
    """
    architecture = file.get(Keys.General.ARCHITECTURE, str)
    family = BY_ARCHITECTURE.get(architecture)
    if family is None:
        names = ", ".join(each.architecture for each in BY_ARCHITECTURE.values() if not each.missing)
        raise ModelError(f"the architecture must be one of {names}, got {architecture!r:.60}")
    if family.missing:
        raise ModelError(f"the gates do not execute all that a {architecture} has: {'; '.join(family.missing)}")
    return family


def _rotation_free(file: GGUFFile, family: Family, layers: int) -> frozenset[int]:
    """Return the layers without RoPE."""
    switch = Keys.Rope.SCALING_FINETUNED.format(arch=family.architecture)
    if family.rotation_switch and not file.get(switch, bool, True):
        return frozenset(range(layers))
    return family.rotation_free(layers)


def _windowed(file: GGUFFile, family: Family, layers: int) -> frozenset[int]:
    """Return the layers with a window, which a file may say by the step of those without, or one by one."""
    key = Keys.Attention.SLIDING_WINDOW_PATTERN.format(arch=family.architecture)
    if family.window_step is None or key not in file.metadata:
        return family.windowed(layers)
    stated = file.metadata[key]
    if isinstance(stated, np.ndarray):
        if stated.dtype != bool or len(stated) != layers:
            raise ModelError(f"{key} must say yes or no for each of {layers} layers, got {len(stated)} values")
        return frozenset(map(int, np.flatnonzero(stated)))
    step = file.get(key, int)
    if not 1 <= step <= 1 << 16:
        raise ModelError(f"{key} must be from 1 to {1 << 16}, got {step}")
    return replace(family, window_step=step).windowed(layers)


def tensor_shapes(
    *,
    layers: int,
    dim: int,
    hidden_dim: int,
    attention: int,
    keys: int,
    vocab: int,
    tied: bool,
    biased: bool = False,
    head_dim: int | None = None,
    post_normed: bool = False,
) -> dict[str, tuple[int, ...]]:
    """Return the shape of each tensor of a model, by its name in the file.

    Parameters
    ----------
    layers, dim, hidden_dim, vocab, tied, biased, post_normed
        As in `LlamaModel`.
    attention, keys
        Width of all query heads, and of all key heads.
    head_dim
        Width of a head whose query and key are normalised; None where they are not.
    """
    name = LlamaModel.tensor_name
    matrices = matrix_shapes(dim=dim, hidden_dim=hidden_dim, attention=attention, keys=keys)
    shapes: dict[str, tuple[int, ...]] = {name("token_embd"): (vocab, dim)}
    for layer in range(layers):
        shapes |= {name(matrix, layer): shape for matrix, shape in matrices.items()}
        shapes |= {name(norm, layer): (dim,) for norm in (*LAYER_NORMS, *(POST_NORMS if post_normed else ()))}
        if biased:
            shapes |= {name(matrix, layer, kind="bias"): matrices[matrix][:1] for matrix in BIASED}
        if head_dim is not None:
            shapes |= {name(norm, layer): (head_dim,) for norm in HEAD_NORMS}
    shapes[name("output_norm")] = (dim,)
    if not tied:
        shapes[name("output")] = (vocab, dim)
    return shapes


def matrix_shapes(*, dim: int, hidden_dim: int, attention: int, keys: int) -> dict[str, tuple[int, int]]:
    """Return rows and columns of each of `LAYER_MATRICES`; parameters as in `tensor_shapes`."""
    return {
        "attn_q": (attention, dim),
        "attn_k": (keys, dim),
        "attn_v": (keys, dim),
        "attn_output": (dim, attention),
        "ffn_gate": (hidden_dim, dim),
        "ffn_up": (hidden_dim, dim),
        "ffn_down": (dim, hidden_dim),
    }


def check_q8_0_range(name: str, values: np.ndarray) -> None:
    """Refuse the float weights of the tensor ``name`` that Q8_0 blocks cannot hold.

    Raises
    ------
    ModelError
        Naming the first such weight.
    """
    fits = np.abs(values) <= Q8_0_LARGEST  # false for NaN
    if not fits.all():
        raise ModelError(
            f"the weights of the tensor {name}, which are quantised to Q8_0, must be from {-Q8_0_LARGEST:g} to "
            f"{Q8_0_LARGEST:g}, got {values[~fits][0]:g}"
        )
