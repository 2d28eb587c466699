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


def test_each_family_that_runs_has_a_variant():
    covered = {variant.get("architecture", "llama") for variant in VARIANTS.values()}
    assert covered == {name for name, family in BY_ARCHITECTURE.items() if not family.missing}


@pytest.mark.parametrize("name", VARIANTS)
def test_reference_gives_the_logits_of_llama_cpp(random_model, name):
    reference = ReferenceModel(LlamaModel.open(random_model(seed=3, **FLOATS, **VARIANTS[name])))
    np.testing.assert_allclose(reference.logits(TOKENS)[-1], LLAMA_CPP["logits"][name], atol=3e-5)


@pytest.mark.parametrize("name", VARIANTS)
def test_golden_is_close_to_the_reference(random_model, name):
    model = LlamaModel.open(random_model(seed=3, **VARIANTS[name]))
    golden, expected = GoldenModel(model), ReferenceModel(model).logits(TOKENS)
    difference = golden.evaluate(TOKENS, golden.cache(len(TOKENS))) - expected
    assert np.sqrt((difference**2).mean()) < 0.045 * expected.std()


def test_variants_differ():
    """What a family adds is seen in the logits: none would pass for a plain llama."""
    plain = np.array(LLAMA_CPP["logits"]["llama"])
    for name in VARIANTS.keys() - {"llama", "ernie4_5"}:  # ERNIE 4.5 is a plain llama
        assert np.abs(np.array(LLAMA_CPP["logits"][name]) - plain).max() > 0.05, name
