"""The memory image: everything that was put in is found where the map says, and damaged images are refused."""

import dataclasses
import re

import numpy as np
import pytest
from gguf import GGMLQuantizationType as Type
from gguf import quants
from rtlm.host.compiler import image as image_module
from rtlm.host.compiler.header import HEADER_BYTES, ImageHeader, check_image
from rtlm.host.compiler.image import build_image, interleave
from rtlm.host.compiler.layout import memory_map
from rtlm.host.compiler.plan import embedding_row_words, make_plan
from rtlm.host.compiler.program import compile_model, write_program
from rtlm.host.errors import AcceleratorError, ModelError
from rtlm.host.models.model import Q8_0_LARGEST
from rtlm.host.models.stored import ModelShape, embedding_blocks, matrix_blocks
from rtlm.hw.control.isa import Instruction
from rtlm.hw.formats import BlockFormat, Blocks, unpack_tiles

from tests.host.small_models import ARRAYS, MIXED, params_of

CONTEXT = 50


@pytest.fixture(scope="module")
def model(small_model):
    return small_model(**MIXED)


def built(model, name="tiny", *overrides):
    params = params_of(name, *overrides)
    memory, program = compile_model(params, model, context=CONTEXT)
    return params, memory, program, build_image(params, model, memory, program)


def equal(got: Blocks, expected: Blocks) -> bool:
    same_minima = (got.m is None and expected.m is None) or np.array_equal(got.m, expected.m)
    return got.format is expected.format and (got.u == expected.u).all() and (got.d == expected.d).all() and same_minima


@pytest.mark.parametrize("weights", [image_module.PIECE_WEIGHTS, 4096])
@pytest.mark.parametrize("name", ARRAYS)
def test_matrices_come_back(model, name, weights, monkeypatch):
    monkeypatch.setattr(image_module, "PIECE_WEIGHTS", weights)
    params, memory, _, image = built(model, name)

    def stored(key, like):
        region = memory.regions[key]
        words = image[region.start : region.start + region.words]
        shape = params.tile_shape
        return unpack_tiles(shape, like.format, words, like.rows, like.k_blocks, region.tensor.storage.group_shift)

    for layer in range(model.layers):
        for key, name in (
            ("wq", "attn_q"),
            ("wk", "attn_k"),
            ("wv", "attn_v"),
            ("wo", "attn_output"),
            ("down", "ffn_down"),
        ):
            blocks = matrix_blocks(model, name, layer)
            assert equal(stored(f"layer{layer}.{key}", blocks), blocks), key
        gate, up = (matrix_blocks(model, name, layer) for name in ("ffn_gate", "ffn_up"))
        both = stored(f"layer{layer}.gate_up", interleave([gate, up]))
        assert equal(both.select(np.arange(0, both.rows, 2)), gate)
        assert equal(both.select(np.arange(1, both.rows, 2)), up)
    blocks = matrix_blocks(model, "output")
    assert equal(stored("output", blocks), blocks)
    assert model.vocab % params.vector_lanes, "a vocabulary that has to be padded"
    padded = blocks.select(np.array([*range(model.vocab), *[model.vocab - 1] * (-model.vocab % params.vector_lanes)]))
    assert equal(stored("output", padded), padded), "rows behind the vocabulary repeat the last one"


@pytest.mark.parametrize("name", ARRAYS)
def test_vectors_tables_and_program_come_back(model, name):
    params, memory, program, image = built(model, name)

    def content(key):
        region = memory.regions[key]
        return image[region.start : region.start + region.words].reshape(-1)

    for layer in range(model.layers):
        for norm in ("attn_norm", "ffn_norm"):
            weights = content(f"layer{layer}.{norm}").view("<f4")[: model.dim]
            assert (weights == model.norm(norm, layer)).all()
    assert (content("output_norm").view("<f4")[: model.dim] == model.norm("output_norm")).all()
    rope = content("rope").view("<f4").reshape(CONTEXT, -1)[:, : model.head_dim]
    cos, sin = model.rope_table(range(CONTEXT))
    assert (rope[:, ::2] == cos).all() and (rope[:, 1::2] == sin).all()
    raw = content("program").tobytes()
    assert [Instruction.decode(raw[32 * i : 32 * i + 32]) for i in range(len(program))] == program
    rows = content("embedding").reshape(model.vocab, -1)
    start = (embedding_row_words(params, model.dim) - -(-model.dim // params.word_bytes)) * params.word_bytes
    codes = rows[:, start : start + model.dim].view(np.int8).astype(np.float32)
    scales = rows[:, : model.dim // 16].view("<f2").astype(np.float32)
    np.testing.assert_array_equal(codes * np.repeat(scales, 32, axis=1), embedding_blocks(model).dequantise())
    assert len(image) == memory.regions["kv0"].start


@pytest.mark.parametrize("kind", [Type.F16, Type.F32])
def test_float_matrices_are_quantised_as_ggml_does(small_model, kind):
    model = small_model(matrix_type=kind, embedding_type=kind)
    for name, layer in (("ffn_down", 1), ("token_embd", None)):
        tensor = model.matrix(name, layer)
        values = tensor.data.view("<f2" if kind is Type.F16 else "<f4").reshape(tensor.shape).astype(np.float32)
        raw = quants.quantize(values, Type.Q8_0)
        assert equal(matrix_blocks(model, name, layer), Blocks.from_gguf(BlockFormat.Q8_0, raw, *tensor.shape))


def test_quantisation_rounds_halves_away_from_zero_and_keeps_tiny_blocks():
    values = np.zeros((3, 32), np.float32)
    values[0, :4] = [127, 2.5, -2.5, 0.49999997]
    values[1, :2] = [1e-42, -1e-42]
    values[2, :2] = [127 * 65504, -127 * 65504]
    blocks = Blocks.quantise_q8_0(values)
    assert (blocks.u[0, 0, :4].astype(int) - 128).tolist() == [127, 3, -3, 0]
    np.testing.assert_array_equal(blocks.dequantise()[1:], [np.zeros(32), values[2]])


@pytest.mark.parametrize("weight", [np.nan, np.inf, -1e9])
def test_weights_that_no_block_holds_are_refused(small_model, weight):
    model = small_model(matrix_type=Type.F32)
    tensor = model.matrix("attn_k", 1)
    damaged = bytearray(tensor._buffer)
    damaged[tensor.offset + 400 : tensor.offset + 404] = np.float32(weight).tobytes()
    object.__setattr__(tensor, "_buffer", bytes(damaged))
    with pytest.raises(ModelError, match=re.escape(f"from {-Q8_0_LARGEST:g} to {Q8_0_LARGEST:g}, got {weight:g}")):
        built(model)


def test_embedding_with_minima_is_stored_without(small_model):
    model = small_model(embedding_type=Type.Q4_1)
    original, stored = model.blocks("token_embd"), embedding_blocks(model)
    assert original.format is BlockFormat.Q4_1 and stored.format is BlockFormat.Q8_0
    step = stored.d.view(np.float16).astype(np.float32).max()
    np.testing.assert_allclose(stored.dequantise(), original.dequantise(), atol=0.51 * step)


def test_header_says_what_the_image_is(model):
    params, memory, _, image = built(model)
    program = memory.regions["program"]
    assert check_image(params, image) == ImageHeader(
        word_bytes=64,
        config_hash=params.config_hash,
        words=memory.words,
        content_words=len(image),
        program_start=program.start,
        program_words=program.words,
    )


def refused(params, image, sentence):
    with pytest.raises(AcceleratorError, match=sentence) as caught:
        check_image(params, image)
    assert "\n" not in str(caught.value)


def test_images_that_are_not_for_this_accelerator_are_refused(model):
    params, _, _, image = built(model)
    other = dataclasses.replace(params, config_hash=params.config_hash ^ 1)
    refused(other, image, f"is for configuration {params.config_hash:016x}, but .* was built from")
    wide = dataclasses.replace(params, lanes=256)
    refused(wide, image, "words of 64 bytes; the accelerator's have 128")
    refused(dataclasses.replace(params, address_bits=16), image, "header must state 0 to 1024 words in all, got")


def test_truncated_and_damaged_images_are_refused(model):
    params, _, _, image = built(model)
    refused(params, image[:-1], f"has {image.size - 64} bytes; its header states {image.size}")
    refused(params, np.concatenate([image, image[:1]]), f"has {image.size + 64} bytes; its header states {image.size}")
    refused(params, image.reshape(-1)[: HEADER_BYTES - 1], f"its header alone takes {HEADER_BYTES}")
    refused(params, image[:0], "has 0 bytes")
    for byte, sentence in ((0, "must start with"), (8, "must have version 2, got 3"), (30, "header is damaged")):
        damaged = image.copy()
        damaged[0, byte] ^= 1
        refused(params, damaged, sentence)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("words", 10),
        ("words", 1 << 63),
        ("content_words", 0),
        ("content_words", (1 << 64) - 1),
        ("program_start", 0),
        ("program_start", 1 << 40),
        ("program_words", 0),
        ("program_words", (1 << 64) - 1),
    ],
)
def test_headers_with_impossible_bounds_are_refused(model, field, value):
    params, _, _, image = built(model)
    header = dataclasses.replace(check_image(params, image), **{field: value})
    damaged = image.copy()
    damaged.reshape(-1)[:HEADER_BYTES] = header.pack()
    refused(params, damaged, "must state .*, got")


def test_content_that_outgrows_its_region_is_refused(model):
    params, memory, program, _ = built(model)
    with pytest.raises(ModelError, match=r"program takes .* bytes where .* words are planned"):
        build_image(params, model, memory, program * 2)


def test_a_network_without_a_gate_is_on_paper_only(small_model):
    model = small_model()
    shape = dataclasses.replace(ModelShape.of(model), gated=False)
    memory = memory_map(make_plan(params_of("tiny"), shape, context=50))
    with pytest.raises(ModelError, match=r"without a gate is planned on paper only: no unit computes it"):
        build_image(params_of("tiny"), model, memory, write_program(memory))
