"""Drafts from the text so far, and generation that verifies them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rtlm.host.runtime.generation import LogitDigest, generate
from rtlm.host.runtime.sampling import SamplingParams
from rtlm.host.runtime.speculation import NgramDraft

from tests.host.runtime.toy_stepper import VOCABULARY, ToyStepper


def run(columns, seed, prompt, *, draft, sampling, count=40, stop=frozenset()):
    stepper, digest = ToyStepper(columns, seed), LogitDigest()
    steps = list(
        generate(
            stepper,
            prompt,
            max_tokens=count,
            stop=stop,
            sampling=sampling,
            read_logits=True,
            on_logits=digest.add,
            draft=NgramDraft() if draft else None,
        )
    )
    return [token for step in steps for token in step.tokens], digest.hex, steps


@given(
    columns=st.integers(1, 8),
    seed=st.integers(0, 1000),
    prompt=st.lists(st.integers(0, VOCABULARY - 1), min_size=1, max_size=30),
    temperature=st.sampled_from([0.0, 0.8]),
    stop=st.sets(st.integers(0, VOCABULARY - 1), max_size=2),
)
def test_drafts_change_neither_text_nor_logits(columns, seed, prompt, temperature, stop):
    sampling = SamplingParams(temperature=temperature, seed=seed)
    plain = run(1, seed, prompt, draft=False, sampling=sampling, stop=frozenset(stop))
    drafted = run(columns, seed, prompt, draft=True, sampling=sampling, stop=frozenset(stop))
    assert drafted[:2] == plain[:2]
    assert len(drafted[0]) <= 40


def test_drafts_save_steps_where_text_repeats():
    # A greedy toy model with two tokens of memory soon runs in a circle.
    tokens, _, steps = run(8, 3, [1, 2, 3], draft=True, sampling=SamplingParams(), count=200)
    decoding = [step for step in steps if not step.prefill]
    assert len(tokens) == 200
    assert len(decoding) < 60
    assert sum(step.drafted for step in decoding) >= 200 - 1 - len(decoding)


def test_the_longest_pattern_and_its_latest_occurrence_win():
    draft = NgramDraft(longest=3, shortest=1)
    draft.extend([1, 2, 3, 9, 2, 3, 8, 7, 3, 6, 1, 2, 3])
    assert draft.propose(2) == [9, 2]
    draft = NgramDraft(longest=2, shortest=1)
    draft.extend([1, 2, 3, 9, 2, 3, 8, 7, 3, 6, 1, 2, 3])
    assert draft.propose(3) == [8, 7, 3]


def test_a_short_circle_fills_all_columns():
    draft = NgramDraft(longest=2, shortest=2)
    draft.extend([5, 1, 2, 1, 2])
    assert draft.propose(5) == [1, 2, 1, 2, 1]


def test_nothing_is_guessed_of_new_text():
    draft = NgramDraft()
    assert draft.propose(4) == []
    draft.extend([1, 2, 3, 4, 5])
    assert draft.propose(4) == []


def test_impossible_lengths():
    with pytest.raises(ValueError, match="patterns must be 1 token or longer, the shortest first, got 4 to 3"):
        NgramDraft(longest=3, shortest=4)
