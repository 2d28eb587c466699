"""Packets that interleave: each key has states and sums of its own, and ends by itself."""

import pytest
from rtlm.hw.hls import (
    F32,
    Shared,
    SInt,
    UInt,
    constant,
    fold,
    index,
    kernel,
    maximum,
    scan,
    stream_last,
    stream_max,
    stream_sum,
    wrap,
)
from rtlm.hw.kernels import quantise, swiglu
from rtlm.hw.kernels.rmsnorm import norm_scalar

from tests.hw.hls.simulate import check


@kernel
def extent(x: SInt(8), y: UInt(63)) -> tuple[SInt(8), UInt(63), UInt(64)]:
    """Largest, and sums that wrap and saturate."""
    return stream_max(x), stream_sum(y, UInt(63)), stream_sum(y, UInt(64), saturate=True)


@kernel
def largest(x: F32, bias: Shared[SInt(8)]) -> tuple[F32, SInt(8)]:
    return fold(lambda m, x: maximum(m, x), constant(0, F32), x), stream_last(bias)


@kernel
def counted(x: SInt(8)) -> tuple[SInt(16), UInt(4)]:
    """A result with each beat."""
    return scan(lambda total, x: wrap(total + x, SInt(16)), constant(0, SInt(16)), x), index(UInt(4))


@pytest.mark.parametrize("function", [extent, largest, counted, norm_scalar], ids=lambda k: k.name)
@pytest.mark.parametrize(("lanes", "keys"), [(1, 2), (2, 3), (4, 8)])
def test_equal_to_model(function, lanes, keys):
    check(function, lanes=lanes, keys=keys, beats=90)


def test_what_cannot_interleave():
    with pytest.raises(ValueError, match="quantise uses elements again after a reduction"):
        quantise.component(keys=2, max_length=4)
    with pytest.raises(ValueError, match="keys must be at least 1, got 0"):
        extent.component(keys=0)
    with pytest.raises(ValueError, match="swiglu knows no packets"):
        swiglu.component(keys=2)

    @kernel
    def total(key: SInt(8)) -> SInt(16):
        return stream_sum(key, SInt(16))

    with pytest.raises(ValueError, match="total has a field key, which"):
        total.component(keys=2)
