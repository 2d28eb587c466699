"""The generation loop: what is fed to which column, when logits are computed, and where text ends."""

import hashlib

import numpy as np
import pytest
from rtlm.host.errors import ModelError
from rtlm.host.runtime.generation import LogitDigest, generate
from rtlm.host.runtime.sampling import SamplingParams

from tests.host.runtime.toy_stepper import VOCABULARY, ToyStepper

GREEDY = SamplingParams()
SAMPLED = SamplingParams(temperature=0.9, seed=3)
PROMPT = [3, 1, 4, 1, 5, 9, 2]


class Recorder(ToyStepper):
    """Keeps the arguments of every step."""

    def __init__(self, columns=1, seed=0):
        super().__init__(columns, seed)
        self.calls = []

    def step(self, columns, *, want_logits, read_logits):
        self.calls.append(([c.token for c in columns], [c.position for c in columns], want_logits, read_logits))
        return super().step(columns, want_logits=want_logits, read_logits=read_logits)


def tokens_of(steps):
    return [token for step in steps for token in step.tokens]


def run(stepper, *, prompt=PROMPT, max_tokens=6, stop=(), sampling=GREEDY, **more):
    return list(generate(stepper, prompt, max_tokens=max_tokens, stop=frozenset(stop), sampling=sampling, **more))


@pytest.mark.parametrize("columns", [1, 2, 3, 7, 8])
def test_prompt_goes_in_in_chunks_and_only_the_last_has_logits(columns):
    stepper = Recorder(columns)
    steps = run(stepper)
    chunks = -(-len(PROMPT) // columns)
    fed = stepper.calls[:chunks]
    assert [len(tokens) for tokens, *_ in fed[:-1]] == [columns] * (chunks - 1)
    assert [token for tokens, *_ in fed for token in tokens] == PROMPT
    assert [at for _, positions, *_ in fed for at in positions] == list(range(len(PROMPT)))
    assert [want for *_, want, _ in fed] == [False] * (chunks - 1) + [True]
    assert [step.prefill for step in steps] == [True] * chunks + [False] * 5
    assert [len(step.tokens) for step in steps] == [0] * (chunks - 1) + [1] * 6
    # Then every token but the last is fed, alone.
    tokens = tokens_of(steps)
    assert [(fed, at) for fed, at, *_ in stepper.calls[chunks:]] == [([t], [7 + i]) for i, t in enumerate(tokens[:-1])]
    assert not any(read for *_, read in stepper.calls)


@pytest.mark.parametrize("sampling", [GREEDY, SAMPLED], ids=["greedy", "sampled"])
def test_text_does_not_depend_on_columns(sampling):
    texts = [tokens_of(run(Recorder(columns), sampling=sampling, max_tokens=20)) for columns in (1, 2, 5)]
    assert texts[0] == texts[1] == texts[2] and len(texts[0]) == 20


def test_inputs_attend_to_the_whole_sequence():
    for step in run(Recorder(3)):
        first = step.inputs[0].position
        assert {(c.history, c.local_first, c.slot) for c in step.inputs} == {(first, 0, 0)}
        assert [c.position for c in step.inputs] == list(range(first, first + len(step.inputs)))


def test_a_stop_token_is_yielded_and_ends_the_text():
    whole = tokens_of(run(Recorder(), max_tokens=30))
    for stop in set(whole):
        assert tokens_of(run(Recorder(), max_tokens=30, stop=[stop])) == whole[: whole.index(stop) + 1]
    stepper = Recorder()
    assert tokens_of(run(stepper, stop=[whole[0]])) == whole[:1]
    assert len(stepper.calls) == len(PROMPT)


@pytest.mark.parametrize("count", [1, 2, 17])
def test_as_many_tokens_as_wanted(count):
    stepper = Recorder()
    assert tokens_of(run(stepper, max_tokens=count)) == tokens_of(run(Recorder(), max_tokens=30))[:count]
    assert len(stepper.calls) == len(PROMPT) + count - 1


def test_no_tokens_means_no_logits():
    stepper = Recorder(2)
    assert tokens_of(run(stepper, max_tokens=0)) == []
    assert len(stepper.calls) == 4 and not any(want for *_, want, _ in stepper.calls)


def test_logits_are_read_where_they_are_needed_and_handed_on_in_order():
    for options, expected in (({}, False), ({"read_logits": True}, True), ({"sampling": SAMPLED}, True)):
        stepper, seen = Recorder(3), []
        steps = run(stepper, on_logits=seen.append, **options)
        assert [read for *_, want, read in stepper.calls if want] == [expected] * 6
        assert not any(read for *_, want, read in stepper.calls if not want)
        assert len(seen) == (6 if expected else 0)
        if options == {"read_logits": True}:
            assert [int(row.argmax()) for row in seen] == tokens_of(steps)


def test_sampled_text_follows_its_seed():
    def text(seed):
        return tokens_of(run(Recorder(), max_tokens=30, sampling=SamplingParams(temperature=5, seed=seed)))

    assert text(1) == text(1) != text(2)


@pytest.mark.parametrize(
    ("prompt", "count", "sentence"),
    [
        ([], 1, "the prompt must have at least one token, got none"),
        ([1] * 390, 11, "context of 400 positions, got 390 prompt tokens and 11 new ones"),
    ],
)
def test_what_cannot_be_generated_is_refused_before_the_first_step(prompt, count, sentence):
    stepper = Recorder()
    with pytest.raises(ModelError, match=sentence):
        run(stepper, prompt=prompt, max_tokens=count)
    assert not stepper.calls
    assert len(tokens_of(run(Recorder(4), prompt=[1] * 390, max_tokens=10))) == 10


def test_digest_is_of_all_logits_in_order():
    rows = np.random.default_rng(0).standard_normal((3, VOCABULARY), np.float32)
    digest = LogitDigest()
    assert digest.hex is None
    for row in rows:
        digest.add(row)
    assert digest.hex == hashlib.sha256(rows.astype("<f4").tobytes()).hexdigest() and digest.count == 3
