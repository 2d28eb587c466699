"""Shifts in both directions: against Python's integers, and gates against model."""

import numpy as np
import pytest
from rtlm.hw.hls import F32, SInt, UInt, kernel, shift

from tests.hw.hls.simulate import check


def shifter(operand, distance, result, rounding):
    @kernel
    def shifted(x: operand, k: distance) -> result:
        return shift(x, k, result, rounding=rounding)

    return shifted


CASES = [
    (SInt(40), SInt(7), SInt(48), "half_up"),
    (SInt(13), SInt(4), SInt(13), "floor"),
    (UInt(20), SInt(8), UInt(9), "half_up"),
    (UInt(7), SInt(2), SInt(30), "floor"),
    (SInt(62), SInt(10), SInt(62), "half_up"),
    (UInt(62), SInt(1), UInt(1), "floor"),
]


@pytest.mark.parametrize(("operand", "distance", "result", "rounding"), CASES)
def test_equal_to_integers(operand, distance, result, rounding, seed):
    rng = np.random.default_rng(seed)
    x = rng.integers(operand.low, operand.high, 500, endpoint=True)
    k = rng.integers(distance.low, distance.high, 500, endpoint=True)
    got = shifter(operand, distance, result, rounding).model(x, k)
    for value, places, found in zip(x.tolist(), k.tolist(), got.tolist(), strict=True):
        half = 1 << -places - 1 if places < 0 and rounding == "half_up" else 0
        exact = (value + half >> -places) if places < 0 else value << places
        assert (found - exact) % (1 << result.width) == 0
        assert result.low <= found <= result.high


@pytest.mark.parametrize(("operand", "distance", "result", "rounding"), CASES)
@pytest.mark.parametrize("clock_mhz", [100, 400])
def test_gates_equal_model(operand, distance, result, rounding, clock_mhz):
    check(shifter(operand, distance, result, rounding), clock_mhz=clock_mhz, beats=200)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: shift(x, 3, SInt(8)), "signed value"),
        (lambda x: shift(x, x, UInt(63)), "at most 62 bits"),
        (lambda x: shift(x, x, F32), "gives an integer type"),
        (lambda x: shift(x, x, SInt(8), rounding="even"), "rounds floor or half_up, not 'even'"),
    ],
)
def test_what_is_refused(call, message):
    @kernel
    def wrong(x: SInt(8)) -> SInt(8):
        return call(x)

    with pytest.raises(Exception, match=message):
        wrong.schedule()
