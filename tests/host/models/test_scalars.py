"""Factors that the host folds away."""

import math
from dataclasses import replace

import numpy as np
import pytest
from gguf import GGMLQuantizationType as Type
from rtlm.host.errors import ModelError
from rtlm.host.families import BY_ARCHITECTURE
from rtlm.host.models.gguf_file import GGUFFile
from rtlm.host.models.model import LlamaModel
from rtlm.host.models.scalars import NO_SCALARS, Scalars
from rtlm.host.models.stored import embedding_blocks

from tests.host.families import GRANITE


def granite(random_model, **arguments) -> LlamaModel:
    return LlamaModel.open(random_model(architecture="granite", metadata=GRANITE, **arguments))


@pytest.mark.parametrize("kind", [Type.Q8_0, Type.Q4_0, Type.Q4_1, Type.F16])
def test_embedding_carries_its_factor_and_the_unit_of_the_stream(random_model, kind):
    plain = embedding_blocks(LlamaModel.open(random_model(embedding_type=kind))).dequantise()
    scaled = embedding_blocks(granite(random_model, embedding_type=kind)).dequantise()
    step = np.abs(plain).max() / 127 if kind in (Type.Q4_1, Type.F16) else 0
    np.testing.assert_allclose(scaled, plain * (12 / 0.22), rtol=2.0**-11, atol=step * 12 / 0.22)


def test_rows_of_the_embedding_are_those_of_the_whole(random_model):
    model = granite(random_model)
    whole, rows = embedding_blocks(model), embedding_blocks(model, slice(7, 11))
    np.testing.assert_array_equal(whole.d[7:11], rows.d)


def test_output_keeps_the_embedding_of_the_file(random_model):
    model, plain = granite(random_model), LlamaModel.open(random_model())
    np.testing.assert_array_equal(model.blocks("output").d, plain.blocks("output").d)


def test_logits_are_divided_by_the_last_norm(random_model):
    model = granite(random_model)
    np.testing.assert_array_equal(model.norm("output_norm") * 8, model.vector("output_norm"))
    np.testing.assert_array_equal(model.norm("attn_norm", 0), model.vector("attn_norm", 0))


def test_constants(random_model):
    model = granite(random_model)
    assert model.stream_eps == pytest.approx(1e-5 / 0.22**2)
    assert model.scalars.score_factor(16) == pytest.approx(0.0625 * math.log2(math.e))
    assert NO_SCALARS.score_factor(16) == math.log2(math.e) / 4


def test_root_of_the_width(random_model):
    family = replace(BY_ARCHITECTURE["llama"], root_scaled_embedding=True)
    assert Scalars.read(GGUFFile.open(random_model()), family, 64) == replace(NO_SCALARS, embedding=8.0)


@pytest.mark.parametrize("key", GRANITE)
@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf"), 1e-30])
def test_impossible_factors_are_refused(random_model, key, value):
    path = random_model(architecture="granite", metadata=GRANITE | {key: value})
    with pytest.raises(ModelError, match=f"granite.{key} must be above 2.-40 and below 2.40, got "):
        LlamaModel.open(path)


def test_scales_that_fp16_cannot_hold_are_refused(random_model):
    path = random_model(architecture="granite", metadata=GRANITE | {"embedding_scale": 1e9})
    with pytest.raises(ModelError, match=r"token_embd.weight, multiplied by 4.54545e.09, must be at most 65504, got "):
        embedding_blocks(LlamaModel.open(path))
