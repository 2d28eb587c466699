"""Biases and norms of heads: which configuration has them, what lies in memory, and which instructions take it."""

import numpy as np
import pytest
from rtlm.host.compiler.image import build_image
from rtlm.host.compiler.program import compile_model
from rtlm.host.errors import ModelError
from rtlm.hw.control.isa import f32_bits
from rtlm.hw.control.legality import broken_rules
from rtlm.hw.unit_params import unit_params
from rtlm.hw.vector.epilogue import Epilogue

from tests.host.small_models import params_of

CONTEXT = 20
NEEDS = {"qwen2": "vector.biases", "qwen3": "vector.head_norms"}
HEADS = (Epilogue.ROPE_Q, Epilogue.ROPE_K, Epilogue.VALUE)


def compiled(model, *overrides):
    params = params_of("tiny", *overrides)
    memory, program = compile_model(params, model, context=CONTEXT)
    return params, memory, program


def neighbours(head):
    """The order in which the gates have a head whose halves turn together."""
    return head.reshape(2, -1).T.reshape(-1)


@pytest.mark.parametrize("architecture", NEEDS)
def test_a_configuration_without_them_is_told_what_is_missing(small_model, architecture):
    with pytest.raises(ModelError, match=f"which configuration tiny does only with {NEEDS[architecture]} = true"):
        compiled(small_model(architecture=architecture))


def test_biases_lie_behind_each_other_and_are_found_by_their_heads(small_model):
    model = small_model(architecture="qwen2")
    params, memory, program = compiled(model, "vector.biases=true")
    fields = [(i.epilogue, i.biases, i.imm0, i.head_norms) for i in program if i.epilogue in HEADS]
    assert fields == model.layers * [(HEADS[0], 1, 0, 0), (HEADS[1], 1, 4, 0), (HEADS[2], 1, 6, 0)]
    region = memory.regions["layer1.biases"]
    stored = build_image(params, model, memory, program)[region.start :][: region.words].view("<f4").reshape(-1, 32)
    q, k, v = (model.file.tensors[f"blk.1.attn_{name}.bias"].data.view("<f4").reshape(-1, 32) for name in "qkv")
    turned = [neighbours(head) for head in (*q, *k)]
    np.testing.assert_array_equal(stored[:8], [*turned, *v])


def test_norms_of_query_and_key_lie_behind_each_other(small_model):
    model = small_model(architecture="qwen3")
    params, memory, program = compiled(model, "vector.head_norms=true")
    fields = [(i.head_norms, i.imm1, i.biases) for i in program if i.epilogue in HEADS]
    assert fields == model.layers * [(1, f32_bits(1e-5), 0), (1, f32_bits(1e-5), 0), (0, 0, 0)]
    region = memory.regions["layer1.head_norms"]
    stored = build_image(params, model, memory, program)[region.start :][: region.words].view("<f4").reshape(-1, 32)
    norms = (model.file.tensors[f"blk.1.attn_{name}_norm.weight"].data.view("<f4") for name in "qk")
    np.testing.assert_array_equal(stored, [neighbours(norm) for norm in norms])


@pytest.mark.parametrize("architecture", NEEDS)
def test_loads_are_legal_only_where_there_is_a_table(small_model, architecture):
    params, _, program = compiled(small_model(architecture=architecture), f"{NEEDS[architecture]}=true")
    limits, without = (unit_params(each).sequencer.limits for each in (params, params_of("tiny")))
    assert not any(broken_rules(instruction, limits) for instruction in program)
    broken = {instruction.epilogue for instruction in program if broken_rules(instruction, without)}
    assert broken == {Epilogue.LOAD_BIAS if architecture == "qwen2" else Epilogue.LOAD_HEAD_NORM}
