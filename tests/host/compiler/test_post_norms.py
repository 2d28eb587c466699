"""Norms of what layers add, and GELU: which configuration has them, what lies in memory, and the order of a layer."""

import numpy as np
import pytest
from rtlm.host.compiler.image import build_image
from rtlm.host.compiler.program import compile_model
from rtlm.host.errors import ModelError
from rtlm.host.models.model import POST_NORMS
from rtlm.hw.control.isa import Opcode, f32_bits
from rtlm.hw.control.legality import broken_rules
from rtlm.hw.unit_params import unit_params
from rtlm.hw.vector.epilogue import Epilogue

from tests.host.small_models import params_of

CONTEXT = 20
KEYS = ("vector.head_norms", "vector.post_norms", "vector.gelu")
OVERRIDES = [*(f"{key}=true" for key in KEYS), "attention.context_limit=64"]
METADATA = {"attention.sliding_window": 64}
"""A window beyond the context, which needs no gates."""
ORDER = (
    Epilogue.ROPE_Q,
    Epilogue.ROPE_K,
    Epilogue.VALUE,
    Epilogue.LOAD_NORM,
    Epilogue.QUANTISE,
    Epilogue.POST_NORM,
    Epilogue.LOAD_NORM,
    Epilogue.ADD,
    Epilogue.SWIGLU,
    Epilogue.LOAD_NORM,
)
"""Of a layer, up to the last matrix of the feed-forward network."""


@pytest.fixture
def model(small_model):
    return small_model(architecture="gemma3", metadata=METADATA)


def compiled(model, overrides):
    params = params_of("tiny", *overrides)
    return params, *compile_model(params, model, context=CONTEXT)


@pytest.mark.parametrize("key", KEYS)
def test_a_configuration_without_one_is_told_so(model, key):
    others = [override for override in OVERRIDES if not override.startswith(key)]
    with pytest.raises(ModelError, match=f"which configuration tiny does only with {key} = true"):
        compiled(model, others)


def test_an_output_is_normalised_before_it_is_added(model):
    _, memory, program = compiled(model, OVERRIDES)
    names = {memory.address(name): name for name in memory.regions}
    start = next(n for n, i in enumerate(program) if i.epilogue is Epilogue.ROPE_Q)
    layer = program[start : start + len(ORDER)]
    assert tuple(i.epilogue for i in layer) == ORDER
    loads = [names[i.address] for i in layer if i.opcode is Opcode.LOAD]
    assert loads == ["layer0.post_attention_norm", "layer0.ffn_norm", "layer0.post_ffw_norm"]
    assert all(i.gelu == (i.epilogue is Epilogue.SWIGLU) for i in program)
    sums = [i for i in program if i.epilogue in (Epilogue.POST_NORM, Epilogue.ADD)]
    assert len(sums) == 4 * model.layers
    assert {(i.imm0, i.imm1) for i in sums} == {(f32_bits(1 / model.dim), f32_bits(1e-5))}
    assert not any(i.epilogue is Epilogue.RESIDUAL and i.opcode is not Opcode.END for i in program)


@pytest.mark.parametrize("name", POST_NORMS)
def test_its_weights_lie_in_memory(model, name):
    params, memory, program = compiled(model, OVERRIDES)
    region = memory.regions[f"layer1.{name}"]
    stored = build_image(params, model, memory, program)[region.start :][: region.words].view("<f4").reshape(-1)
    np.testing.assert_array_equal(stored[: model.dim], model.file.tensors[f"blk.1.{name}.weight"].data.view("<f4"))


def test_they_are_legal_only_where_there_are_gates(model):
    params, _, program = compiled(model, OVERRIDES)
    limits = unit_params(params).sequencer.limits
    without = unit_params(params_of("tiny", "vector.head_norms=true")).sequencer.limits
    assert not any(broken_rules(instruction, limits) for instruction in program)
    broken = {instruction.epilogue for instruction in program if broken_rules(instruction, without)}
    assert broken == {Epilogue.POST_NORM, Epilogue.ADD}
