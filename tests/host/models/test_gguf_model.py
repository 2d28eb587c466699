"""Hyper-parameters and shapes of a model file."""

import gguf
import ml_dtypes
import numpy as np
import pytest
from gguf import GGMLQuantizationType as Type
from rtlm.host.errors import ModelError
from rtlm.host.models.gguf_file import GGUFFile
from rtlm.host.models.model import LlamaModel


@pytest.fixture
def file(random_model) -> GGUFFile:
    return GGUFFile.open(random_model())


def test_hyper_parameters(random_model):
    model = LlamaModel.open(random_model(heads=2, kv_heads=1, tied=False, rope_theta=5e4))
    assert (model.layers, model.dim, model.hidden_dim, model.heads, model.kv_heads, model.head_dim) == (
        2,
        64,
        96,
        2,
        1,
        32,
    )
    assert (model.vocab, model.context, model.rope_theta, model.tied) == (320, 64, 5e4, False)
    assert model.rms_eps == pytest.approx(1e-5)
    assert model.norm("attn_norm", 1).shape == (64,)


@pytest.mark.parametrize("kind", [Type.Q4_0, Type.Q4_1, Type.Q8_0])
def test_blocks_hold_the_weights_of_the_gguf_package(random_model, kind):
    model = LlamaModel.open(random_model(matrix_type=kind))
    tensor = model.matrix("ffn_down", 1)
    expected = gguf.quants.dequantize(tensor.data, tensor.type)
    np.testing.assert_array_equal(model.blocks("ffn_down", 1).dequantise(), expected)


def test_rope_table_is_rounded_once(file):
    model = LlamaModel.from_file(file)
    cos, sin = model.rope_table(range(5, 8))
    assert cos.dtype == np.float32 and cos.shape == (3, model.head_dim // 2)
    assert sin[2, 3] == np.float32(np.sin(7 * 10000.0 ** (-6 / model.head_dim)))


CHANGES = {
    "architecture": (
        "general.architecture",
        "mamba",
        "the architecture must be one of llama, granite, .*, got 'mamba'",
    ),
    "architecture type": ("general.architecture", 3, "must hold str, got 3"),
    "layers": ("llama.block_count", 3, "blk.2.attn_q.weight is missing"),
    "many layers": ("llama.block_count", 1 << 31, "llama.block_count must be from 1 to 20, got 2147483648"),
    "no heads": ("llama.attention.head_count", 0, "llama.attention.head_count must be from 1 to 16777216, got 0"),
    "kv heads": (
        "llama.attention.head_count_kv",
        3,
        "must be a multiple of the 3 key/value heads, got 4",
    ),
    "width": ("llama.embedding_length", 96, "llama.rope.dimension_count must be 24, got 16"),
    "odd width": ("llama.embedding_length", 65, "embedding_length must be a multiple of 32, got 65"),
    "hidden width": ("llama.feed_forward_length", 128, r"must have the shape \(128, 64\), got \(96, 64\)"),
    "rope": ("llama.rope.dimension_count", 8, "llama.rope.dimension_count must be 16, got 8"),
    "vocabulary": ("llama.vocab_size", 7, "llama.vocab_size must be 320, got 7"),
    "epsilon": ("llama.attention.layer_norm_rms_epsilon", float("nan"), "must be above 0 and below 1e12, got "),
    "scaling": ("llama.rope.scaling.type", "longrope", "rotary scaling must be one of none, .*, got 'longrope'"),
    "factor": ("llama.rope.scaling.factor", 0.0, "rope.scaling.factor must be above 0 and below 1e12, got 0.0"),
    "factor NaN": ("llama.rope.scaling.factor", float("nan"), "rope.scaling.factor must be above 0 .* got nan"),
    "gpt2": (
        "general.architecture",
        "gpt2",
        "no gate; GELU; LayerNorm .*; learned positions .*; biases on all matrices",
    ),
    "opt": ("general.architecture", "opt", "no gate; ReLU; LayerNorm .*; learned positions .*; biases on all matrices"),
    "chatglm": (
        "general.architecture",
        "chatglm",
        "no gate; GELU; LayerNorm .*; biases on all matrices of a layer; RoPE over",
    ),
    "experts": ("llama.expert_count", 8, "8 experts"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_unsuitable_metadata_is_refused(file, name):
    key, value, message = CHANGES[name]
    file.metadata[key] = value
    with pytest.raises(ModelError, match=message):
        LlamaModel.from_file(file)


def test_unknown_tensor_is_refused(file):
    file.tensors["blk.0.attn_q.bias"] = file.tensors["blk.0.attn_norm.weight"]
    with pytest.raises(ModelError, match=r"do not execute biases \(the tensor 'blk\.0\.attn_q\.bias'\)"):
        LlamaModel.from_file(file)
    file.tensors["blk.0.attn_what"] = file.tensors.pop("blk.0.attn_q.bias")
    with pytest.raises(ModelError, match=r"do not execute what the tensor 'blk\.0\.attn_what' is for"):
        LlamaModel.from_file(file)


def test_path_is_named(tmp_path):
    path = tmp_path / "bad.gguf"
    path.write_bytes(b"GGUF")
    with pytest.raises(ModelError, match=r"bad\.gguf: the file ends inside the header"):
        LlamaModel.open(path)


@pytest.mark.parametrize(("kind", "dtype"), [(Type.F16, np.float16), (Type.BF16, ml_dtypes.bfloat16)])
def test_norms_in_half_precision_are_widened(random_model, kind, dtype):
    half = LlamaModel.open(random_model(norm_type=kind))
    full = LlamaModel.open(random_model())
    for name, layer in (("attn_norm", 0), ("ffn_norm", 1), ("output_norm", None)):
        weights = half.norm(name, layer)
        assert weights.dtype == np.float32 and weights.shape == (64,)
        np.testing.assert_array_equal(weights, full.norm(name, layer).astype(dtype).astype(np.float32))


@pytest.mark.parametrize("kind", [Type.F16, Type.BF16, Type.F32])
def test_float_matrices(random_model, kind):
    model = LlamaModel.open(random_model(types={"blk.1.attn_k.weight": kind}))
    matrix = model.float_matrix("attn_k", 1)
    tensor = model.matrix("attn_k", 1)
    assert matrix.dtype == np.float32 and matrix.shape == (32, 64) and tensor.type is kind
    np.testing.assert_array_equal(matrix, gguf.quants.dequantize(tensor.data, kind).reshape(32, 64))
    with pytest.raises(ModelError, match=rf"blk\.1\.attn_k\.weight must have one of the types .*, got {kind.name}"):
        model.blocks("attn_k", 1)


def test_vectors_are_floats(random_model):
    with pytest.raises(ModelError, match=r"output_norm\.weight must be F32, F16 or BF16, got Q8_0"):
        LlamaModel.open(random_model(types={"output_norm.weight": Type.Q8_0}))


def test_scale_that_memory_does_not_hold_is_refused_by_its_tensor(random_model, tmp_path):
    """MXFP4's E8M0 goes from 2^-128 to 2^126 (with twice the values), and has a NaN."""
    raw = bytearray(random_model(matrix_type=Type.MXFP4).read_bytes())
    path = tmp_path / "scale.gguf"
    path.write_bytes(raw)
    tensor = LlamaModel.open(path).matrix("ffn_down", 0)
    raw[tensor.offset : tensor.offset + 2] = 255, 0x11
    path.write_bytes(raw)
    with pytest.raises(ModelError, match=r"the tensor blk\.0\.ffn_down\.weight is refused: scales .* got 2\^127"):
        LlamaModel.open(path).blocks("ffn_down", 0)
