"""Conditional expressions of kernels are multiplexers; of plain Python they stay what they are."""

import numpy as np
import pytest
from rtlm.hw import hls
from rtlm.hw.hls import BOOL, F32, KernelError, SInt, UInt, Vec

from tests.hw.hls.simulate import check

WIDE = True


@hls.kernel
def leaky(x: F32) -> F32:
    return x if x > 0 else x * 0.125


@hls.kernel
def inside(x: SInt(8), low: SInt(8)) -> tuple[BOOL, BOOL, BOOL, SInt(8)]:
    limit = 10 if WIDE else 5
    return (
        low < x < limit,
        (x > 0 and x < limit) or x == -1,
        not (x == low),  # noqa: SIM201
        x if low < x < limit and WIDE else low if x < 0 else hls.constant(0, SInt(8)),
    )


@hls.kernel
def rectified(v: Vec[SInt(8), 3]) -> Vec[SInt(8), 3]:
    return v if v > 0 else v & 1


def test_floats(seed):
    assert leaky.model([-8.0, 0.0, 3.0]).tolist() == [-1, 0, 3]
    check(leaky, lanes=2, seed=seed)


def test_comparisons_and_connections(seed):
    x, low = np.meshgrid(np.arange(-12, 13), [-3, 0, 4])
    between, joined, differs, chosen = inside.model(x, low)
    assert np.array_equal(between, (low < x) & (x < 10))
    assert np.array_equal(joined, (x > 0) & (x < 10) | (x == -1))
    assert np.array_equal(differs, x != low)
    assert np.array_equal(chosen, np.where((low < x) & (x < 10), x, np.where(x < 0, low, 0)))
    check(inside, seed=seed)


def test_vectors(seed):
    assert rectified.model([[-3, 4, -6]]).tolist() == [[1, 4, 0]]
    check(rectified, seed=seed)


@pytest.mark.parametrize("factor", [3, None])
def test_what_python_knows_is_settled_when_traced(factor):
    @hls.kernel
    def scaled(x: UInt(4)) -> UInt(8):
        y = x * factor if factor is not None and factor > 1 else x
        return hls.wrap(y, UInt(8)) or x

    assert [v.op for v in scaled.graph.order].count("imul") == (factor is not None)
    assert scaled.model([5]).tolist() == [15 | 5 if factor else 5]


def test_statements_are_refused_at_their_line():
    @hls.kernel
    def absolute(x: F32) -> F32:
        y = 1.0 if WIDE else 2.0
        if x > 0:
            return x * y
        return -x

    line = absolute.function.__code__.co_firstlineno + 3
    with pytest.raises(KernelError, match=rf"test_conditions.py:{line}: .* instead of if"):
        _ = absolute.graph
