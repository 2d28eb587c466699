"""Where things lie in memory, and what the address space does not hold."""

import dataclasses

import pytest
from rtlm.host.compiler.layout import memory_map
from rtlm.host.compiler.plan import PURPOSES, make_plan
from rtlm.host.errors import ModelError
from rtlm.host.models.stored import ModelShape

from tests.host.small_models import ARRAYS, MIXED, params_of


@pytest.fixture(scope="module")
def model(small_model):
    return small_model(**MIXED)


def lay_out(params, model):
    return memory_map(make_plan(params, ModelShape.of(model), context=50))


@pytest.mark.parametrize("name", ARRAYS)
def test_regions_fill_memory_without_gap_or_overlap(model, name):
    params = params_of(name)
    memory = lay_out(params, model)
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
    memory = lay_out(params, model)
    size = {key: region.words * params.word_bytes for key, region in memory.regions.items()}

    def tight(key, content):
        assert content <= size[key] < content + params.word_bytes, key

    tight("program", len(memory.plan.instructions) * 32)
    tight("output_norm", 4 * model.dim)
    # Bytes of the GGUF file's own blocks, plus what the last scale word leaves empty.
    tight("layer1.wq", model.dim * model.dim * 20 // 32)
    tight("layer0.wv", 64 * model.dim * 34 // 32)
    row = -(-params.head_dim * params.context_limit // params.word_bytes)
    scales = -(-4 * params.context_limit // params.word_bytes)
    slots = [region for region in memory.regions.values() if region.purpose == "kv"]
    assert [slot.words for slot in slots] == [2 * 2 * (2 * row + scales)] * params.columns
    assert memory.regions["logits"].words == params.columns * -(-4 * model.vocab // params.word_bytes)


@pytest.mark.parametrize("columns", [1, 3])
def test_address_space_overflow_shows_the_sum(model, columns):
    params = params_of("three columns" if columns == 3 else "tiny")
    memory = lay_out(params, model)
    total = memory.words * params.word_bytes
    kv = sum(region.words for region in memory.regions.values() if region.purpose == "kv") * params.word_bytes
    bits = (total - 1).bit_length()
    lay_out(dataclasses.replace(params, address_bits=bits), model)
    with pytest.raises(ModelError) as caught:
        lay_out(dataclasses.replace(params, address_bits=bits - 1), model)
    assert str(caught.value) == (
        f"the memory image takes {total - kv} bytes and {columns} KV slots of 256 positions take {kv}, in all {total} "
        f"bytes, but in configuration tiny {bits - 1} address bits reach {1 << bits - 1}"
    )


def test_beat_addresses_overflow_before_the_ports_do(model):
    params = dataclasses.replace(params_of("tiny"), address_bits=64, context_limit=1 << 30)
    with pytest.raises(ModelError, match="32 bits count in beats of 32 bytes 137438953472"):
        lay_out(params, model)
