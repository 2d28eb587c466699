"""A writer of small random models."""

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from gguf import GGMLQuantizationType, GGUFValueType
from rtlm.gen.common.cache import cache_folder, cached, digest
from rtlm.gen.common.progress import Stage, no_stage
from rtlm.host.errors import ModelError
from rtlm.host.families import BY_ARCHITECTURE
from rtlm.host.models.model import BIASED, HEAD_NORMS, POST_NORMS, LlamaModel
from rtlm.host.models.rotary import FACTORS
from rtlm.hw.formats import BlockFormat

_KINDS = {
    str: GGUFValueType.STRING,
    bool: GGUFValueType.BOOL,
    int: GGUFValueType.UINT32,
    float: GGUFValueType.FLOAT32,
}


def random_model_file(what: str, progress: Stage = no_stage, **arguments: Any) -> Path:
    """Return the cached file of a random model, writing it if it is not there.

    Parameters
    ----------
    what
        What it is, for `progress`.
    progress
        Told that it is being written.
    **arguments
        Of `write_random_model`.
    """

    def make(folder: Path) -> None:
        progress(f"writing random weights of {what}")
        write_random_model(folder / "model.gguf", **arguments)

    key = f"random-{digest(sorted(arguments.items()))}"
    return cached(key, make, cache=cache_folder("models"), keep=None) / "model.gguf"


def write_random_model(
    path: str | PathLike,
    *,
    seed: int = 0,
    layers: int = 2,
    dim: int = 64,
    hidden_dim: int = 96,
    heads: int = 4,
    kv_heads: int = 2,
    head_dim: int | None = None,
    vocab: int = 320,
    context: int = 64,
    matrix_type: GGMLQuantizationType = GGMLQuantizationType.Q4_1,
    embedding_type: GGMLQuantizationType = GGMLQuantizationType.Q8_0,
    norm_type: GGMLQuantizationType = GGMLQuantizationType.F32,
    types: Mapping[str, GGMLQuantizationType] | None = None,
    tied: bool = True,
    rope_theta: float = 10000.0,
    sentencepiece: bool = False,
    architecture: str = "llama",
    metadata: Mapping[str, str | int | float | bool] | None = None,
    rope_factors: Sequence[float] = (),
) -> Path:
    """Write a GGUF file with random weights, for tests; the same arguments write the same model.

    Parameters
    ----------
    path
        Where to write.
    seed
        Seed of the weights.
    layers, dim, hidden_dim, heads, kv_heads, vocab, context, tied, rope_theta
        As in :class:`LlamaModel`. A vocabulary of 259 or more can encode any text.
    head_dim
        Width of a head; None for ``dim / heads``.
    matrix_type, embedding_type
        Types of the layers' matrices, and of the embedding and output matrices: a block format, F16 or F32.
    norm_type
        Type of the norms, F16 or F32.
    sentencepiece
        Whether the vocabulary is SentencePiece's, with a space before each text, instead of byte-level BPE.
    architecture
        Of a family (`rtlm.host.families`) that runs.
    metadata
        Further keys, without the architecture's name, such as ``rope.scaling.type``.
    rope_factors
        Divisors of RoPE's frequencies, as many as there are; none for a model without.
    types
        Types of single tensors, by their names in the file (``blk.1.ffn_down.weight``), that differ from these.

    Raises
    ------
    ModelError
        If the vocabulary has an impossible size, or `types` names a tensor that the model does not have.
    """
    types = dict(types or {})
    random = np.random.default_rng(seed)
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_name(f"random {seed}")
    writer.add_block_count(layers)
    writer.add_context_length(context)
    writer.add_embedding_length(dim)
    writer.add_feed_forward_length(hidden_dim)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    if head_dim is not None:
        writer.add_key_length(head_dim)
        writer.add_value_length(head_dim)
    width = head_dim or dim // heads
    writer.add_rope_dimension_count(width)
    writer.add_rope_freq_base(rope_theta)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(vocab)
    (_add_sentencepiece if sentencepiece else _add_byte_level)(writer, vocab)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_add_bos_token(False)
    writer.add_chat_template(
        "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
        "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    for key, value in (metadata or {}).items():
        writer.add_key_value(f"{architecture}.{key}", value, _KINDS[type(value)])

    def add(name: str, weights: np.ndarray, kind: GGMLQuantizationType) -> None:
        kind = types.pop(name, kind)
        writer.add_tensor(name, _quantised(weights, kind), raw_dtype=kind)

    def matrix(name: str, rows: int, columns: int, kind: GGMLQuantizationType, layer: int | None = None) -> None:
        weights = random.standard_normal((rows, columns), np.float32) * np.float32(columns**-0.5)
        add(LlamaModel.tensor_name(name, layer), weights, kind)

    def norm(name: str, layer: int | None = None) -> None:
        weights = 1 + 0.2 * random.standard_normal(dim, np.float32)
        add(LlamaModel.tensor_name(name, layer), weights.astype(np.float32), norm_type)

    def vector(name: str, layer: int, mean: float, size: int, *, kind: str = "weight") -> None:
        weights = mean + 0.2 * random.standard_normal(size, np.float32)
        add(LlamaModel.tensor_name(name, layer, kind=kind), weights.astype(np.float32), norm_type)

    family = BY_ARCHITECTURE[architecture]
    attention, keys = width * heads, width * kv_heads
    matrix("token_embd", vocab, dim, embedding_type)
    for layer in range(layers):
        norm("attn_norm", layer)
        norm("ffn_norm", layer)
        for name, rows, columns in (
            ("attn_q", attention, dim),
            ("attn_k", keys, dim),
            ("attn_v", keys, dim),
            ("attn_output", dim, attention),
            ("ffn_gate", hidden_dim, dim),
            ("ffn_up", hidden_dim, dim),
            ("ffn_down", dim, hidden_dim),
        ):
            matrix(name, rows, columns, matrix_type, layer)
            if family.qkv_biases and name in BIASED:
                vector(name, layer, 0, rows, kind="bias")
        if family.head_norms:
            for name in HEAD_NORMS:
                vector(name, layer, 1, width)
        if family.post_norms:
            for name in POST_NORMS:
                norm(name, layer)
    norm("output_norm")
    if rope_factors:
        writer.add_tensor(FACTORS, np.array(rope_factors, np.float32))
    if not tied:
        matrix("output", vocab, dim, embedding_type)
    if types:
        raise ModelError(f"a type is given for the tensor {min(types)!r:.70}, which the model does not have")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return Path(path)


def _quantised(weights: np.ndarray, kind: GGMLQuantizationType) -> np.ndarray:
    """Return weights as bytes of a file.

    Some formats, those with super-blocks among them, have no quantiser: what they get are random codes and factors,
    drawn from the weights' own bits, with scales for which the weights have the same standard deviation, and minima for
    which their mean is about 0.
    """
    try:
        return gguf.quants.quantize(weights, kind)
    except NotImplementedError:
        format = BlockFormat[kind.name]
    seed = np.frombuffer(weights.tobytes(), np.uint32)[:4]
    blocks = weights.size // format.block_weights
    raw = np.random.default_rng(seed).integers(0, 256, (blocks, format.block_bytes), dtype=np.uint8)

    def set_scales(*values: float) -> None:
        for at, value in zip(format.description.scales_at, values, strict=False):
            raw[:, at : at + 2] = np.array([value], "<f2").view(np.uint8)

    middle = ((1 << format.bits) - 1) / 2
    set_scales(1, middle)
    scale = weights.std() / gguf.quants.dequantize(raw, kind).std()
    set_scales(scale, scale * middle)
    return raw.reshape(len(weights), -1)


_SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
_LETTERS = tuple(chr(code) for code in range(ord("a"), ord("z") + 1))


def _add_byte_level(writer: gguf.GGUFWriter, vocab: int) -> None:
    """Three special tokens, the printable bytes, the other bytes, then merges of pairs of lower-case letters."""
    from rtlm.host.models.byte_bpe import BYTE_TO_CHARACTER

    characters = sorted(BYTE_TO_CHARACTER.values(), key=lambda c: (c not in _LETTERS, len(c.encode()), c))
    pairs = [(first, second) for first in ["Ġ", *_LETTERS] for second in _LETTERS]
    _check_vocabulary(vocab, 1, len(characters) + len(pairs))
    merges = pairs[: max(vocab - len(_SPECIAL) - len(characters), 0)]
    tokens = [*_SPECIAL, *characters, *(first + second for first, second in merges)][:vocab]
    kinds = [gguf.TokenType.CONTROL] * len(_SPECIAL) + [gguf.TokenType.NORMAL] * (vocab - len(_SPECIAL))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges([f"{first} {second}" for first, second in merges])


def _add_sentencepiece(writer: gguf.GGUFWriter, vocab: int) -> None:
    """Three special tokens, the bytes, space and lower-case letters, then pairs of them, scored in falling order."""
    from rtlm.host.models.sentencepiece import SPACE

    octets = [f"<0x{byte:02X}>" for byte in range(256)]
    texts = [SPACE, *_LETTERS, *(first + second for first in [SPACE, *_LETTERS] for second in _LETTERS)]
    _check_vocabulary(vocab, len(octets), len(octets) + len(texts))
    texts = texts[: vocab - len(_SPECIAL) - len(octets)]
    kinds = [gguf.TokenType.CONTROL] * len(_SPECIAL)
    kinds += [gguf.TokenType.BYTE] * len(octets) + [gguf.TokenType.NORMAL] * len(texts)
    writer.add_tokenizer_model("llama")
    writer.add_token_list([*_SPECIAL, *octets, *texts])
    writer.add_token_types(kinds)
    writer.add_token_scores([-float(rank) for rank in range(vocab)])


def _check_vocabulary(vocab: int, least: int, most: int) -> None:
    low, high = len(_SPECIAL) + least, len(_SPECIAL) + most
    if not low <= vocab <= high:
        raise ModelError(f"a random model's vocabulary has {low} to {high} tokens, not {vocab}")
