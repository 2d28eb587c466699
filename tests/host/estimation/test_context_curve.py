"""Estimated speed against context: the figures of an estimate, and the contexts."""

import pytest
from rtlm.gen.configuration.load import load_config
from rtlm.host.estimation.context_curve import context_curve, contexts
from rtlm.host.estimation.errors import stated_band
from rtlm.host.estimation.estimate import EstimateRequest, estimate
from rtlm.host.models.paper import open_model


def test_it_is_what_an_estimate_says_of_each_context():
    config, model = load_config("kv260", ["matmul.columns=2"]), open_model("smollm2-135m")
    curve = context_curve(config, model.shape, longest=100, batch=2)
    assert [*curve.tokens_per_s] == [1, 2, 4, 8, 16, 32, 64, 100]
    # An estimate's context is the positions before the token.
    found = estimate(EstimateRequest(config=config, model=model, context=99, batch=2, prompt=1))
    assert curve.tokens_per_s[100] == pytest.approx(found.performance.tokens_per_s, rel=2e-3)
    assert [*curve.tokens_per_s.values()] == sorted(curve.tokens_per_s.values(), reverse=True)
    assert curve.error["worst"] == stated_band().worst


@pytest.mark.parametrize(("longest", "expected"), [(1, [1]), (2, [1, 2]), (3, [1, 2, 3]), (8, [1, 2, 4, 8])])
def test_contexts_are_powers_of_two_and_the_longest(longest, expected):
    assert contexts(longest) == expected
