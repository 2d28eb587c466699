"""The fit of coefficients: recovers known ones, stays at 1 where nothing tells, and never goes below 0."""

import numpy as np
import pytest
from rtlm.gen.area.fit import CONSTANT, band, fit_terms, solve


def test_known_coefficients_come_back():
    generator = np.random.default_rng(1)
    rows = [{"a": float(a), "b": float(b), CONSTANT: 1.0} for a, b in generator.integers(100, 10_000, (20, 2))]
    found = fit_terms(rows, [1.3 * row["a"] + 0.8 * row["b"] + 250 for row in rows])
    assert found == pytest.approx({"a": 1.3, "b": 0.8, CONSTANT: 250}, rel=0.02)


def test_what_the_points_do_not_tell_stays_at_one():
    found = fit_terms([{"a": 1000.0, "never": 0.0}, {"a": 3000.0, "never": 0.0}], [1200, 3600])
    assert found["never"] == pytest.approx(1)
    assert found["a"] == pytest.approx(1.2, abs=0.01)


def test_offsets_are_not_scaled():
    rows = [{"a": 1000.0}, {"a": 2000.0}, {"a": 4000.0}]
    assert fit_terms(rows, [2500, 4500, 8500], [500] * 3)["a"] == pytest.approx(2, abs=0.01)


def test_coefficients_are_not_negative():
    x = np.array([[1.0, 1.0], [1.0, 2.0], [1.0, 3.0]])
    found = solve(x, np.array([3.0, 2.0, 1.0]), np.zeros(2))
    assert (found >= 0).all()
    assert found[1] == 0


def test_band():
    assert band([(110, 100), (95, 100), (1, 0)]) == pytest.approx((0.075, 0.1, 2))
    assert band([]) == (0.0, 0.0, 0)
