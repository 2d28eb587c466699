"""Models on paper: shipped sizes against published counts, files of Hugging Face, and what is impossible."""

import dataclasses
import json
import math

import gguf
import numpy as np
import pytest
import yaml
from gguf import GGMLQuantizationType
from hypothesis import given, settings
from hypothesis import strategies as st
from rtlm.gen.configuration.load import load_config
from rtlm.host.compiler.plan import Matrix, make_plan
from rtlm.host.errors import ModelError
from rtlm.host.models.model import LlamaModel
from rtlm.host.models.paper import open_model, shipped_names, shipped_sizes
from rtlm.host.models.shape_file import parse_sizes
from rtlm.host.models.stored import Storage
from rtlm.hw.formats import BlockFormat

from tests.host.small_models import SIZES, params_of

NAMED = [
    "llama-2-7b",
    "llama-2-13b",
    "llama-2-70b",
    "llama-3-8b",
    "llama-3-70b",
    "tinyllama-1.1b",
    "smollm2-135m",
    "smollm2-360m",
    "smollm2-1.7b",
    "qwen2.5-0.5b",
    "qwen3-0.6b",
    "gemma-3-270m",
    "gpt2-345m",
    "chatglm-6b",
    "opt-6.7b",
]

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=60),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)

LLAMA = {
    "model_type": "llama",
    "hidden_size": 128,
    "intermediate_size": 192,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 301,
    "max_position_embeddings": 64,
}


def written(folder, *, drop=(), file="config.json", **changes):
    values = {key: value for key, value in (LLAMA | changes).items() if key not in drop}
    path = folder / file
    path.write_text(json.dumps(values) if path.suffix == ".json" else yaml.safe_dump(values), encoding="utf-8")
    return str(path)


def large_params(shape):
    """Return the sizes of an accelerator that a model fits."""
    params = load_config("u280").to_params()
    return dataclasses.replace(
        params,
        dim=max(shape.dim, params.dim),
        hidden_dim=max(shape.hidden_dim, params.hidden_dim),
        heads=shape.heads,
        kv_heads=shape.kv_heads,
        group=shape.heads // shape.kv_heads,
        head_dim=shape.head_dim,
        vocabulary=shape.vocab,
        windows=True,
    )


def test_the_models_that_are_shipped():
    assert shipped_names() == sorted(NAMED)


@pytest.mark.parametrize("name", NAMED)
def test_shipped_sizes_make_the_published_number_of_weights(name):
    sizes, model = shipped_sizes(name), open_model(name)
    assert sizes.source.startswith("https://") and sizes.parameters_source.startswith("https://")
    assert model.parameters == pytest.approx(sizes.parameters, rel=0.01)
    assert (model.name, model.source) == (name, sizes.source)
    # Nothing is left to a default.
    assert model.shape.heads * model.shape.head_dim == sizes.num_attention_heads * sizes.head_dim
    assert None not in (sizes.num_key_value_heads, sizes.intermediate_size, sizes.tie_word_embeddings)


@pytest.mark.parametrize("name", NAMED)
def test_a_plan_reads_the_weights_of_its_model(name):
    """Matrices of the plan and the embedding are the parameters, but for norms, biases and learned positions."""
    model = open_model(name)
    shape = model.shape
    plan = make_plan(large_params(shape), shape, context=64)
    matrices = [region.tensor for region in plan.regions if isinstance(region.tensor, Matrix)]
    planned = sum(matrix.rows * matrix.columns for matrix in matrices)
    embedding = 0 if model.tied else shape.vocab * shape.dim
    assert 0 < model.parameters - planned - embedding < 0.006 * model.parameters
    ups = [matrix for matrix in matrices if "ffn_up" in matrix.sources]
    assert len(ups) == shape.layers
    assert {matrix.rows for matrix in ups} == {shape.hidden_dim * (2 if shape.gated else 1)}
    assert shape.gated == (model.family not in ("gpt2", "opt", "chatglm"))
    assert (model.family == "llama") == (model.parts == ())


def test_formats_and_groups():
    shape = open_model("llama-2-7b", weights="Q4_1", output="q8_0", group=128).shape
    assert shape.storage("attn_q", 31) == Storage(format=BlockFormat.Q4_1, group_shift=2)
    assert shape.storage("output") == Storage(format=BlockFormat.Q8_0, group_shift=2)
    assert open_model("llama-2-7b").shape.storage("output") == Storage(format=BlockFormat.Q4_0)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"weights": "q1_k"}, "weights must be one of q4_0, q4_1, q8_0, .*, mxfp4, got 'q1_k'"),
        ({"output": "f16"}, "output must be one of q4_0, q4_1, q8_0, .*, mxfp4, got 'f16'"),
        ({"group": 48}, "group must be one of 32, 64, 128, 256, got 48"),
        ({"group": 128}, "hidden_size must be a multiple of the 128 weights that share a scale, got 576"),
    ],
)
def test_formats_that_there_are_not(options, sentence):
    with pytest.raises(ModelError, match=sentence):
        open_model("smollm2-135m", **options)


def test_a_gguf_file(random_model):
    path = random_model(**SIZES)
    found, model = LlamaModel.open(path), open_model(str(path))
    assert (model.name, model.family, model.parts, model.tied) == (path.stem, "llama", (), found.tied)
    assert model.parameters == sum(math.prod(tensor.shape) for tensor in found.file.tensors.values())
    assert make_plan(params_of("tiny"), model.shape, context=8).shape == model.shape


def test_a_config_counts_what_a_file_of_weights_holds(random_model, tmp_path):
    """A config.json and a GGUF file of one model agree."""
    gguf = open_model(str(random_model(**SIZES)))
    paper = open_model(written(tmp_path, tie_word_embeddings=gguf.tied))
    assert gguf.parameters == paper.parameters
    sizes = ("layers", "dim", "hidden_dim", "heads", "kv_heads", "head_dim", "vocab", "gated")
    assert all(getattr(gguf.shape, size) == getattr(paper.shape, size) for size in sizes)


def test_names_of_other_families(tmp_path):
    config = {
        "model_type": "gpt2",
        "n_embd": 1024,
        "n_layer": 24,
        "n_head": 16,
        "n_positions": 1024,
        "n_inner": None,
        "vocab_size": 50257,
        "layer_norm_epsilon": 1e-5,
        "activation_function": "gelu_new",
    }
    folder = tmp_path / "medium"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    model, shipped = open_model(str(folder / "config.json")), open_model("gpt2-345m")
    assert model == dataclasses.replace(shipped, name="medium", source=model.source)


@pytest.mark.parametrize(
    ("changes", "part", "extra"),
    [
        ({"attention_bias": True}, "biases on the matrices of attention", 2 * (128 + 2 * 64 + 128)),
        ({"mlp_bias": True}, "biases on the matrices of the feed-forward network", 2 * (2 * 192 + 128)),
        ({"hidden_act": "gelu"}, "the activation gelu instead of silu", 0),
        ({"rope_scaling": {"rope_type": "dynamic"}}, "rotary frequencies scaled in the way dynamic", 0),
        ({"use_sliding_window": True}, "sliding-window attention (estimated as full attention)", 0),
        ({"head_dim": 40}, "heads 40 wide, not a power of two from 8 to 256", 2 * 8 * 128 * (4 + 4 + 2 + 2)),
    ],
)
def test_what_the_gates_do_not_execute(tmp_path, changes, part, extra):
    plain = open_model(written(tmp_path))
    model = open_model(written(tmp_path, **changes))
    assert plain.parts == () and model.parts == (part,)
    assert model.parameters - plain.parameters == extra


@pytest.mark.parametrize("scaling", [{"type": "linear"}, {"rope_type": "llama3"}, {"rope_type": "yarn"}])
def test_scaled_rotary_frequencies_are_only_another_table(tmp_path, scaling):
    assert open_model(written(tmp_path, rope_scaling=scaling)).parts == ()


def test_layers_without_rotation_are_planned(tmp_path):
    model = open_model(written(tmp_path, model_type="smollm3", num_hidden_layers=9))
    assert model.parts == () and model.shape.rotation_free == {3, 7}


GEMMA = {"model_type": "gemma3_text", "num_hidden_layers": 8, "sliding_window": 64}


@pytest.mark.parametrize(
    ("changes", "windowed"),
    [
        ({}, {0, 1, 2, 3, 4, 6, 7}),
        ({"sliding_window_pattern": 2}, {0, 2, 4, 6}),
        ({"_sliding_window_pattern": 4}, {0, 1, 2, 4, 5, 6}),
        ({"layer_types": ["full_attention"] * 7 + ["sliding_attention"]}, {7}),
    ],
)
def test_layers_with_a_window_are_planned(tmp_path, changes, windowed):
    model = open_model(written(tmp_path, **GEMMA, **changes))
    assert (model.shape.windowed, model.shape.window) == (windowed, 64)
    assert "sliding-window attention (the gates have it with attention.windows)" in model.parts
    assert any(part.endswith("(left out here; the gates have it with vector.head_norms)") for part in model.parts)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"sliding_window": None}, "sliding_window is missing"),
        ({"sliding_window": 0}, "sliding_window must be an integer from 1 to"),
        ({"layer_types": ["full_attention"]}, "layer_types must be 8 of sliding_attention and full_attention"),
        ({"layer_types": ["local"] * 8}, "layer_types must be 8 of sliding_attention and full_attention"),
        ({"layer_types": 3}, "layer_types must be a list, got 3"),
    ],
)
def test_windows_that_a_file_does_not_say(tmp_path, changes, sentence):
    with pytest.raises(ModelError, match=sentence):
        open_model(written(tmp_path, **GEMMA | changes))


def test_a_window_that_other_families_only_mention_is_none(tmp_path):
    """A Qwen2 states one beside `use_sliding_window: false`."""
    model = open_model(written(tmp_path, model_type="qwen2", sliding_window=64, use_sliding_window=False))
    assert not model.shape.windowed


@pytest.mark.parametrize("file", ["config.json", "shape.yaml"])
@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"vocab_size": 0}, "vocab_size must be an integer from 1 to 10000000, got 0"),
        ({"vocab_size": math.nan}, "vocab_size must be an integer from 1 to 10000000, got nan"),
        ({"hidden_size": "4096"}, "hidden_size must be a multiple of 32 from 32 to 1000000, got '4096'"),
        ({"hidden_size": 100}, "hidden_size must be a multiple of 32 from 32 to 1000000, got 100"),
        ({"num_hidden_layers": 10**30}, "num_hidden_layers must be an integer from 1 to 1000, got 10+$"),
        ({"num_hidden_layers": -math.inf}, "num_hidden_layers must be an integer from 1 to 1000, got -inf"),
        ({"num_hidden_layers": True}, "num_hidden_layers must be an integer from 1 to 1000, got True"),
        ({"num_key_value_heads": 3}, "num_attention_heads must be a multiple of num_key_value_heads = 3, got 4"),
        ({"num_attention_heads": 6}, "hidden_size must be an even multiple of num_attention_heads = 6, got 128"),
        ({"head_dim": 4}, r"num_attention_heads x head_dim must be a multiple of 32 .*, got 4 x 4 = 16"),
        ({"head_dim": 10**6}, r"head_dim must be .* at most 1000000, got 4 x 1000000 = 4000000"),
        ({"tie_word_embeddings": "no"}, "tie_word_embeddings must be true or false, got 'no'"),
        ({"rms_norm_eps": -1}, "rms_norm_eps must be a number from 1e-12 to 1, got -1"),
        ({"model_type": "bert"}, "model_type must be one of llama, .*qwen2, .*, got 'bert'"),
        ({"model_type": ["llama"]}, r"model_type must be one of llama, .*qwen2, .*, got \['llama'\]"),
        ({"rope_scaling": "linear"}, "rope_scaling must be a mapping, got 'linear'"),
        ({"hidden_act": 3}, "hidden_act must be a text, got 3"),
        ({"word_embed_proj_dim": 64}, "word_embed_proj_dim must be hidden_size = 128, got 64"),
        ({"drop": ["hidden_size"]}, "hidden_size is missing"),
        ({"drop": ["intermediate_size"]}, "intermediate_size is missing"),
        ({"drop": ["vocab_size"]}, "vocab_size is missing"),
    ],
)
def test_impossible_numbers(tmp_path, file, changes, sentence):
    path = written(tmp_path, file=file, **changes)
    with pytest.raises(ModelError, match=sentence) as caught:
        open_model(path)
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.yaml", "[1, 2", "the file is not valid YAML"),
        ("a.json", "{", "the file is not valid JSON"),
        ("a.json", "[" * 50_000, "the file is not valid JSON"),
        ("a.yaml", "[" * 50_000, "the file is not valid YAML"),
        ("a.json", "3", "the file must be a mapping of names such as hidden_size: 4096, got 3"),
        ("a.yaml", "", "the file must be a mapping .*, got None"),
        ("a.yaml", "1: 2", r"the file must be a mapping .*, got \{1: 2\}"),
        ("a.yaml", "!!python/object:os.system {}", "the file is not valid YAML"),
        ("a.json", " " * 70_000, "the file must have at most 65536 bytes"),
        ("a.yaml", "num_key_value_head: 3", "num_key_value_head is not a key; did you mean num_key_value_heads?"),
    ],
)
def test_files_that_are_none(tmp_path, name, content, sentence):
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(ModelError, match=sentence):
        open_model(str(tmp_path / name))


def test_files_that_cannot_be_read(tmp_path):
    (tmp_path / "a.json").write_bytes(b"\xff\xfe")
    for path, sentence in (
        (tmp_path / "a.json", "the file must be UTF-8 text"),
        (tmp_path / "b.json", "the file cannot be read: No such file or directory"),
    ):
        with pytest.raises(ModelError, match=sentence):
            open_model(str(path))


def test_names_that_there_are_not():
    with pytest.raises(ModelError, match=r"there is no model 'llama2-7b'.*chatglm-6b.*; did you mean llama-2-7b\?"):
        open_model("llama2-7b")


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(LLAMA)), ANYTHING, max_size=3), st.booleans())
def test_whatever_a_file_holds_is_a_model_or_one_sentence(changes, strict):
    text = yaml.safe_dump(LLAMA | changes) if strict else json.dumps(LLAMA | changes)
    try:
        sizes = parse_sizes(text, "a file", strict=strict)
    except ModelError as error:
        assert str(error).startswith("a file: ") and "\n" not in str(error) and len(str(error)) < 400
    else:
        assert 1 <= sizes.vocab_size <= 10_000_000 and 1 <= sizes.num_hidden_layers <= 1000


@settings(deadline=None)
@given(st.text(max_size=60), st.booleans())
def test_whatever_a_text_is(text, strict):
    with pytest.raises(ModelError):
        parse_sizes(text, "a file", strict=strict)


def write_gguf(path, architecture, kind=GGMLQuantizationType.IQ4_XS, **changes):
    """Write a file of another family with a matrix in a format that the gates do not have."""
    values = {"block_count": 2, "embedding_length": 256, "feed_forward_length": 512, "context_length": 128}
    values |= {"attention.head_count": 8, "attention.head_count_kv": 4, **changes}
    writer = gguf.GGUFWriter(path, architecture)
    for key, value in values.items():
        writer.add_uint32(f"{architecture}.{key}", value)
    writer.add_float32(f"{architecture}.attention.layer_norm_rms_epsilon", 1e-6)
    weights = np.zeros((320, gguf.GGML_QUANT_SIZES[kind][1]), np.uint8)
    writer.add_tensor("token_embd.weight", weights, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_gguf_of_another_family_and_format(tmp_path):
    model = open_model(str(write_gguf(tmp_path / "other.gguf", "qwen3")), weights="q8_0")
    assert (model.family, model.shape.layers, model.shape.dim, model.shape.vocab) == ("qwen3", 2, 256, 320)
    assert model.tied and model.shape.kv_heads == 4 and model.shape.rms_eps == pytest.approx(1e-6)
    assert model.shape.storage("attn_q", 0).format is BlockFormat.Q8_0
    assert model.parts[-1] == "weights in IQ4_XS, estimated as Q8_0"


@pytest.mark.parametrize(
    ("architecture", "changes", "sentence"),
    [
        ("mamba", {}, "the architecture must be one of llama, .* got 'mamba'"),
        ("qwen2", {"embedding_length": 7}, "hidden_size must be .* got 7"),
        ("qwen2", {"block_count": 1 << 31}, "num_hidden_layers must be .* got 2147483648"),
    ],
)
def test_gguf_that_no_estimate_is_made_of(tmp_path, architecture, changes, sentence):
    with pytest.raises(ModelError, match=sentence):
        open_model(str(write_gguf(tmp_path / "other.gguf", architecture, **changes)))
