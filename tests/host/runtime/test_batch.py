"""Sequences decoded together are those decoded alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rtlm.host.errors import ModelError
from rtlm.host.runtime.batch import generate_batch
from rtlm.host.runtime.generation import generate
from rtlm.host.runtime.sampling import SamplingParams

from tests.host.runtime.toy_stepper import VOCABULARY, ToyStepper

TOKENS = st.integers(0, VOCABULARY - 1)


@pytest.mark.slow
@given(
    prompts=st.lists(st.lists(TOKENS, min_size=1, max_size=20), min_size=1, max_size=6),
    spare=st.integers(0, 2),
    seed=st.integers(0, 1000),
    count=st.integers(1, 20),
    temperature=st.sampled_from([0.0, 0.8]),
    stop=st.sets(TOKENS, max_size=2),
)
def test_together_as_alone(prompts, spare, seed, count, temperature, stop):
    how = {
        "max_tokens": count,
        "stop": frozenset(stop),
        "sampling": SamplingParams(temperature=temperature, seed=seed),
    }
    together = [[] for _ in prompts]
    decoding = 0
    for step in generate_batch(ToyStepper(len(prompts) + spare, seed), prompts, **how):
        decoding += not step.prefill
        for column, token in zip(step.inputs if not step.prefill else step.inputs[-1:], step.tokens, strict=False):
            together[column.slot].append(token)
    alone = [
        [token for step in generate(ToyStepper(1, seed), prompt, **how) for token in step.tokens] for prompt in prompts
    ]
    assert together == alone
    assert decoding == max(len(text) for text in alone) - 1


@pytest.mark.parametrize(
    ("prompts", "sentence"),
    [
        ([[1]] * 3, "the prompts must be 1 to 2, as matmul.columns = 2 decode together, got 3"),
        ([], "got 0"),
        ([[1], []], "prompt 2 must have at least one token, got none"),
        ([[1] * 399], "context of 400 positions, got 399 tokens of prompt 1 and 4 new ones"),
    ],
)
def test_refusals(prompts, sentence):
    with pytest.raises(ModelError, match=sentence):
        list(
            generate_batch(
                ToyStepper(2, 0), prompts, max_tokens=4, stop=frozenset(), sampling=SamplingParams(temperature=0)
            )
        )
