"""A Hugging Face folder made into a GGUF file that the gates can execute."""

import math
import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gguf
import numpy as np
from gguf import GGMLQuantizationType, Keys
from numpy.typing import NDArray
from rtlm.gen.common.progress import Stage, no_stage
from rtlm.host.conversion.folder import Folder
from rtlm.host.conversion.gemma3 import check_gemma3, write_windows
from rtlm.host.conversion.quantisation import format_of_rows, quantise
from rtlm.host.conversion.vocabulary import read_vocabulary
from rtlm.host.errors import ModelError
from rtlm.host.families import BY_MODEL_TYPE, Family, Rotation
from rtlm.host.models.model import LlamaModel, check_q8_0_range, tensor_shapes
from rtlm.host.models.rotary import FACTORS
from rtlm.host.models.shape_file import Sizes, checked_sizes
from rtlm.host.models.tokenizer import Tokenizer
from rtlm.hw.formats import BlockFormat

MODEL_TYPES = {
    "llama": gguf.MODEL_ARCH.LLAMA,
    "granite": gguf.MODEL_ARCH.LLAMA,
    "smollm3": gguf.MODEL_ARCH.LLAMA,
    "qwen2": gguf.MODEL_ARCH.QWEN2,
    "qwen3": gguf.MODEL_ARCH.QWEN3,
    "gemma3_text": gguf.MODEL_ARCH.GEMMA3,
}
"""Families whose folders are read, and whose names their tensors have. All turn the halves of a head."""

GRANITE_KEYS = {
    Keys.LLM.EMBEDDING_SCALE: "embedding_multiplier",
    Keys.LLM.RESIDUAL_SCALE: "residual_multiplier",
    Keys.Attention.SCALE: "attention_multiplier",
    Keys.LLM.LOGIT_SCALE: "logits_scaling",
}

IGNORED = ".rotary_emb.inv_freq"
"""End of the names of tensors that old folders have, and that follow from config.json."""


@dataclass(frozen=True, kw_only=True)
class _Widths:
    """Sizes that follow from a config.json."""

    hidden_dim: int
    head_dim: int
    attention: int
    keys: int
    tied: bool


def convert(
    path: Path, output: Path, *, format: BlockFormat = BlockFormat.Q8_0, progress: Stage = no_stage
) -> LlamaModel:
    """Write a GGUF file from a folder; the file appears when it is whole and can be read again.

    One tensor at a time is in memory.

    Parameters
    ----------
    path
        The folder: config.json, weights in safetensors, tokenizer.json.
    output
        The GGUF file.
    format
        Block format of the layers' matrices, or of those whose rows divide into its blocks (`FALLBACKS`). Embedding
        and output projection become Q8_0, norms F32.
    progress
        Told which tensor is written.

    Raises
    ------
    ModelError
        If the folder is no model of `MODEL_TYPES`, or is damaged, or has weights that the format does not hold.
    """
    folder = Folder(path)
    config = folder.json("config.json")
    sizes = checked_sizes(config, str(path / "config.json"))
    if sizes.model_type not in MODEL_TYPES:
        raise ModelError(f"{path}: model_type must be one of {', '.join(MODEL_TYPES)}, got {sizes.model_type!r}")
    if sizes.use_sliding_window:
        raise ModelError(f"{path}: use_sliding_window must be false, got true")
    if BY_MODEL_TYPE[sizes.model_type].head_norms and sizes.head_dim is None:
        raise ModelError(f"{path}: head_dim is missing in config.json")
    if sizes.model_type == "gemma3_text":
        check_gemma3(config, sizes)
    widths = _widths(sizes, folder)
    sources = _sources(folder, sizes, widths)
    vocabulary = read_vocabulary(folder, sizes.vocab_size)
    family = BY_MODEL_TYPE[sizes.model_type]
    try:
        with TemporaryDirectory(prefix=f".{output.name}.", dir=output.parent) as work:
            part = Path(work) / output.name
            with closing(gguf.GGUFWriter(part, family.architecture)) as writer:
                writer.add_name(path.resolve().name)
                _write_sizes(writer, family, sizes, config, widths)
                vocabulary.write(writer)
                _write_tensors(writer, folder, sources, family, config, widths, format, progress)
            model = LlamaModel.open(part)
            Tokenizer(model.file)
            os.replace(part, output)
    except OSError as error:
        raise ModelError(f"{output} could not be written: {error.strerror or error}") from None
    return model


def _widths(sizes: Sizes, folder: Folder) -> _Widths:
    heads = sizes.num_attention_heads
    head_dim = sizes.head_dim or sizes.hidden_size // heads
    if head_dim < 2 or head_dim % 2:
        raise ModelError(f"{folder.path}: a head must be an even number of components wide, got {head_dim}")
    if sizes.intermediate_size is None:
        raise ModelError(f"{folder.path / 'config.json'}: intermediate_size is missing")
    family = BY_MODEL_TYPE[sizes.model_type]
    tied = family.tied if sizes.tie_word_embeddings is None else sizes.tie_word_embeddings
    return _Widths(
        hidden_dim=sizes.intermediate_size,
        head_dim=head_dim,
        attention=heads * head_dim,
        keys=(sizes.num_key_value_heads or heads) * head_dim,
        tied=tied,
    )


def _sources(folder: Folder, sizes: Sizes, widths: _Widths) -> dict[str, str]:
    """Return the folder's name of each tensor of the file, whose shapes have been checked."""
    names = gguf.get_tensor_name_map(MODEL_TYPES[sizes.model_type], sizes.num_hidden_layers)
    family = BY_MODEL_TYPE[sizes.model_type]
    expected = tensor_shapes(
        layers=sizes.num_hidden_layers,
        dim=sizes.hidden_size,
        hidden_dim=widths.hidden_dim,
        attention=widths.attention,
        keys=widths.keys,
        vocab=sizes.vocab_size,
        tied=widths.tied,
        biased=family.qkv_biases,
        head_dim=widths.head_dim if family.head_norms else None,
        post_normed=family.post_norms,
    )
    found: dict[str, str] = {}
    for source, shape in folder.shapes.items():
        name = names.get_name(source, try_suffixes=(".weight", ".bias"))
        if source.endswith(IGNORED) or (widths.tied and name == LlamaModel.tensor_name("output")):
            continue
        if name not in expected:
            raise ModelError(f"{folder.path}: the tensor {source!r:.70} is not part of a {sizes.model_type} that runs")
        if shape != expected[name]:
            raise ModelError(f"{folder.path}: the tensor {source!r:.70} must be {expected[name]}, got {shape}")
        found[name] = source
    if missing := expected.keys() - found.keys():
        raise ModelError(f"{folder.path}: the weights of {min(missing)} are missing")
    return {name: found[name] for name in expected}


def _write_sizes(
    writer: gguf.GGUFWriter, family: Family, sizes: Sizes, config: dict[str, Any], widths: _Widths
) -> None:
    writer.add_block_count(sizes.num_hidden_layers)
    writer.add_context_length(sizes.max_position_embeddings)
    writer.add_embedding_length(sizes.hidden_size)
    writer.add_feed_forward_length(widths.hidden_dim)
    writer.add_head_count(sizes.num_attention_heads)
    writer.add_head_count_kv(widths.keys // widths.head_dim)
    writer.add_key_length(widths.head_dim)
    writer.add_value_length(widths.head_dim)
    writer.add_rope_dimension_count(widths.head_dim)
    writer.add_layer_norm_rms_eps(sizes.rms_norm_eps)
    writer.add_vocab_size(sizes.vocab_size)
    writer.add_rope_freq_base(_real(config | _rope(config), "rope_theta", 10000.0))
    if family.window_step is not None:
        write_windows(writer, family, sizes, config)
    scaling = _rope(config)
    kind = _kind(scaling)
    if kind in ("linear", "yarn"):
        writer.add_rope_scaling_type(gguf.RopeScalingType(kind))
        writer.add_rope_scaling_factor(_real(scaling, "factor"))
    if kind == "yarn":
        original = _real(scaling, "original_max_position_embeddings", float(sizes.max_position_embeddings))
        writer.add_rope_scaling_orig_ctx_len(int(original))
        writer.add_rope_scaling_yarn_beta_fast(_real(scaling, "beta_fast", 32.0))
        writer.add_rope_scaling_yarn_beta_slow(_real(scaling, "beta_slow", 1.0))
        if {"attention_factor", "mscale", "mscale_all_dim", "truncate"} & scaling.keys():
            raise ModelError("YaRN must have its own magnitude, got attention_factor, mscale or truncate")
    elif kind not in ("default", "linear", "llama3"):
        raise ModelError(f"rope_scaling must be linear, llama3 or yarn, got {kind!r:.40}")
    if family.scalars:
        for key, name in GRANITE_KEYS.items():
            writer.add_float32(key.format(arch=family.architecture), _real(config, name, 1.0))
    step = family.rotation_free_step
    if step is not None:
        rotated = [int((layer + 1) % step != 0) for layer in range(sizes.num_hidden_layers)]
        if config.get("no_rope_layers") not in (None, rotated) or config.get("no_rope_layer_interval", step) != step:
            raise ModelError(f"each layer without RoPE must be the {step}th, as the family has them")


def _write_tensors(
    writer: gguf.GGUFWriter,
    folder: Folder,
    sources: dict[str, str],
    family: Family,
    config: dict[str, Any],
    widths: _Widths,
    format: BlockFormat,
    progress: Stage,
) -> None:
    factors = _llama_3_factors(config, widths.head_dim)
    kinds = {name: _type(name, folder.shapes[source], format) for name, source in sources.items()}
    for name, source in sources.items():
        shape = gguf.quant_shape_to_byte_shape(folder.shapes[source], kinds[name])
        stored = np.dtype(np.float32 if kinds[name] is GGMLQuantizationType.F32 else np.uint8)
        if kinds[name] is GGMLQuantizationType.F32:
            shape = folder.shapes[source]
        writer.add_tensor_info(name, shape, stored, math.prod(shape) * stored.itemsize, raw_dtype=kinds[name])
    if factors is not None:
        writer.add_tensor_info(FACTORS, factors.shape, factors.dtype, factors.nbytes)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for number, (name, source) in enumerate(sources.items()):
        progress("converting", number, len(sources))
        weights = folder.tensor(source)
        if family.offset_norms and name.endswith("norm.weight"):
            weights = weights + np.float32(1)
        if family.rotation is Rotation.NEIGHBOURS and name.endswith(("attn_q.weight", "attn_k.weight")):
            weights = np.concatenate(list(_neighbours(weights, widths.head_dim)))
        if kinds[name] is GGMLQuantizationType.F32:
            check_q8_0_range(source, weights)
            writer.write_tensor_data(weights)
        else:
            writer.write_tensor_data(quantise(source, np.ascontiguousarray(weights), BlockFormat[kinds[name].name]))
    if factors is not None:
        writer.write_tensor_data(factors)


def _type(name: str, shape: tuple[int, ...], format: BlockFormat) -> GGMLQuantizationType:
    if len(shape) == 1:
        return GGMLQuantizationType.F32
    if name in (LlamaModel.tensor_name("token_embd"), LlamaModel.tensor_name("output")):
        format = BlockFormat.Q8_0
    return GGMLQuantizationType[format_of_rows(format, shape[-1]).name]


def _neighbours(weights: NDArray[np.float32], head_dim: int) -> Iterator[NDArray[np.float32]]:
    """Yield the rows of each head in the order in which RoPE turns neighbours, from one in which it turns halves."""
    for head in weights.reshape(-1, 2, head_dim // 2, weights.shape[1]):
        yield head.transpose(1, 0, 2).reshape(head_dim, -1)


def _rope(config: dict[str, Any]) -> dict[str, Any]:
    """Return what a config.json says of RoPE's frequencies, under either of its names."""
    values = config.get("rope_parameters") or config.get("rope_scaling") or {}
    if not isinstance(values, dict):
        raise ModelError(f"rope_scaling must be a mapping, got {values!r:.40}")
    return values


def _kind(scaling: dict[str, Any]) -> Any:
    return scaling.get("rope_type", scaling.get("type", "default"))


def _real(values: dict[str, Any], name: str, default: float | None = None) -> float:
    value = values.get(name, default)
    if value is None and default is not None:
        value = default
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e12:
        raise ModelError(f"{name} must be above 0 and below 1e12, got {value!r:.40}")
    return float(value)


def _llama_3_factors(config: dict[str, Any], head_dim: int) -> NDArray[np.float32] | None:
    """Return Llama 3's divisors of the frequencies; None for another scaling.

    Frequencies that turn less than `low_freq_factor` times in the original context are divided by `factor`, those that
    turn more than `high_freq_factor` times are kept, and between them the inverses are interpolated (Llama 3's
    ``apply_scaling``).
    """
    scaling = _rope(config)
    if _kind(scaling) != "llama3":
        return None
    base = _real(config | scaling, "rope_theta", 10000.0)
    factor = _real(scaling, "factor")
    low, high = _real(scaling, "low_freq_factor"), _real(scaling, "high_freq_factor")
    if low >= high:
        raise ModelError(f"low_freq_factor must be below high_freq_factor = {high:g}, got {low:g}")
    original = _real(scaling, "original_max_position_embeddings")
    turns = original * base ** (-np.arange(0, head_dim, 2) / head_dim) / (2 * math.pi)
    kept = np.clip((turns - low) / (high - low), 0, 1)
    return (1 / (kept + (1 - kept) / factor)).astype(np.float32)
