"""Where things lie in memory, and what does not fit."""

import dataclasses

import pytest
from gguf import GGMLQuantizationType as Type
from rtlm.host.compiler.layout import PURPOSES, layer_formats, memory_map, stored_format
from rtlm.host.errors import ModelError
from rtlm.hw.formats import BlockFormat
from small_models import ARRAYS, MIXED, params_of, small_model


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return small_model(tmp_path_factory.mktemp("m"), **MIXED)


@pytest.mark.parametrize("name", ARRAYS)
def test_regions_fill_memory_without_gap_or_overlap(model, name):
    params = params_of(name)
    memory = memory_map(params, model, instructions=30, context=50)
    end = 0
    for key, region in memory.regions.items():
        assert (region.name, region.start) == (key, end)
        assert region.words > 0 and region.purpose in PURPOSES
        assert memory.address(key) * params.beat_bytes == region.start * params.word_bytes
        end += region.words
    assert memory.words == end and memory.beats * params.beat_bytes == end * params.word_bytes
    assert {region.purpose for region in memory.regions.values()} == set(PURPOSES)


@pytest.mark.parametrize("name", ARRAYS)
def test_regions_are_as_long_as_what_they_hold(model, name):
    params = params_of(name)
    memory = memory_map(params, model, instructions=30, context=50)
    size = {key: region.words * params.word_bytes for key, region in memory.regions.items()}

    def tight(key, content):
        assert content <= size[key] < content + params.word_bytes, key

    tight("program", 30 * 32)
    tight("output_norm", 4 * model.dim)
    # Bytes of the GGUF file's own blocks, plus what the last scale word leaves empty.
    tight("layer1.wq", model.dim * model.dim * 20 // 32)
    tight("layer0.wv", 64 * model.dim * 34 // 32)
    row = -(-params.head_dim * params.context_limit // params.word_bytes)
    scales = -(-4 * params.context_limit // params.word_bytes)
    slots = [region for region in memory.regions.values() if region.purpose == "kv"]
    assert [slot.words for slot in slots] == [2 * 2 * (2 * row + scales)] * params.columns
    assert memory.regions["logits"].words == params.columns * -(-4 * model.vocab // params.word_bytes)


def test_floats_are_stored_as_q8_0(model):
    assert stored_format(model, "attn_output", 0) is BlockFormat.Q8_0
    assert layer_formats(model, 1)["gate"] is layer_formats(model, 1)["up"] is BlockFormat.Q8_0


def test_gate_and_up_must_agree(tmp_path):
    model = small_model(tmp_path, types={"blk.1.ffn_up.weight": Type.Q4_0})
    with pytest.raises(ModelError, match=r"layer 1 has ffn_gate in Q4_1 and ffn_up in Q4_0; .* must have one format"):
        memory_map(params_of("tiny"), model, instructions=30, context=50)


@pytest.mark.parametrize("columns", [1, 3])
def test_address_space_overflow_shows_the_sum(model, columns):
    params = params_of("three columns" if columns == 3 else "tiny")
    memory = memory_map(params, model, instructions=30, context=50)
    total = memory.words * params.word_bytes
    kv = sum(region.words for region in memory.regions.values() if region.purpose == "kv") * params.word_bytes
    bits = (total - 1).bit_length()
    memory_map(dataclasses.replace(params, address_bits=bits), model, instructions=30, context=50)
    with pytest.raises(ModelError) as caught:
        memory_map(dataclasses.replace(params, address_bits=bits - 1), model, instructions=30, context=50)
    assert str(caught.value) == (
        f"the memory image takes {total - kv} bytes and {columns} KV slots of 256 positions take {kv}, in all {total} "
        f"bytes, but in configuration tiny {bits - 1} address bits reach {1 << bits - 1}"
    )


def test_beat_addresses_overflow_before_the_ports_do(model):
    params = dataclasses.replace(params_of("tiny"), address_bits=64, context_limit=1 << 30)
    with pytest.raises(ModelError, match="32 bits count in beats of 32 bytes 137438953472"):
        memory_map(params, model, instructions=30, context=50)


@pytest.mark.parametrize(
    ("limit", "sentence"),
    [
        ({"dim": 96}, "dim is 128, but configuration tiny allows at most 96"),
        ({"hidden_dim": 160}, "hidden_dim is 192"),
        ({"heads": 2}, "number of query heads is 4"),
        ({"kv_heads": 1}, "number of KV heads is 2"),
        ({"group": 1}, "number of query heads for each KV head is 2"),
        ({"vocabulary": 300}, "vocabulary is 301, but configuration tiny allows at most 300"),
        ({"head_dim": 64}, "heads are 32 wide, but configuration tiny is for 64"),
        ({"context_limit": 32}, "context of 50 positions is not possible: configuration tiny allows 1 to 32"),
    ],
)
def test_models_that_are_too_large(model, limit, sentence):
    with pytest.raises(ModelError, match=sentence):
        memory_map(dataclasses.replace(params_of("tiny"), **limit), model, instructions=30, context=50)
