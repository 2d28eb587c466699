"""Constraints and fronts, against the definition."""

import numpy as np
import pytest
from rtlm.host.exploration.front import pareto, spread, violations
from rtlm.host.exploration.space import parse_space


def dominated(points, index):
    return any(
        all(a <= b for a, b in zip(other, points[index], strict=True)) and tuple(other) != tuple(points[index])
        for other in points
    )


@pytest.mark.parametrize("objectives", [1, 2, 3, 4])
def test_a_front_is_what_nothing_dominates(objectives, seed):
    random = np.random.default_rng(seed)
    for size in (1, 2, 50, 200):
        # Few values, so that many points are equal in some coordinates, and some in all.
        points = random.integers(0, 8, (size, objectives)).tolist()
        front = pareto(points)
        assert sorted(front) == [index for index in range(size) if not dominated(points, index)]
        assert [points[index] for index in front] == sorted(points[index] for index in front)
    assert pareto([]) == []


def test_points_spread_over_a_front():
    front = [(float(n), -float(n)) for n in range(11)]
    assert spread(front, 1) == [0]
    assert spread(front, 3) == [0, 5, 10]
    assert spread(front, 99) == list(range(11))
    assert spread([(1.0, 2.0), (1.0, 2.0), (2.0, 1.0)], 3) == [0, 2]


def test_what_is_violated_and_by_how_much():
    space = parse_space(
        {
            "models": ["x"],
            "objectives": {"tokens_per_j": "max"},
            "constraints": {"power_w": {"at_most": 10}, "tokens_per_s": {"at_least": 4}},
        },
        "s.yaml",
    )

    def found(over=(), **metrics):
        return violations(space, {"metrics": {"tokens_per_j": 1} | metrics, "over": list(over)})

    assert found(power_w=10, tokens_per_s=4) == {}
    assert found(power_w=15, tokens_per_s=1) == {"power_w": 0.5, "tokens_per_s": 0.75}
    assert found(over=["lut", "dsp"], power_w=1, tokens_per_s=9) == {"fits": 2.0}
    assert found(power_w=None, tokens_per_s=4) == {"power_w": 1.0}
    assert found(power_w=1, tokens_per_s=4, tokens_per_j=None) == {"tokens_per_j": 1.0}
    assert violations(space, {"refused": "No."}) == {"refused": 1.0}
    anywhere = space.model_copy(update={"fits": False})
    assert (
        violations(anywhere, {"metrics": {"tokens_per_j": 1, "power_w": 1, "tokens_per_s": 4}, "over": ["lut"]}) == {}
    )
