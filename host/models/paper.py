"""Models on paper: the sizes of a model without its weights, from a name, a config.json or a GGUF file.

::

    open_model("llama-2-7b").shape       # what `make_plan` walks
    open_model("config.json", weights="q8_0", group=128)
"""

import math
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

from gguf import GGML_QUANT_SIZES
from rtlm.gen.configuration.fields import closest, shown
from rtlm.host.errors import ModelError
from rtlm.host.families import BY_MODEL_TYPE, Family
from rtlm.host.models.gguf_file import GGUFFile
from rtlm.host.models.gguf_sizes import gguf_sizes, runs_as_it_is
from rtlm.host.models.model import LlamaModel
from rtlm.host.models.rotary import HUGGING_FACE_SCALINGS
from rtlm.host.models.shape_file import MAX_WIDTH, Sizes, parse_sizes, read_sizes
from rtlm.host.models.stored import ModelShape, Storage
from rtlm.host.models.weights import count_weights
from rtlm.hw.formats import BLOCK, MAX_GROUP_SHIFT, BlockFormat
from rtlm.hw.params import MAX_HEAD_DIM, MIN_HEAD_DIM

WINDOWED, FULL = "sliding_attention", "full_attention"
"""What a config.json calls layers, where it names each."""

GROUPS = tuple(BLOCK << shift for shift in range(MAX_GROUP_SHIFT + 1))
"""Weights that can share a scale."""


@dataclass(frozen=True, kw_only=True)
class PaperModel:
    """The sizes of a model without weights.

    Parameters
    ----------
    name
        What it is called.
    family
        Its architecture, such as ``llama`` or ``gpt2``.
    shape
        What the plan of a step is made from.
    context
        The longest sequence.
    tied
        Whether the output projection is the embedding.
    parameters
        Number of weights that the architecture has, with what the gates do not execute.
    parts
        What its architecture has that the gates do not execute, each a phrase.
    source
        Where its sizes come from.
    """

    name: str
    family: str
    shape: ModelShape
    context: int
    tied: bool
    parameters: int
    parts: tuple[str, ...]
    source: str


def shipped_names() -> list[str]:
    """Return the names of the models whose sizes are shipped."""
    folder = resources.files("rtlm.host.models") / "shapes"
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def shipped_sizes(name: str) -> Sizes:
    """Return the sizes that are shipped under a name."""
    text = (resources.files("rtlm.host.models") / "shapes" / f"{name}.yaml").read_text(encoding="utf-8")
    return parse_sizes(text, name, strict=True)


def open_model(
    name_or_path: str, *, weights: str = "q4_0", output: str | None = None, group: int = BLOCK
) -> PaperModel:
    """Return the sizes of a model.

    Parameters
    ----------
    name_or_path
        A shipped name, or the path of a GGUF file, of a Hugging Face config.json, or of YAML with the same keys.
    weights
        Block format of the matrices. A GGUF file that the gates can execute has its own formats, and this, `output`
        and `group` do not matter.
    output
        Block format of the output projection; None for that of the others.
    group
        Neighbouring weights that share a scale.

    Raises
    ------
    ModelError
        If there is no such model, or its numbers are impossible.
    """
    name, path = str(name_or_path), Path(name_or_path)
    if path.suffix == ".gguf":
        return _from_gguf(path, weights, output, group)
    shipped = name in shipped_names()
    if not shipped and path.suffix not in (".json", ".yaml", ".yml"):
        guess = closest(name, shipped_names())
        hint = f"; did you mean {guess}?" if guess else ""
        raise ModelError(
            f"there is no model {shown(name)}: a model is a path that ends in .gguf, .json or .yaml, "
            f"or one of {', '.join(shipped_names())}{hint}"
        )
    sizes = shipped_sizes(name) if shipped else read_sizes(path)
    storage = _storage("weights", weights, group)
    output_storage = storage if output is None else _storage("output", output, group)
    title = name if shipped else path.parent.name if path.name == "config.json" and path.parent.name else path.stem
    try:
        return _from_sizes(sizes, title, sizes.source or name, storage, output_storage)
    except ModelError as error:
        raise ModelError(f"{name}: {error}") from None


def _from_gguf(path: Path, weights: str, output: str | None, group: int) -> PaperModel:
    """Return the sizes of a file: as the compiler would read it, or of other families and formats as on paper."""
    file = GGUFFile.open(path, types=tuple(GGML_QUANT_SIZES))
    if not runs_as_it_is(file):
        storage = _storage("weights", weights, group)
        output_storage = storage if output is None else _storage("output", output, group)
        sizes, phrases = gguf_sizes(file, path.name, storage.format)
        model = _from_sizes(sizes, path.stem, str(path), storage, output_storage)
        return replace(model, parts=(*model.parts, *phrases))
    try:
        llama = LlamaModel.from_file(file)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from None
    return PaperModel(
        name=path.stem,
        family=llama.family.architecture,
        shape=ModelShape.of(llama),
        context=llama.context,
        tied=llama.tied,
        parameters=sum(math.prod(tensor.shape) for tensor in file.tensors.values()),
        parts=(),
        source=str(path),
    )


def _storage(option: str, format: str, group: int) -> Storage:
    formats = [each.name.lower() for each in BlockFormat]
    if not isinstance(format, str) or format.lower() not in formats:
        raise ModelError(f"{option} must be one of {', '.join(formats)}, got {shown(format)}")
    if group not in GROUPS:
        raise ModelError(f"group must be one of {', '.join(map(str, GROUPS))}, got {shown(group)}")
    return Storage(format=BlockFormat[format.upper()], group_shift=GROUPS.index(group))


def _from_sizes(sizes: Sizes, name: str, source: str, storage: Storage, output_storage: Storage) -> PaperModel:
    family = BY_MODEL_TYPE[sizes.model_type]
    if sizes.attention_bias:
        family = replace(family, qkv_biases=True, output_bias=True)
    if sizes.mlp_bias:
        family = replace(family, mlp_biases=True)
    shape = ModelShape.uniform(
        layers=sizes.num_hidden_layers,
        storage=storage,
        output_storage=output_storage,
        gated=family.gated,
        rotation_free=family.rotation_free(sizes.num_hidden_layers),
        vocab=sizes.vocab_size,
        rms_eps=sizes.rms_norm_eps,
        **windows_of(sizes, family),
        **_widths(sizes, family),
    )
    _check_group(shape, BLOCK << storage.group_shift)
    switches = BY_MODEL_TYPE[sizes.model_type].switches
    tied = family.tied if sizes.tie_word_embeddings is None else sizes.tie_word_embeddings
    return PaperModel(
        name=name,
        family=family.architecture,
        shape=shape,
        context=sizes.max_position_embeddings,
        tied=tied,
        parameters=count_weights(family, shape, context=sizes.max_position_embeddings, tied=tied),
        parts=(
            *BY_MODEL_TYPE[sizes.model_type].missing,
            *(f"{phrase} ({_left_out(key)}the gates have it with {key})" for key, phrase in switches.items()),
            *_own_differences(sizes, family, shape.head_dim),
        ),
        source=source,
    )


def _left_out(key: str) -> str:
    """Say if a model on paper lacks what gates have with a key: all but windows, of which its bytes depend."""
    return "" if key == "attention.windows" else "left out here; "


def windows_of(sizes: Sizes, family: Family) -> dict[str, Any]:
    """Return `ModelShape.windowed` and `window` by their names, or raise; nothing for a family without."""
    if family.window_step is None:
        return {}
    layers, kinds = sizes.num_hidden_layers, sizes.layer_types
    if sizes.sliding_window_pattern is not None:
        family = replace(family, window_step=sizes.sliding_window_pattern)
    windowed = family.windowed(layers)
    if kinds is not None:
        if len(kinds) != layers or not {*kinds} <= {WINDOWED, FULL}:
            raise ModelError(f"layer_types must be {layers} of {WINDOWED} and {FULL}, got {shown(kinds)}")
        windowed = frozenset(layer for layer, kind in enumerate(kinds) if kind == WINDOWED)
    if windowed and sizes.sliding_window is None:
        raise ModelError("sliding_window is missing")
    return {"windowed": windowed, "window": sizes.sliding_window or 0}


def _widths(sizes: Sizes, family: Family) -> dict[str, int]:
    """Return the sizes that depend on each other, or raise."""
    heads, dim = sizes.num_attention_heads, sizes.hidden_size
    kv_heads = sizes.num_key_value_heads or heads
    if heads % kv_heads:
        raise ModelError(f"num_attention_heads must be a multiple of num_key_value_heads = {kv_heads}, got {heads}")
    if sizes.head_dim is None and dim % (2 * heads):
        raise ModelError(
            f"without head_dim, hidden_size must be an even multiple of num_attention_heads = {heads}, got {dim}"
        )
    head_dim = sizes.head_dim or dim // heads
    attention = heads * head_dim
    if attention % BLOCK or attention > MAX_WIDTH:
        raise ModelError(
            f"num_attention_heads x head_dim must be a multiple of {BLOCK} and at most {MAX_WIDTH}, "
            f"got {heads} x {head_dim} = {attention}"
        )
    hidden_dim = sizes.intermediate_size or (family.expansion or 0) * dim
    if not hidden_dim:
        raise ModelError("intermediate_size is missing")
    if sizes.word_embed_proj_dim not in (None, dim):
        raise ModelError(f"word_embed_proj_dim must be hidden_size = {dim}, got {sizes.word_embed_proj_dim}")
    return {"dim": dim, "hidden_dim": hidden_dim, "heads": heads, "kv_heads": kv_heads, "head_dim": head_dim}


def _check_group(shape: ModelShape, group: int) -> None:
    """Refuse groups that do not divide the rows of every matrix."""
    for what, width in (
        ("hidden_size", shape.dim),
        ("intermediate_size", shape.hidden_dim),
        ("num_attention_heads x head_dim", shape.heads * shape.head_dim),
    ):
        if width % group:
            raise ModelError(f"{what} must be a multiple of the {group} weights that share a scale, got {width}")


def _own_differences(sizes: Sizes, family: Family, head_dim: int) -> list[str]:
    """Return what the gates do not execute of this model beyond what its family has."""
    found = []
    if not MIN_HEAD_DIM <= head_dim <= MAX_HEAD_DIM or head_dim & (head_dim - 1):
        found.append(f"heads {head_dim} wide, not a power of two from {MIN_HEAD_DIM} to {MAX_HEAD_DIM}")
    if sizes.hidden_act not in (None, family.activation):
        found.append(f"the activation {sizes.hidden_act:.40} instead of {family.activation}")
    if sizes.attention_bias:
        found.append("biases on the matrices of attention")
    if sizes.mlp_bias:
        found.append("biases on the matrices of the feed-forward network")
    if sizes.use_sliding_window:
        found.append("sliding-window attention (estimated as full attention)")
    scaling = sizes.rope_scaling or {}
    kind = scaling.get("rope_type", scaling.get("type", "default"))
    if kind not in HUGGING_FACE_SCALINGS:
        found.append(f"rotary frequencies scaled in the way {kind!s:.40}")
    return found
