"""Factors between the norms of queries and keys."""

import numpy as np
from rtlm.host.models.balance import balance


def test_scores_stay_and_keys_become_even(seed):
    rng = np.random.default_rng(seed)
    norms = rng.uniform(0.5, 2, (2, 64)).astype(np.float32)
    norms[1, 10:12] = 40
    query, key = balance(norms)
    assert np.array_equal(query * key, norms[0] * norms[1])
    factor = norms[1] / key
    assert np.array_equal(factor[::2], factor[1::2])
    assert np.array_equal(np.frexp(factor)[0], np.full(64, 0.5))
    assert key.max() / np.median(key) < norms[1].max() / np.median(norms[1]) / 3


def test_alike_norms_stay_as_they_are():
    norms = np.full((2, 16), 3, np.float32)
    assert np.array_equal(balance(norms), norms)


def test_zeros_stay_zeros():
    norms = np.ones((2, 16), np.float32)
    norms[0, 3] = norms[1, 6:8] = 0
    query, key = balance(norms)
    assert np.array_equal(query * key, norms[0] * norms[1])
    assert np.isfinite([query, key]).all()
    assert np.array_equal(balance(np.zeros((2, 16), np.float32)), np.zeros((2, 16), np.float32))


def test_what_is_no_number_is_left_alone():
    norms = np.ones((2, 16), np.float32)
    norms[1, 5] = np.nan
    np.testing.assert_array_equal(balance(norms), norms)
