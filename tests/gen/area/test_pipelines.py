"""Registers of pipelines from their schedules."""

import pytest
from rtlm.gen.area import pipelines
from rtlm.gen.area.counts import KernelUse
from rtlm.gen.area.pipelines import pipeline


@pytest.mark.parametrize(
    ("taps", "ffs", "tables"),
    [([1], 1, 0), ([2], 2, 0), ([3], 0, 1), ([32], 0, 1), ([33], 0, 2), ([1, 2], 2, 0), ([2, 6], 2, 1), ([], 0, 0)],
)
def test_a_delay_is_registers_or_a_shift_register(taps, ffs, tables):
    found = pipelines._delay(taps)
    assert (found.ffs, found.shift_luts) == (ffs, tables)


def test_lanes_are_copies():
    one, five = (KernelUse(name="position_score", lanes=lanes, tag_bits=3) for lanes in (1, 5))
    scheduled = pipelines._scheduled(five, 300, "xilinx-us+")
    one, five = (pipeline(use, 300, "xilinx-us+") for use in (one, five))
    assert five == scheduled
    assert five.ffs > 4 * one.ffs


def test_a_faster_clock_needs_more_registers():
    slow, fast = (pipeline(KernelUse(name="swiglu"), mhz, "xilinx-us+") for mhz in (100, 300))
    assert slow.ffs + slow.shift_luts < fast.ffs + fast.shift_luts
