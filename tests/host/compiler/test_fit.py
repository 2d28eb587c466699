"""What a configuration needs for a model, against what the families say and the plan checks."""

import dataclasses

import pytest
from gguf import GGMLQuantizationType as Type
from rtlm.gen.configuration.load import load_config
from rtlm.host.compiler.fit import TWICE_INTERVAL, fit_config, needed_values
from rtlm.host.compiler.plan import make_plan, needed_switches
from rtlm.host.families import BY_ARCHITECTURE, SWITCHES
from rtlm.host.models.model import LlamaModel
from rtlm.host.models.stored import ModelShape

from tests.host.families import VARIANTS

POSITIONS = 1024
"""More than any window here."""


@pytest.mark.parametrize("name", VARIANTS)
def test_a_model_needs_what_its_family_says(random_model, name):
    model = LlamaModel.open(random_model(**VARIANTS[name]))
    needed = needed_switches(model, POSITIONS)
    assert (
        needed
        == BY_ARCHITECTURE[model.family.architecture].switches
        == needed_switches(ModelShape.of(model), POSITIONS)
    )
    lacks = needed_values(load_config("tiny"), ModelShape.of(model), context=POSITIONS)
    assert {key: value for key, value in lacks.items() if key in SWITCHES} == dict.fromkeys(needed, True)


def test_a_window_beyond_the_context_needs_no_gates(random_model):
    model = LlamaModel.open(random_model(**VARIANTS["gemma3"]))
    assert "attention.windows" in needed_switches(model, model.window + 1)
    assert "attention.windows" not in needed_switches(model, model.window)


def test_formats_are_those_of_configuration_and_file(small_model):
    shape = ModelShape.of(small_model(dim=256, hidden_dim=256, matrix_type=Type.Q4_K, embedding_type=Type.Q6_K))
    config = load_config("tiny", ["matmul.formats=[q4_0,q5_0]"])
    fitted, changes = fit_config(config, shape, context=1)
    assert changes[-1] == "matmul.formats=[q4_0,q5_0,q4_k,q6_k]"
    assert fitted == load_config("tiny", changes)
    make_plan(fitted.to_params(), shape, context=1)


def test_a_larger_group_of_query_heads_is_one_too(small_model):
    shape = dataclasses.replace(ModelShape.of(small_model()), kv_heads=1)
    fitted, changes = fit_config(load_config("tiny"), shape, context=17)
    assert changes == ("attention.group=4",)
    assert fit_config(fitted, shape, context=17) == (fitted, ())


def test_outputs_that_pass_twice_make_the_vector_engine_faster(random_model):
    model = LlamaModel.open(random_model(**VARIANTS["gemma3"]))
    for preset, interval in (("kv260", TWICE_INTERVAL), ("tiny", None)):
        needed = needed_values(load_config(preset), ModelShape.of(model), context=16)
        assert needed.get("vector.interval") == interval, preset
