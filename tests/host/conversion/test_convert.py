"""Hugging Face folders become GGUF files: the same weights, sizes and tokens."""

import json
import math
from dataclasses import replace

import gguf
import numpy as np
import pytest
from gguf import GGMLQuantizationType as Type
from gguf.quants import dequantize, quantize
from rtlm.gen.common.errors import OK, USER_ERROR
from rtlm.host.cli import main as cli
from rtlm.host.cli.convert import FORMATS
from rtlm.host.conversion.convert import GRANITE_KEYS, convert
from rtlm.host.conversion.quantisation import FALLBACKS
from rtlm.host.errors import ModelError
from rtlm.host.golden.model import GoldenModel
from rtlm.host.golden.reference import ReferenceModel
from rtlm.host.models.model import LAYER_MATRICES, LlamaModel
from rtlm.host.models.rotary import Rotary
from rtlm.host.models.tokenizer import Tokenizer
from rtlm.hw.formats import BlockFormat
from tokenizers import Tokenizer as Backend

from tests.host.families import FLOATS, GRANITE, VARIANTS
from tests.host.hugging_face import BF16, save_tensors, write_folder, write_sentencepiece

TOKENS = [5, 300, 17, 17, 0, 44, 123]
TEXTS = ["abc abc 12345", "I'LL <s>go</s> <mark>\n\n x", "中文 é\t<|im_end|>", "", "   a"]


@pytest.fixture
def model(random_model) -> LlamaModel:
    return LlamaModel.open(random_model(seed=4, **FLOATS, tied=False))


@pytest.fixture
def folder(model, tmp_path):
    return write_folder(model, tmp_path / "model")


@pytest.mark.parametrize("format", [BlockFormat[name.upper()] for name in FORMATS])
def test_weights(model, folder, tmp_path, format):
    found = convert(folder, tmp_path / "out.gguf", format=format)
    assert LlamaModel.open(tmp_path / "out.gguf") == found
    for name in ("layers", "dim", "hidden_dim", "heads", "kv_heads", "head_dim", "vocab", "context", "tied"):
        assert getattr(found, name) == getattr(model, name), name
    for name, tensor in model.file.tensors.items():
        ours = found.file.tensors[name]
        # Rows of 64 and 96 weights hold no block of 256.
        stored = FALLBACKS[format] if format.block_weights > 96 else format
        kind = Type.F32 if len(tensor.shape) == 1 else Type.Q8_0 if ".blk" not in f".{name}" else Type[stored.name]
        assert ours.type is kind, name
        weights = dequantize(tensor.data, tensor.type).reshape(tensor.shape)
        np.testing.assert_array_equal(ours.data.reshape(-1), quantize(weights, kind).view(np.uint8).reshape(-1), name)


def test_the_library_of_the_format_reads_the_file(folder, tmp_path):
    convert(folder, tmp_path / "out.gguf")
    reader = gguf.GGUFReader(tmp_path / "out.gguf")
    assert reader.fields["general.architecture"].contents() == "llama" and len(reader.tensors) == 21
    assert reader.fields["general.name"].contents() == "model"


def test_same_logits(model, folder, tmp_path):
    found = ReferenceModel(convert(folder, tmp_path / "out.gguf")).logits(TOKENS)
    difference = found - ReferenceModel(model).logits(TOKENS)
    assert 0 < np.abs(difference).max() < 0.1


WIDE = FLOATS | {"dim": 256, "hidden_dim": 256}
"""Rows of a super-block."""


@pytest.mark.parametrize(
    ("format", "bound"), [("q2_k", 0.9), ("q3_k", 0.6), ("q4_k", 0.23), ("q5_k", 0.13), ("q6_k", 0.07)]
)
def test_super_blocks_decode_near_the_floats(random_model, tmp_path, format, bound):
    """In the golden model, that is with what the gates read; logits have a standard deviation of about 1."""
    model = LlamaModel.open(random_model(seed=4, **WIDE, tied=False))
    convert(write_folder(model, tmp_path / "wide"), tmp_path / "out.gguf", format=BlockFormat[format.upper()])
    found = LlamaModel.open(tmp_path / "out.gguf")
    assert {found.matrix(name, 1).type.name for name in LAYER_MATRICES} == {format.upper()}
    golden = GoldenModel(found)
    logits = golden.evaluate(TOKENS, golden.cache(len(TOKENS)))
    error = (logits - ReferenceModel(model).logits(TOKENS)).std()
    print(format, error)
    assert bound / 3 < error < bound


@pytest.mark.parametrize(("scale", "exponent"), [(1e-5, -22), (2e6, 16)])
def test_scales_beyond_mxfp4_are_refused(model, tmp_path, scale, exponent):
    from safetensors.numpy import load_file

    folder = write_folder(model, tmp_path / "model")
    tensors = load_file(folder / "model.safetensors")
    tensors["model.layers.1.mlp.up_proj.weight"] *= np.float32(scale)
    save_tensors(folder, tensors)
    sentence = rf"model.layers.1.mlp.up_proj.weight: scales of MXFP4 must be from 2\^-16 to 2\^15, got 2\^{exponent}"
    with pytest.raises(ModelError, match=sentence):
        convert(folder, tmp_path / "out.gguf", format=BlockFormat.MXFP4)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize(("dtype", "bits"), [(np.float16, 11), (BF16, 8)], ids=["F16", "BF16"])
@pytest.mark.parametrize("files", [1, 3])
def test_other_types_and_several_files(model, tmp_path, dtype, bits, files):
    found = convert(write_folder(model, tmp_path / "half", dtype=dtype, files=files), tmp_path / "out.gguf")
    norm, expected = found.norm("attn_norm", 1), model.norm("attn_norm", 1)
    np.testing.assert_allclose(norm, expected, rtol=2.0**-bits)
    assert (norm != expected).any()


def test_tokens_of_byte_level_bpe(folder, tmp_path):
    tokenizer = Tokenizer(convert(folder, tmp_path / "out.gguf").file)
    theirs = Backend.from_file(f"{folder}/tokenizer.json")
    for text in TEXTS:
        assert tokenizer.encode(text) == theirs.encode(text).ids
    assert tokenizer.decode([tokenizer.bos, tokenizer.eos]) == "<s></s>"
    assert tokenizer.chat([{"content": "a"}]) == "a<|im_end|>"
    assert tokenizer.token_bytes(319) == b""


@pytest.mark.parametrize("prefix", [True, False])
def test_tokens_of_sentencepiece(folder, tmp_path, prefix):
    write_sentencepiece(folder, 320, prefix=prefix)
    tokenizer = Tokenizer(convert(folder, tmp_path / "out.gguf").file)
    theirs = Backend.from_file(f"{folder}/tokenizer.json")
    for text in ("ab aab", "abab", "中é", "a<s>b", "  babab  a"):
        assert tokenizer.encode(text, bos=False) == theirs.encode(text).ids, text


def test_template_of_its_own_file(folder, tmp_path):
    (folder / "chat_template.jinja").write_text("own", encoding="utf-8")
    assert Tokenizer(convert(folder, tmp_path / "out.gguf").file).chat([]) == "own"


def test_granite(random_model, tmp_path):
    model = LlamaModel.open(random_model(seed=4, **FLOATS, architecture="granite", metadata=GRANITE))
    keys = dict(zip(GRANITE_KEYS.values(), GRANITE.values(), strict=True))
    found = convert(write_folder(model, tmp_path / "granite", **keys), tmp_path / "out.gguf")
    assert found.scalars == model.scalars and found.tied


def test_smollm3(random_model, tmp_path):
    model = LlamaModel.open(random_model(seed=4, **FLOATS, architecture="smollm3", layers=5))
    folder = write_folder(model, tmp_path / "smollm3", no_rope_layers=[1, 1, 1, 0, 1], no_rope_layer_interval=4)
    assert convert(folder, tmp_path / "out.gguf").rotation_free == {3}


QWEN = {"qwen2": {"use_sliding_window": False}, "qwen3": {"head_dim": 32}}
"""What config.json says besides."""


def qwen_folder(random_model, path, name, **changes):
    model = LlamaModel.open(random_model(seed=4, **FLOATS, **VARIANTS[name]))
    return model, write_folder(model, path, **QWEN[name] | changes)


@pytest.mark.parametrize("name", QWEN)
def test_qwen(random_model, tmp_path, name):
    """Biases or norms of heads; RoPE turns halves in the folder and in the file."""
    model, folder = qwen_folder(random_model, tmp_path / name, name)
    found = convert(folder, tmp_path / "out.gguf")
    assert found.family is model.family and found.file.tensors.keys() == model.file.tensors.keys()
    for name, tensor in model.file.tensors.items():
        if len(tensor.shape) == 1:
            np.testing.assert_array_equal(found.file.tensors[name].data, tensor.data, name)
    difference = ReferenceModel(found).logits(TOKENS) - ReferenceModel(model).logits(TOKENS)
    assert 0 < np.abs(difference).max() < 0.2


@pytest.mark.parametrize(
    ("name", "changes", "sentence"),
    [
        ("qwen2", {"use_sliding_window": True}, "use_sliding_window must be false, got true"),
        ("qwen3", {"head_dim": None}, "head_dim is missing"),
    ],
)
def test_what_a_qwen_must_not_say(random_model, tmp_path, name, changes, sentence):
    _, folder = qwen_folder(random_model, tmp_path / name, name, **changes)
    with pytest.raises(ModelError, match=sentence):
        convert(folder, tmp_path / "out.gguf")


GEMMA = {
    "head_dim": 16,
    "rms_norm_eps": 1e-5,
    "rope_local_base_freq": 2e3,
    "sliding_window": 3,
    "query_pre_attn_scalar": 16,
    "hidden_activation": "gelu_pytorch_tanh",
}


@pytest.fixture
def gemma(random_model):
    return LlamaModel.open(random_model(seed=4, **FLOATS, **VARIANTS["gemma3"]))


def test_gemma3(gemma, tmp_path):
    """Norms without their 1, names of its own, and layers with a window, which the folder counts."""
    folder = write_folder(gemma, tmp_path / "gemma3", **GEMMA, sliding_window_pattern=3)
    found = convert(folder, tmp_path / "out.gguf")
    assert (found.windowed, found.window, found.tied) == ({0, 1, 3, 4, 6}, 3, True)
    np.testing.assert_array_equal(found.rope_table(range(9), windowed=True), Rotary.unscaled(16, 2e3).table(range(9)))
    for name in ("attn_norm", "ffn_norm", "post_attention_norm", "post_ffw_norm", "attn_q_norm"):
        np.testing.assert_allclose(found.norm(name, 1), gemma.norm(name, 1), atol=1e-6)
    same = replace(gemma, windowed=found.windowed, window=3, window_rotary=found.window_rotary)
    difference = ReferenceModel(found).logits(TOKENS) - ReferenceModel(same).logits(TOKENS)
    assert 0 < np.abs(difference).max() < 0.15


def test_layers_that_a_gemma3_names(gemma, tmp_path):
    kinds = ["sliding_attention", "full_attention"] * 3 + ["full_attention"]
    found = convert(write_folder(gemma, tmp_path / "gemma3", **GEMMA, layer_types=kinds), tmp_path / "out.gguf")
    assert found.windowed == {0, 2, 4}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"query_pre_attn_scalar": 168}, "query_pre_attn_scalar must be 16, got 168"),
        ({"final_logit_softcapping": 30.0}, "final_logit_softcapping must be None, got 30.0"),
        ({"hidden_activation": "relu"}, "hidden_activation must be gelu_pytorch_tanh, got 'relu'"),
        ({"rope_local_base_freq": None}, "rope_local_base_freq is missing"),
        ({"rope_local_base_freq": 0}, "rope_local_base_freq must be above 0 and below 1e12, got 0"),
        ({"layer_types": ["local"]}, "layer_types must be 7 of sliding_attention and full_attention"),
    ],
)
def test_what_a_gemma3_must_not_say(gemma, tmp_path, changes, sentence):
    folder = write_folder(gemma, tmp_path / "gemma3", **GEMMA | changes)
    with pytest.raises(ModelError, match=sentence):
        convert(folder, tmp_path / "out.gguf")


LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
DIGITS = {"type": "Digits", "individual_digits": True}
DEEPSEEK = ("[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+")
CUTS = {
    "gpt-2": [LEVEL],
    "smollm": [DIGITS, LEVEL],
    "deepseek-coder": [
        *({"type": "Split", "pattern": {"Regex": each}, "behavior": "Isolated", "invert": False} for each in DEEPSEEK),
        DIGITS,
        LEVEL | {"use_regex": False},
    ],
}
"""Pre-tokenizers as tokenizer.json has them."""


@pytest.mark.parametrize("name", CUTS)
def test_pre_tokenizers_are_known(folder, tmp_path, name):
    change(folder / "tokenizer.json", "model", "ignore_merges", value=False)
    change(folder / "tokenizer.json", "pre_tokenizer", "pretokenizers", value=CUTS[name])
    file = convert(folder, tmp_path / "out.gguf").file
    assert file.metadata["tokenizer.ggml.pre"] == name
    theirs = Backend.from_file(f"{folder}/tokenizer.json")
    for text in TEXTS:
        assert Tokenizer(file).encode(text) == theirs.encode(text).ids


LLAMA_3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 1024,
}


@pytest.mark.parametrize("key", ["rope_scaling", "rope_parameters"])
def test_rotary_scaling_of_llama_3(model, tmp_path, key):
    """Each frequency as Llama 3's ``apply_scaling`` has it, one at a time."""
    scaling = LLAMA_3 | ({"rope_theta": 500.0} if key == "rope_parameters" else {})
    folder = write_folder(model, tmp_path / "llama3", **{key: scaling, "rope_theta": 500.0})
    expected = []
    for frequency in 500.0 ** (-np.arange(0, 16, 2) / 16):
        length = 2 * math.pi / frequency
        if length < 1024 / 4:
            expected.append(frequency)
        elif length > 1024 / 1:
            expected.append(frequency / 8)
        else:
            smooth = (1024 / length - 1) / (4 - 1)
            expected.append((1 - smooth) * frequency / 8 + smooth * frequency)
    found = convert(folder, tmp_path / "out.gguf").rotary.frequency
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert len(set(np.round(np.array(expected) / 500.0 ** (-np.arange(0, 16, 2) / 16), 6))) >= 3


@pytest.mark.parametrize("kind", ["linear", "yarn"])
def test_other_rotary_scaling(model, tmp_path, kind):
    folder = write_folder(model, tmp_path / kind, rope_scaling={"type": kind, "factor": 4})
    found = convert(folder, tmp_path / "out.gguf").rotary
    assert found.frequency[-1] == pytest.approx(model.rotary.frequency[-1] / 4)
    assert (found.magnitude > 1) == (kind == "yarn")


BAD = {
    "model_type": ({"model_type": "gpt2"}, "model_type must be one of llama, granite, .*, got 'gpt2'"),
    "wide": ({"hidden_size": 128}, r"must be \(.*128.*\), got \(.*64.*\)"),
    "layers": ({"num_hidden_layers": 3}, "the weights of blk.2.attn_k.weight are missing"),
    "fewer layers": ({"num_hidden_layers": 1}, "'model.layers.1.* is not part of a llama that runs"),
    "vocabulary": ({"vocab_size": 319}, r"must be \(319, 64\), got \(320, 64\)"),
    "head": ({"head_dim": 24}, r"must be \(48, 64\), got \(32, 64\)"),
    "scaling": ({"rope_scaling": {"type": "dynamic"}}, "must be linear, llama3 or yarn, got 'dynamic'"),
    "factor": ({"rope_scaling": {"type": "linear", "factor": "x"}}, "factor must be above 0 .*, got 'x'"),
    "theta": ({"rope_theta": -1}, "rope_theta must be above 0 and below 1e12, got -1"),
    "magnitude": ({"rope_scaling": {"type": "yarn", "factor": 2, "mscale": 1}}, "YaRN must have its own magnitude"),
    "frequencies": ({"rope_scaling": LLAMA_3 | {"low_freq_factor": 5}}, "must be below high_freq_factor = 4, got 5"),
    "bos": ({"bos_token_id": 10**9}, None),
}


@pytest.mark.parametrize("name", BAD)
def test_impossible_configurations_are_refused(model, tmp_path, name):
    changes, message = BAD[name]
    folder = write_folder(model, tmp_path / "bad", **changes)
    if message is None:  # tokenizer_config.json has the name, which counts more
        convert(folder, tmp_path / "out.gguf")
        return
    with pytest.raises(ModelError, match=message):
        convert(folder, tmp_path / "out.gguf")
    assert [path.name for path in tmp_path.iterdir()] == ["bad"]


def change(path, *keys, value):
    values = json.loads(path.read_text(encoding="utf-8"))
    inner = values
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    path.write_text(json.dumps(values), encoding="utf-8")


TOKENIZERS = {
    "unigram": (("model", "type"), "Unigram", "tokenizer must be BPE, got 'Unigram'"),
    "number": (("model", "vocab"), {"a": 10**9}, "must have a number from 0 to 319, got 1000000000 for 'a'"),
    "truth": (("model", "vocab"), {"a": True}, "must have a number from 0 to 319, got True for 'a'"),
    "vocabulary": (("model", "vocab"), [], "must have a vocabulary and a list of added tokens"),
    "merges": (("model", "merges"), [["a"]], "merges must be a list of pairs"),
    "added": (("added_tokens",), [3], "must have a vocabulary and a list of added tokens"),
    "pre": (("pre_tokenizer",), {"type": "Whitespace"}, "this one has another pre-tokenizer"),
    "no pre": (("pre_tokenizer",), None, "this one has another pre-tokenizer"),
    "words": (("model", "ignore_merges"), False, None),
    "unknown": (("pre_tokenizer",), {"type": "Nonsense"}, "this one has another pre-tokenizer"),
    "normalised": (("normalizer",), {"type": "NFC"}, "this one has another pre-tokenizer"),
    "endless": (
        ("pre_tokenizer", "pretokenizers", 0, "pattern", "Regex"),
        r"(\S+\s?)+(?!\S|\s)(?=\S)",
        "this one has another pre-tokenizer",
    ),
}


@pytest.mark.parametrize("name", TOKENIZERS)
def test_impossible_tokenizers_are_refused(folder, tmp_path, name):
    keys, value, message = TOKENIZERS[name]
    change(folder / "tokenizer.json", *keys, value=value)
    if message is None:
        file = convert(folder, tmp_path / "out.gguf").file
        assert file.metadata["tokenizer.ggml.pre"] == "smaug-bpe"  # Llama 3's rules without whole words
        return
    with pytest.raises(ModelError, match=message):
        convert(folder, tmp_path / "out.gguf")


def test_weights_that_are_no_numbers_are_refused(folder, tmp_path):
    from safetensors.numpy import load_file

    tensors = load_file(folder / "model.safetensors")
    tensors["model.norm.weight"] = np.full_like(tensors["model.norm.weight"], np.nan)
    save_tensors(folder, tensors)
    with pytest.raises(ModelError, match=r"model.norm.weight, .* got nan"):
        convert(folder, tmp_path / "out.gguf")


def test_missing_files_are_named(folder, tmp_path):
    for name in ("tokenizer.json", "config.json", "model.safetensors"):
        (folder / name).unlink()
        with pytest.raises(ModelError, match=name):
            convert(folder, tmp_path / "out.gguf")


def test_index_stays_in_the_folder(folder, tmp_path):
    places = {"weight_map": {"a": "../model.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(places), encoding="utf-8")
    with pytest.raises(ModelError, match=r"must lie in the folder, got '../model.safetensors'"):
        convert(folder, tmp_path / "out.gguf")


def test_command(folder, tmp_path, capsys):
    output = tmp_path / "out.gguf"
    assert cli.run_command(["convert", str(folder), "--format", "q4_1", "-o", str(output)]) == OK
    assert capsys.readouterr().out == f"{output}: llama, 2 layers, 320 tokens\n"
    assert cli.run_command(["convert", str(folder), "--format", "q4_k", "-o", str(output)]) == OK
    assert capsys.readouterr().out.splitlines()[1] == (
        "attn_q, attn_k, attn_v, attn_output, ffn_gate, ffn_up, ffn_down became Q5_0, as their rows are no multiple of "
        "256 weights"
    )
    assert cli.run_command(["convert", str(tmp_path), "-o", str(output), "--quiet"]) == USER_ERROR
    assert "model.safetensors is missing" in capsys.readouterr().err
    assert cli.run_command(["convert", str(folder), "-o", str(tmp_path / "none" / "out.gguf")]) == USER_ERROR
