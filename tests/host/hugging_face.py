"""Small model folders as Hugging Face has them, made from random GGUF files and from nothing."""

import json
from pathlib import Path

import ml_dtypes
import numpy as np
from gguf.quants import dequantize
from rtlm.host.families import Rotation
from rtlm.host.models.byte_bpe import BYTE_TO_CHARACTER
from rtlm.host.models.model import LlamaModel
from safetensors.numpy import save_file

NAMES = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
}
GEMMA_NAMES = NAMES | {
    "post_attention_norm": "post_attention_layernorm",
    "ffn_norm": "pre_feedforward_layernorm",
    "post_ffw_norm": "post_feedforward_layernorm",
}
TOPS = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
LLAMA_3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)
"""As Llama 3's tokenizer.json has it."""


def write_folder(model: LlamaModel, path: Path, *, dtype=np.float32, files: int = 1, **config) -> Path:
    """Write a random model of float matrices as a folder, with a byte-level BPE of its own."""
    path.mkdir()
    values = {
        "model_type": model.family.model_type,
        "hidden_size": model.dim,
        "intermediate_size": model.hidden_dim,
        "num_hidden_layers": model.layers,
        "num_attention_heads": model.heads,
        "num_key_value_heads": model.kv_heads,
        "vocab_size": model.vocab,
        "max_position_embeddings": model.context,
        "rms_norm_eps": 1e-5,
        "rope_theta": model.rope_theta,
        "tie_word_embeddings": model.tied,
    }
    (path / "config.json").write_text(json.dumps(values | config), encoding="utf-8")
    tensors = {}
    gemma = model.family.architecture == "gemma3"
    names = GEMMA_NAMES if gemma else NAMES
    neighbours = model.family.rotation is Rotation.NEIGHBOURS
    for name, tensor in model.file.tensors.items():
        weights = np.array(dequantize(tensor.data, tensor.type)).reshape(tensor.shape)
        stem, _, kind = name.rpartition(".")
        parts = stem.split(".")
        if gemma and weights.ndim == 1:
            weights = weights - np.float32(1)
        if neighbours and parts[-1] in ("attn_q", "attn_k"):  # neighbours to halves
            heads = weights.reshape(-1, model.head_dim // 2, 2, model.dim)
            weights = np.ascontiguousarray(heads.transpose(0, 2, 1, 3)).reshape(weights.shape)
        theirs = TOPS[parts[0]] if len(parts) == 1 else f"model.layers.{parts[1]}.{names[parts[2]]}"
        tensors[f"{theirs}.{kind}"] = weights.astype(dtype)
    save_tensors(path, tensors, files)
    write_tokenizer(path, model.vocab)
    return path


def save_tensors(path: Path, tensors: dict[str, np.ndarray], files: int = 1) -> None:
    """Write tensors into one file, or several with an index."""
    names = list(tensors)
    if files == 1:
        save_file(tensors, path / "model.safetensors")
        return
    places = {}
    for number in range(files):
        file = f"model-{number + 1:05}-of-{files:05}.safetensors"
        part = {name: tensors[name] for name in names[number::files]}
        save_file(part, path / file)
        places |= dict.fromkeys(part, file)
    (path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}), encoding="utf-8")


def write_tokenizer(path: Path, vocab: int) -> None:
    """Write a tokenizer.json that cuts as Llama 3 and begins each text, and the chat template."""
    characters = list(BYTE_TO_CHARACTER.values())
    merges = [["a", "b"], ["ab", "c"], ["Ġ", "a"], ["1", "2"], ["12", "3"]]
    tokens = [*characters, *("".join(rule) for rule in merges)]
    special = {"<s>": len(tokens), "</s>": len(tokens) + 1, "<|im_end|>": len(tokens) + 2}
    added = [{"id": index, "content": token, "special": True} for token, index in special.items()]
    added.append({"id": len(tokens) + 3, "content": "<mark>", "special": False})
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    cut = {"type": "Split", "pattern": {"Regex": LLAMA_3}, "behavior": "Isolated", "invert": False}
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    edge = {"SpecialToken": {"id": "<s>", "type_id": 0}}
    values = {
        "version": "1.0",
        "added_tokens": [entry | flags for entry in added],
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [cut, level]},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [edge, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [special["<s>"]], "tokens": ["<s>"]}},
        },
        "decoder": level,
        "model": {
            "type": "BPE",
            "ignore_merges": True,
            "vocab": {token: index for index, token in enumerate(tokens)},
            "merges": merges,
        },
    }
    assert special["<|im_end|>"] + 1 < vocab
    (path / "tokenizer.json").write_text(json.dumps(values), encoding="utf-8")
    settings = {
        "bos_token": "<s>",
        "eos_token": {"content": "</s>"},
        "chat_template": "{{ bos_token }}{% for m in messages %}{{ m.content }}<|im_end|>{% endfor %}",
    }
    (path / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")


def write_sentencepiece(path: Path, vocab: int, *, prefix: bool = True) -> None:
    """Write a tokenizer.json as SentencePiece's become, with all rules that make a token, in the order of scores."""
    octets = [f"<0x{byte:02X}>" for byte in range(256)]
    merges = [["a", "b"], ["▁", "a"], ["▁", "ab"], ["▁a", "b"], ["ab", "ab"], ["b", "a"]]
    letters = ["a", "b", "▁"]
    tokens = ["<unk>", "<s>", "</s>", *octets, *letters, *dict.fromkeys("".join(rule) for rule in merges)]
    assert len(tokens) <= vocab
    replace = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
    steps = [{"type": "Prepend", "prepend": "▁"}, replace] if prefix else [replace]
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    values = {
        "version": "1.0",
        "added_tokens": [{"id": index, "content": token, **flags} for index, token in enumerate(tokens[:3])],
        "normalizer": {"type": "Sequence", "normalizers": steps},
        "model": {
            "type": "BPE",
            "unk_token": "<unk>",
            "fuse_unk": True,
            "byte_fallback": True,
            "vocab": {token: index for index, token in enumerate(tokens)},
            "merges": merges,
        },
    }
    (path / "tokenizer.json").write_text(json.dumps(values), encoding="utf-8")


BF16 = ml_dtypes.bfloat16
