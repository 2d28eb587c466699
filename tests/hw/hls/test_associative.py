"""Scans whose steps are associative: a tree over the lanes, with the bits of the chain."""

import numpy as np
import pytest
from rtlm.hw import hls
from rtlm.hw.hls import F32, SInt, UInt, constant, fold, kernel, scan, wrap
from rtlm.hw.hls.associative import prefixes

from tests.hw.hls.simulate import check

STEPS = {
    "sum": (SInt(12), SInt(8), lambda s, x: wrap(s + x, SInt(12))),
    "difference": (UInt(9), SInt(8), lambda s, x: wrap(s - x, UInt(9))),
    "count": (UInt(7), SInt(8), lambda s, x: hls.select(x > 3, wrap(s + 1, UInt(7)), s)),
    "skip": (UInt(7), SInt(8), lambda s, x: hls.select(x > 3, s, wrap(s + x, UInt(7)))),
    "and": (SInt(8), SInt(8), lambda s, x: s & x),
    "or": (SInt(8), UInt(5), lambda s, x: s | x),
    "xor": (UInt(6), SInt(8), lambda s, x: wrap(s ^ x, UInt(6))),
    "largest": (SInt(9), SInt(8), lambda s, x: hls.maximum(x, s)),
    "smallest": (SInt(9), SInt(8), lambda s, x: hls.minimum(s, x)),
    "largest of some": (SInt(9), SInt(8), lambda s, x: hls.select(x == 5, s, hls.maximum(s, x))),
    "smallest of some": (UInt(9), UInt(8), lambda s, x: hls.select(x < 9, hls.minimum(s, x), s)),
    "and of some": (UInt(8), UInt(8), lambda s, x: hls.select(x < 9, s, s & x)),
    "xor of some": (SInt(8), SInt(8), lambda s, x: hls.select(x < 9, s, s ^ x)),
    "chosen": (SInt(8), SInt(8), lambda s, x: hls.select(x < s, s, x)),
    "largest float": (F32, F32, hls.maximum),
    "smallest float": (F32, F32, lambda s, x: hls.minimum(x, s)),
}


def kernels(state, element, step, **named):
    """A scan and a fold by a step."""
    first = constant(3, state)

    def scanned(x):
        return scan(step, first, x, **named)

    def folded(x):
        return fold(step, first, x, **named)

    for function in (scanned, folded):
        function.__annotations__ = {"x": element, "return": state}
    return kernel(scanned), kernel(folded)


@pytest.mark.parametrize("lanes", [2, 3, 4, 8])
@pytest.mark.parametrize("name", STEPS)
def test_bits_and_interval(name, lanes, seed):
    for each in kernels(*STEPS[name]):
        one, all_ = (each.schedule(lanes=n, clock_mhz=300).initiation_interval for n in (1, lanes))
        assert one == all_ == 1 + name.endswith("float")
        check(each, lanes=lanes, clock_mhz=300, longest=20, seed=seed)


@pytest.mark.parametrize(
    "step",
    [
        lambda s, x: wrap(x - s, SInt(12)),
        lambda s, x: hls.clamp(s + x, -2048, 2047),
        lambda s, x: wrap(wrap(s + x, SInt(6)) + 1, SInt(12)),
        lambda s, x: hls.select(s > 3, wrap(s + x, SInt(12)), s),
        lambda s, x: wrap(s + s, SInt(12)),
    ],
)
def test_what_is_not_associative_stays_a_chain(step, seed):
    scanned, _ = kernels(SInt(12), SInt(8), step)
    assert scanned.schedule(lanes=8, clock_mhz=300).initiation_interval > 1
    check(scanned, lanes=3, longest=20, seed=seed)


def test_an_associative_step_of_ones_own(seed):
    """Compositions of x -> a * x + b modulo 2**8, as linear recurrences need them."""
    byte = UInt(8)

    def compose(state, a, b):
        return wrap(state[0] * a, byte), wrap(a * state[1] + b, byte)

    @kernel
    def linear(a: byte, b: byte) -> byte:
        return scan(compose, (constant(1, byte), constant(0, byte)), a, b, associative=True)[1]

    @kernel
    def chain(a: byte, b: byte) -> byte:
        return scan(compose, (constant(1, byte), constant(0, byte)), a, b)[1]

    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, 256, (2, 30))
    assert np.array_equal(linear.model(a, b), chain.model(a, b))
    tree, line = (k.schedule(lanes=4, clock_mhz=300).initiation_interval for k in (linear, chain))
    assert tree < line
    check(linear, lanes=4, longest=20, seed=seed)


def test_what_an_associative_step_cannot_be():
    with pytest.raises(hls.KernelError, match=r"takes elements of the types of its state, SInt\(12\), not SInt\(8\)"):
        kernels(*STEPS["sum"], associative=True)[0].schedule()

    def beside(x: SInt(8), y: SInt(8)) -> SInt(8):
        return scan(lambda s, x: wrap(s + x + y, SInt(8)), constant(0, SInt(8)), x, associative=True)

    with pytest.raises(hls.KernelError, match="What differs between elements is among the operands"):
        kernel(beside).schedule()


def test_prefixes_are_as_shallow_as_can_be():
    depth = prefixes([(0, n) for n in range(8)], lambda a, b: (1 + max(a[0], b[0]), b[1]), range(8))
    assert [n for _, n in depth.values()] == list(range(8))
    assert max(levels for levels, _ in depth.values()) == 3
