"""The golden model: independent of batching, equal to the page that defines it, close to float32."""

import json
from pathlib import Path

import numpy as np
import pytest
from gguf import GGMLQuantizationType as Type
from rtlm.host.fetch import cached
from rtlm.host.golden import BATCH, GoldenModel, PreparedMatrix, quantise
from rtlm.host.model import LlamaModel, write_random_model
from rtlm.host.reference import ReferenceModel
from rtlm.hw import kernels
from rtlm.hw.formats import BlockFormat, Blocks
from rtlm.hw.formats.matmul import accumulate

REFERENCE = json.loads((Path(__file__).parent / "data" / "llamacpp_greedy.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module", params=[Type.Q4_1, Type.Q4_0, Type.Q8_0], ids=lambda kind: kind.name)
def model(request, tmp_path_factory) -> LlamaModel:
    path = tmp_path_factory.mktemp("m") / "m.gguf"
    tied = request.param is not Type.Q8_0
    return LlamaModel.open(write_random_model(path, seed=5, matrix_type=request.param, tied=tied, context=256))


@pytest.fixture(scope="module")
def golden(model) -> GoldenModel:
    return GoldenModel(model)


def tokens(model: LlamaModel, count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, model.vocab, count)


def test_one_at_a_time_equals_all_at_once(model, golden):
    ids = tokens(model, BATCH + 9)
    whole, single, mixed = golden.cache(len(ids)), golden.cache(200), golden.cache(len(ids))
    expected = golden.evaluate(ids, whole)
    assert expected.dtype == np.float32 and expected.shape == (len(ids), model.vocab)
    np.testing.assert_array_equal(np.concatenate([golden.evaluate([i], single) for i in ids]), expected)
    parts = [golden.evaluate(part, mixed) for part in np.split(ids, [3, 4, 40])]
    np.testing.assert_array_equal(np.concatenate(parts), expected)
    for name in ("k", "v", "k_scale", "v_scale"):
        a, b, c = (getattr(cache, name)[:, :, : len(ids)] for cache in (whole, single, mixed))
        assert (a == b).all() and (a == c).all() and a.any()


def test_last_only_and_going_back(model, golden):
    ids = tokens(model, 12)
    cache = golden.cache(20)
    expected = golden.evaluate(ids, cache)
    cache.length = 5
    np.testing.assert_array_equal(golden.evaluate(ids[5:], cache, last_only=True), expected[-1:])
    assert cache.length == 12


def test_close_to_float32(model, golden):
    ids = tokens(model, 48)
    difference = golden.evaluate(ids, golden.cache(48)) - ReferenceModel(model).logits(ids)
    assert np.sqrt((difference**2).mean()) < 0.03  # logits of a random model have a deviation near 1


def test_impossible_arguments(model, golden):
    with pytest.raises(ValueError, match="at least one"):
        golden.evaluate([], golden.cache(4))
    with pytest.raises(ValueError, match=f"outside the vocabulary of {model.vocab}"):
        golden.evaluate([model.vocab], golden.cache(4))
    with pytest.raises(ValueError, match=r"0 \+ 5 tokens do not fit a cache of 4"):
        golden.evaluate([1] * 5, golden.cache(4))


def random_blocks(format: BlockFormat, rows: int, k_blocks: int, exponents: tuple[int, int], seed: int) -> Blocks:
    random = np.random.default_rng(seed)

    def scales() -> np.ndarray:
        exponent = random.integers(*exponents, (rows, k_blocks), endpoint=True) << 10
        return (
            exponent | random.integers(0, 1024, exponent.shape) | random.integers(0, 2, exponent.shape) << 15
        ).astype(np.uint16)

    u = random.integers(0, 1 << format.bits, (rows, k_blocks, 32)).astype(np.uint8)
    return Blocks(format=format, u=u, d=scales(), m=scales() if format.has_minimum else None)


@pytest.mark.parametrize("format", BlockFormat)
@pytest.mark.parametrize("count", [1, 3, 200])
@pytest.mark.parametrize("scale", [(1e-30, 1e-20), (1e-3, 1e-1), (1.0, 1e3), (1e4, 1e30)], ids=str)
def test_prepared_matrix_equals_its_definition(format, count, scale):
    random = np.random.default_rng(count)
    blocks = random_blocks(format, 70, 5, (0, 31), count)
    a = random.integers(-127, 128, (count, 5, 32)).astype(np.int8)
    s = np.exp(random.uniform(*np.log(scale), (count, 5))).astype(np.float32)
    s[0, 0] = 0
    bits = (s.view(np.uint32) >> 16).astype(np.uint16)
    np.testing.assert_array_equal(PreparedMatrix(blocks).accumulate(a, bits), accumulate(blocks, a, bits))


def test_prepared_matrix_rounds_halves_up():
    """Terms of exactly one half of the accumulator's unit, positive and negative."""
    u = np.zeros((1, 1, 32), np.uint8)
    u[0, 0, 0] = 1
    blocks = Blocks(format=BlockFormat.Q4_1, u=u, d=np.array([[15 << 10]], np.uint16), m=np.array([[0]], np.uint16))
    a = np.zeros((4, 1, 32), np.int8)
    a[:, 0, 0] = [1, -1, 3, -3]
    bits = np.full((4, 1), (127 - 25) << 7, np.uint16)  # 2**-25
    expected = [[1], [0], [2], [-1]]
    assert PreparedMatrix(blocks).accumulate(a, bits).tolist() == expected == accumulate(blocks, a, bits).tolist()


def test_scale_is_nearest_bf16_and_codes_stay_in_range():
    x = np.random.default_rng(1).standard_normal((500, 64), np.float32)
    vectors = quantise(x, 32)
    assert vectors.codes.shape == (500, 2, 32) and vectors.scale.shape == (500, 2)
    assert not (vectors.scale.view(np.uint32) & 0xFFFF).any()
    assert vectors.codes.min() == -127 and vectors.codes.max() == 127
    error = np.abs(vectors.codes * vectors.scale[..., None] - x.reshape(500, 2, 32))
    assert (
        error <= vectors.scale[..., None] * 0.76
    ).all()  # half a step, and a quarter where the scale was rounded down
    assert not quantise(np.zeros((1, 32), np.float32), 32).codes.any()


@pytest.mark.parametrize("total", [1, 10_000, 5_000_001, 3 << 30, (1 << 53) + 1, 1 << 60])
def test_normalisation_is_precise_for_any_sum(total):
    r = kernels.rms_scale.model(np.array([total], np.uint64), np.float32(1 / 576), np.float32(1e-5))
    assert r[0] == pytest.approx(1 / np.sqrt(total * 2.0**-24 / 576 + 1e-5), rel=1e-6)


@pytest.fixture(scope="module")
def smollm() -> LlamaModel:
    if (path := cached()) is None:
        pytest.skip("SmolLM2 is not in the cache")
    return LlamaModel.open(path)


def test_smollm2_agrees_with_llama_cpp(smollm):
    golden = GoldenModel(smollm)
    entry = next(entry for entry in REFERENCE["prompts"] if entry["name"] == "completion_france")
    steps = entry["steps"][:12]
    cache = golden.cache(64)
    first = golden.evaluate(entry["prompt_ids"], cache, last_only=True)
    logits = np.concatenate([first, golden.evaluate(entry["generated_ids"][:11], cache)])
    for row, step in zip(logits, steps, strict=True):
        if step["margin"] > 1.5:
            assert row.argmax() == step["token"]
    assert np.mean([abs(row[t] - v) for row, step in zip(logits, steps, strict=True) for t, v, _ in step["top5"]]) < 0.4
