"""Power: each summand by hand, ranges, warnings."""

import pytest
from rtlm.host.reports.measurements import ActivityMeasurement
from rtlm.host.reports.power import DRAM_BACKGROUND, estimate_power


def power(**changes):
    values = {
        "elements": {"matmul": {"luts": 1000, "ffs": 2000, "dsps": 100, "brams": 10}},
        "activity": ActivityMeasurement(toggles={"matmul": 0.25}, cycles=4096, samples=4, context=9),
        "busy": {},
        "clock_mhz": 100,
        "dram": "ddr4-2400",
        "bytes_per_s": 1e9,
        "tokens_per_s": 10,
        "weight_bytes_per_s": 0.9e9,
    }
    return estimate_power(**{**values, **changes})


def component(result, name):
    return next(entry for entry in result.components if entry.name == name)


def test_unit_is_elements_times_activity_times_energy():
    expected_pj = 1000 * 0.19 * 0.25 + 2000 * 0.22 * 0.25 + 100 * 4.6 * 2 + 10 * 2 * 45 * 0.5
    unit = component(power(), "matmul")
    assert unit.w == pytest.approx(expected_pj * 1e-12 * 100e6)
    assert (unit.low_w, unit.high_w) == pytest.approx((unit.w / 2, unit.w * 2))
    assert "toggle rate 25.0% counted in RTL" in unit.method


def test_clock_tree_and_static():
    result = power()
    assert component(result, "clock tree").w == pytest.approx((10 + 0.03 * 2110 + 0.0019 * 2000) * 1e-12 * 100e6)
    assert component(result, "static").w == pytest.approx(100 * 11.5e-6 + 10 * 7.8e-6 + 125 * 2.2e-6)


def test_dram_is_bytes_times_energy_with_the_published_range():
    transfers = component(power(), "DRAM transfers")
    assert (transfers.w, transfers.low_w, transfers.high_w) == pytest.approx((0.12, 0.036, 0.16))
    background = component(power(), "DRAM background")
    # 188 mA at 1.2 V, 12 mA at 2.5 V, and 932 mA at 1.2 V for 350 ns of every 7.8125 us.
    assert background.w == pytest.approx(0.2256 + 0.03 + 0.932 * 1.2 * 0.0448)
    assert all(low <= typical <= high for typical, low, high, _ in DRAM_BACKGROUND.values())


def test_totals_and_tokens_per_joule():
    result = power()
    assert result.low_w < result.total_w < result.high_w
    assert result.total_w == pytest.approx(sum(entry.w for entry in result.components))
    assert result.tokens_per_j == pytest.approx(10 / result.total_w)


def test_optimistic_energy_is_said_to_be_so():
    result = power(bytes_per_s=10e9, weight_bytes_per_s=9e9)
    assert result.pj_per_weight_bit == pytest.approx(result.total_w / 72e9 * 1e12)
    assert result.pj_per_weight_bit < 25
    assert any("more optimistic than every published FPGA board" in note for note in result.notes)
    assert not any("optimistic" in note for note in power(weight_bytes_per_s=1e6).notes)
    assert power(weight_bytes_per_s=None).pj_per_weight_bit is None


def test_counted_toggles_say_where_they_come_from():
    counted = "Toggles for the power of the logic were counted in 4 samples, 4,096 cycles in all, of a decoding step"
    assert f"{counted}." in power().notes
    earlier = ActivityMeasurement(toggles={"matmul": 0.25}, cycles=4096, samples=4, context=9, earlier=True)
    assert f"{counted} of an earlier run." in power(activity=earlier).notes


def test_assumptions_are_named():
    assert any("No toggles were counted" in note for note in power(activity=None).notes)
    assert "assumed toggle rate 12.5%" in component(power(activity=None), "matmul").method
    idle = component(power(activity=None, busy={"matmul": 0.01}), "matmul")
    assert idle.w == pytest.approx(component(power(activity=None), "matmul").w / 100)
    assert "while busy (1.0% of the cycles)" in idle.method
    assert any("DDR4 is used" in note for note in power(dram="ddr3-800").notes)
    assert any("Background power of hbm2-16" in note for note in power(dram="hbm2-16").notes)
    assert component(power(dram="ddr4-2400 (changed)"), "DRAM background")
