"""RoPE's tables, against what the papers say of single frequencies."""

import numpy as np
import pytest
from rtlm.host.errors import ModelError
from rtlm.host.models.model import LlamaModel
from rtlm.host.models.rotary import unrotated

BASE, WIDTH = 10000.0, 16
PLAIN = BASE ** (-np.arange(0, WIDTH, 2) / WIDTH)
YARN = {"rope.scaling.type": "yarn", "rope.scaling.factor": 8.0, "rope.scaling.original_context_length": 4096}


def rotary(random_model, **arguments):
    return LlamaModel.open(random_model(**arguments)).rotary


def test_linear_scaling_stretches_positions(random_model):
    plain = rotary(random_model).table(range(3, 8))
    stretched = rotary(random_model, metadata={"rope.scaling.factor": 4.0}).table(range(12, 29))
    for expected, found in zip(plain, stretched, strict=True):
        np.testing.assert_array_equal(found[::4], expected[: len(found[::4])])


def test_no_scaling_ignores_the_factor(random_model):
    table = rotary(random_model, metadata={"rope.scaling.type": "none", "rope.scaling.factor": 4.0})
    np.testing.assert_array_equal(table.frequency, PLAIN)


def test_factors_divide_frequencies(random_model):
    factors = tuple(float(2**i) for i in range(WIDTH // 2))
    np.testing.assert_array_equal(rotary(random_model, rope_factors=factors).frequency * factors, PLAIN)


def test_yarn_keeps_the_fast_and_divides_the_slow(random_model):
    """Pairs that turn twice 32 times in 4096 positions are kept, those that do not turn once are divided."""
    found = rotary(random_model, metadata=YARN)
    turns = 4096 * PLAIN / (2 * np.pi)
    fast, slow = turns > 64, turns < 1
    assert fast.any() and slow.any() and (~fast & ~slow).any()
    np.testing.assert_allclose(found.frequency[fast], PLAIN[fast])
    np.testing.assert_allclose(found.frequency[slow], PLAIN[slow] / 8)
    assert ((found.frequency <= PLAIN) & (found.frequency >= PLAIN / 8)).all()
    assert found.magnitude == pytest.approx(1 + 0.1 * np.log(8))


def test_nothing_turns():
    cos, sin = unrotated(WIDTH)
    assert cos.shape == sin.shape == (1, WIDTH // 2) and (cos == 1).all() and not sin.any()


BAD = {
    "count": ({"rope_factors": (1.0,)}, r"rope_freqs.weight must be F32 and have the shape \(8,\), got F32 and \(1,\)"),
    "zero": ({"rope_factors": (0.0,) * 8}, "must hold positive numbers, got 0 to 0"),
    "NaN": ({"rope_factors": (float("nan"),) * 8}, "must hold positive numbers, got nan to nan"),
    "infinite": ({"rope_factors": (1.0,) * 7 + (float("inf"),)}, "must hold positive numbers, got 1 to inf"),
    "base": ({"rope_theta": 1.0, "metadata": YARN}, "base of RoPE must be above 1 for the scaling yarn, got 1"),
    "multiplier": (
        {"metadata": YARN | {"rope.scaling.yarn_log_multiplier": 0.1}},
        "yarn_log_multiplier must be 0, got 0.1",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_impossible_tables_are_refused(random_model, name):
    arguments, message = BAD[name]
    with pytest.raises(ModelError, match=message):
        rotary(random_model, **arguments)
