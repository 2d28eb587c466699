"""Sampling against a naive implementation, one token at a time with Python numbers."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rtlm.host.errors import ModelError
from rtlm.host.runtime.sampling import Sampler, SamplingParams

LOGITS = st.lists(st.floats(-20, 20, width=32), min_size=1, max_size=30)


def naive(logits: list[float], params: SamplingParams) -> dict[int, float]:
    """Probabilities of the tokens that may be drawn, most probable first."""
    ranked = sorted(range(len(logits)), key=lambda token: (-logits[token], token))
    ranked = ranked[: params.top_k or None]
    weights = [math.exp((logits[token] - logits[ranked[0]]) / params.temperature) for token in ranked]
    probabilities = [weight / sum(weights) for weight in weights]
    nucleus, total = [], 0.0
    for probability in probabilities:
        nucleus.append(probability)
        total += probability
        if total >= params.top_p:
            break
    return {token: p / sum(nucleus) for token, p in zip(ranked, nucleus, strict=False)}


class Drawn:
    """Stands for the random numbers and keeps what it was asked to draw from."""

    def choice(self, tokens, p):
        self.distribution = dict(zip(tokens.tolist(), p.tolist(), strict=True))
        return tokens[-1]


@settings(max_examples=300, deadline=None)
@given(LOGITS, st.floats(0.05, 10), st.integers(0, 12), st.floats(0.01, 1))
def test_distribution_is_the_naive_one(logits, temperature, top_k, top_p):
    params = SamplingParams(temperature=temperature, top_k=top_k, top_p=top_p)
    expected = naive(logits, params)
    sampler = Sampler(params)
    sampler._random = drawn = Drawn()
    chosen = sampler.choose(np.array(logits, np.float32))
    got = drawn.distribution
    # Where sums reach top-p to the last bit, either side may count one token more.
    mass = np.cumsum(list(naive(logits, SamplingParams(temperature=temperature, top_k=top_k)).values()))
    if np.abs(mass - top_p).min() > 1e-9:
        assert list(got) == list(expected) and chosen == list(expected)[-1]
        np.testing.assert_allclose(list(got.values()), list(expected.values()), rtol=1e-9)
    assert sum(got.values()) == pytest.approx(1)


def test_draws_follow_the_distribution():
    logits = np.log(np.array([0.5, 0.3, 0.15, 0.05], np.float32))
    sampler = Sampler(SamplingParams(temperature=1, top_k=3, seed=4))
    counts = np.bincount([sampler.choose(logits) for _ in range(4000)], minlength=4)
    assert counts[3] == 0
    # Four standard deviations of a binomial with 4000 draws are at most 127.
    np.testing.assert_allclose(counts[:3], 4000 * np.array([0.5, 0.3, 0.15]) / 0.95, atol=127)


def test_seed_decides_the_tokens():
    logits = np.zeros(1000, np.float32)

    def draw(seed):
        sampler = Sampler(SamplingParams(temperature=1, seed=seed))
        return [sampler.choose(logits) for _ in range(20)]

    assert draw(1) == draw(1) != draw(2)
    assert len(set(draw(1))) > 10


def test_greedy_takes_the_first_of_the_largest():
    assert SamplingParams().greedy and not SamplingParams(temperature=0.1).greedy
    assert Sampler(SamplingParams()).choose(np.array([1, 3, -np.inf, 3], np.float32)) == 1


@pytest.mark.parametrize("temperature", [5e-324, 1e-300, 1e-6])
def test_small_temperatures_become_greedy(temperature):
    sampler = Sampler(SamplingParams(temperature=temperature))
    assert {sampler.choose(np.array([1, 2.5, 2, -np.inf], np.float32)) for _ in range(20)} == {1}


@pytest.mark.parametrize("bad", [[np.nan, 1], [np.inf, 1], [-np.inf, -np.inf], [np.nan, np.nan]])
def test_logits_without_a_distribution_are_refused(bad):
    with pytest.raises(ModelError, match="the largest logit must be finite for sampling, got logits from"):
        Sampler(SamplingParams(temperature=1)).choose(np.array(bad, np.float32))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"temperature": -1}, "temperature must be between 0 and 100, got -1"),
        ({"temperature": float("nan")}, "temperature must be between 0 and 100, got nan"),
        ({"top_k": -2}, "top_k must be .*, got -2"),
        ({"top_p": 0}, "top_p must be above 0 and at most 1, got 0"),
        ({"top_p": 1.5}, "top_p must be above 0 and at most 1, got 1.5"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
    ],
)
def test_impossible_parameters(values, message):
    with pytest.raises(ValueError, match=message):
        SamplingParams(**values)
