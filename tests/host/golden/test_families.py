"""Families: the float32 evaluation against llama.cpp, and the golden model against that."""

import json

import numpy as np
import pytest
from rtlm.host.families import BY_ARCHITECTURE
from rtlm.host.golden.model import GoldenModel
from rtlm.host.golden.reference import ReferenceModel
from rtlm.host.models.model import LlamaModel

from tests.documents import DATA
from tests.host.families import FLOATS, VARIANTS

LLAMA_CPP = json.loads((DATA / "llamacpp_families.json").read_text(encoding="utf-8"))
TOKENS = LLAMA_CPP["tokens"]
OWN = {"qwen2": ("attn_q.bias", "attn_k.bias", "attn_v.bias"), "qwen3": ("attn_q_norm", "attn_k_norm")}
"""Vectors that a variant has beyond exaone, whose rotation it shares."""


class TableGelu(ReferenceModel):
    """The reference with the GELU of ggml: a table of its values by the fp16 of the argument, in fp16."""

    def _activate(self, x):
        if not self.model.gelu:
            return super()._activate(x)
        return super()._activate(x.astype(np.float16).astype(np.float32)).astype(np.float16).astype(np.float32)


def test_each_family_that_runs_has_a_variant():
    covered = {variant.get("architecture", "llama") for variant in VARIANTS.values()}
    assert covered == {name for name, family in BY_ARCHITECTURE.items() if not family.missing}


@pytest.mark.parametrize("name", VARIANTS)
def test_reference_gives_the_logits_of_llama_cpp(random_model, name):
    reference = TableGelu(LlamaModel.open(random_model(seed=3, **FLOATS, **VARIANTS[name])))
    # A value beside a step of the table may come from the next one; which ones are is the processor's BLAS's affair.
    atol = 1e-3 if reference.model.gelu else 3e-5
    np.testing.assert_allclose(reference.logits(TOKENS)[-1], LLAMA_CPP["logits"][name], atol=atol)


@pytest.mark.parametrize("name", VARIANTS)
def test_golden_is_close_to_the_reference(random_model, name):
    model = LlamaModel.open(random_model(seed=3, **VARIANTS[name]))
    golden, expected = GoldenModel(model), ReferenceModel(model).logits(TOKENS)
    difference = golden.evaluate(TOKENS, golden.cache(len(TOKENS))) - expected
    assert np.sqrt((difference**2).mean()) < 0.045 * expected.std()


def test_variants_differ():
    """What a family adds is seen in the logits: none would pass for a plain llama."""
    plain = np.array(LLAMA_CPP["logits"]["llama"])
    for name in LLAMA_CPP["logits"].keys() - {"llama", "ernie4_5"}:  # ERNIE 4.5 is a plain llama
        assert np.abs(np.array(LLAMA_CPP["logits"][name]) - plain).max() > 0.05, name


@pytest.mark.parametrize("name", OWN)
def test_each_vector_of_heads_is_seen_in_the_logits(random_model, name):
    """Neither the biases nor the weights of the norms are left out, of any of query, key and value."""
    model = LlamaModel.open(random_model(seed=3, **FLOATS, **VARIANTS[name]))
    expected = ReferenceModel(model).logits(TOKENS)
    for vector in OWN[name]:
        changed = ReferenceModel(model)
        for layer in changed._layers:
            layer[vector] = layer[vector][::-1]
        # A constant added to all keys would change nothing, but RoPE turns it with the position.
        assert np.abs(changed.logits(TOKENS) - expected).max() > 0.01, vector


def test_the_norm_of_heads_is_that_of_the_residual_stream(random_model):
    """By hand for one head: its root mean square is 1 before the weights."""
    reference = ReferenceModel(LlamaModel.open(random_model(seed=3, **FLOATS, **VARIANTS["qwen3"])))
    head = np.random.default_rng(0).normal(size=32).astype(np.float32)
    got = reference._normalise(head, np.ones(32, np.float32))
    np.testing.assert_allclose(got, head / np.sqrt(np.mean(head.astype(float) ** 2) + 1e-5), rtol=1e-6)
