"""The golden model with columns: prompts in columns, batches and verification give the bits of one token at a time."""

import numpy as np
import pytest
from rtlm.host.errors import AcceleratorError
from rtlm.host.golden.engine import GoldenEngine
from rtlm.host.golden.model import GoldenModel
from rtlm.host.runtime.batch import generate_batch
from rtlm.host.runtime.device import ColumnInput
from rtlm.host.runtime.generation import generate
from rtlm.host.runtime.sampling import SamplingParams
from rtlm.hw.common.kv_codes import KV_BITS

CONTEXT = 40
IDS = [5, 300, 17, 17, 0, 44, 123, 9, 250, 81, 81]


@pytest.fixture(scope="module", params=KV_BITS)
def golden(request, small_model):
    return GoldenModel(small_model(seed=3, context=CONTEXT), kv_bits=request.param)


@pytest.fixture(scope="module")
def alone(golden):
    """Logits after each token of `IDS`, fed one at a time."""
    cache = golden.cache(CONTEXT)
    return np.concatenate([golden.evaluate([token], cache) for token in IDS])


def column(token, position, history, local_first, slot=0):
    return ColumnInput(token=token, position=position, history=history, local_first=local_first, slot=slot)


def chunk(ids, start, count, *, slot=0, first=0):
    return [column(ids[start + i], start + i, start, first, slot) for i in range(count)]


def bits(logits):
    return np.asarray(logits).view(np.uint32)


@pytest.mark.parametrize("columns", [1, 2, 3, 5, 8])
def test_prompt_in_columns_equals_token_by_token(golden, alone, columns):
    engine = GoldenEngine(golden, context=CONTEXT, columns=columns)
    got = []
    for start in range(0, len(IDS), columns):
        step = chunk(IDS, start, min(columns, len(IDS) - start))
        result = engine.step(step, read_logits=True)
        got.append(result.logits)
        assert result.best == [int(token) for token in result.logits.argmax(axis=1)]
    np.testing.assert_array_equal(bits(np.concatenate(got)), bits(alone))


def test_batch_equals_alone(golden):
    """Three sequences at different positions in the columns of a step."""
    texts = [IDS, IDS[::-1], [7] * len(IDS)]
    starts = [0, 4, 6]
    engine = GoldenEngine(golden, context=CONTEXT, columns=3)
    for slot, (text, start) in enumerate(zip(texts, starts, strict=True)):
        for position in range(start):
            engine.step([column(text[position], position, position, 0, slot)], want_logits=False)
    for offset in range(4):
        step = [
            column(text[start + offset], start + offset, start + offset, slot, slot)
            for slot, (text, start) in enumerate(zip(texts, starts, strict=True))
        ]
        logits = engine.step(step, read_logits=True).logits
        for row, text, start in zip(logits, texts, starts, strict=True):
            expected = golden.evaluate(text[: start + offset + 1], golden.cache(CONTEXT), last_only=True)[0]
            np.testing.assert_array_equal(bits(row), bits(expected))


def test_columns_may_mix_a_prompt_and_other_sequences(golden, alone):
    engine = GoldenEngine(golden, context=CONTEXT, columns=4)
    engine.step(chunk(IDS, 0, 3), want_logits=False)
    step = [column(99, 0, 0, 0, 1), *chunk(IDS, 3, 3, first=1)]
    logits = engine.step(step, read_logits=True).logits
    np.testing.assert_array_equal(bits(logits[1:]), bits(alone[3:6]))
    np.testing.assert_array_equal(bits(logits[:1]), bits(golden.evaluate([99], golden.cache(1))))


def test_refused_drafts_leave_nothing_behind(golden, alone):
    """Verification: wrong tokens in columns, then the right ones from the first wrong position on."""
    engine = GoldenEngine(golden, context=CONTEXT, columns=3)
    engine.step(chunk(IDS, 0, 3), want_logits=False)
    wrong = [*IDS[:4], 222, 223]
    logits = engine.step(chunk(wrong, 3, 3), read_logits=True).logits
    np.testing.assert_array_equal(bits(logits[0]), bits(alone[3]))
    assert (bits(logits[1]) != bits(alone[4])).any()
    logits = engine.step(chunk(IDS, 4, 3), read_logits=True).logits
    np.testing.assert_array_equal(bits(logits), bits(alone[4:7]))


def test_what_a_column_sees_decides_its_bits(golden, alone):
    """Neither history nor the other columns may be ignored, nor columns that it must not see."""
    engine = GoldenEngine(golden, context=CONTEXT, columns=2)
    engine.step(chunk(IDS, 0, 2), want_logits=False)
    for history, local_first in ((1, 0), (2, 1)):
        step = [column(IDS[2], 2, 2, 0), column(IDS[3], 3, history, local_first)]
        assert (bits(engine.step(step, read_logits=True).logits[1]) != bits(alone[3])).any()
    np.testing.assert_array_equal(bits(engine.step(chunk(IDS, 2, 2), read_logits=True).logits), bits(alone[2:4]))


@pytest.mark.parametrize("columns", [2, 4])
def test_generation_does_not_depend_on_columns(golden, columns):
    def text(engine):
        steps = generate(engine, IDS, max_tokens=8, stop=frozenset(), sampling=SamplingParams())
        return [token for step in steps for token in step.tokens]

    expected = text(GoldenEngine(golden, context=CONTEXT))
    assert text(GoldenEngine(golden, context=CONTEXT, columns=columns)) == expected
    engine = GoldenEngine(golden, context=CONTEXT, columns=columns)
    together = [[] for _ in range(2)]
    for step in generate_batch(engine, [IDS, IDS[:2]], max_tokens=8, stop=frozenset(), sampling=SamplingParams()):
        fed = step.inputs[-1:] if step.prefill else step.inputs
        for given, token in zip(fed, step.tokens, strict=False):
            together[given.slot].append(token)
    assert together[0] == expected


def test_logits_are_left_out_and_the_arg_max_is_not(golden):
    engine = GoldenEngine(golden, context=CONTEXT)
    result = engine.step([column(1, 0, 0, 0)], want_logits=False, read_logits=True)
    assert result.best is None and result.logits is None and result.counters == {}
    result = engine.step([column(1, 0, 0, 0)])
    assert len(result.best) == 1 and result.logits is None


def test_impossible_inputs_are_refused(golden):
    engine = GoldenEngine(golden, context=CONTEXT, columns=2)
    for step, sentence in (
        ([column(301, 0, 0, 0)], "token of column 0 must be from 0 to 300, got 301"),
        ([column(1, CONTEXT, 0, 0)], f"position of column 0 must be from 0 to {CONTEXT - 1}, got {CONTEXT}"),
        ([column(1, 0, 0, 0, slot=2)], "slot of column 0 must be from 0 to 1, got 2"),
        ([column(1, 3, 4, 0)], "history of column 0 must be from 0 to 3, got 4"),
        (chunk(IDS, 0, 3), "the columns of a step must be 1 to 2, got 3"),
    ):
        with pytest.raises(AcceleratorError, match=sentence):
            engine.step(step)
