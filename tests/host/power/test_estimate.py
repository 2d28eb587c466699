"""Power: each summand by hand, sums over components, boundaries and operators, what the clock and activity change."""

from dataclasses import replace

import pytest
from rtlm.host.power.dram import DramCommands
from rtlm.host.power.estimate import PowerRequest, Traffic, estimate_power
from rtlm.host.power.result import PROCESSOR, Boundary, Kind, OperatorUse, Part
from rtlm.host.power.shipped import default_rates
from rtlm.host.power.technology import board_power, fpga_technology
from rtlm.sim.memory.dram import ddr4_2400, ideal

TECHNOLOGY = fpga_technology("xilinx-us+")
COMMANDS = DramCommands(
    activates=1e5, precharges=1e5, reads=1.4e7, writes=1e6, refreshes=128e3, seconds=1.0, open_share=0.9, source="told"
)
USES = {
    "qkv": OperatorUse(cycles=50, bytes=300, macs=300, unit="matmul"),
    "mlp": OperatorUse(cycles=40, bytes=600, macs=900, unit="matmul"),
    "rms": OperatorUse(cycles=10, bytes=100),
}


def request(**changes):
    values = {
        "elements": {"matmul": {"luts": 1000, "ffs": 2000, "dsps": 100, "brams": 10, "urams": 4}},
        "rates": {"matmul": 0.25},
        "rates_are": "counted in 4 samples",
        "clock_mhz": 100,
        "traffic": Traffic(dram=ddr4_2400(), name="ddr4-2400", commands=COMMANDS, bytes_per_s=1e9),
        "tokens_per_s": 10,
        "weight_bytes_per_s": 0.9e9,
        "uses": USES,
    }
    return PowerRequest(**{**values, **changes})


def power(**changes):
    return estimate_power(request(**changes))


def component(result, name):
    return next(entry for entry in result.components if entry.name == name)


def of_kind(result, *kinds):
    return sum(each.w for each in result.components if each.kind in kinds)


def test_unit_is_elements_times_activity_times_energy():
    dsp = 4.6 * 27 * 18 / (20 * 18)
    expected_pj = (
        1000 * TECHNOLOGY.lut_toggle_pj.nominal * 0.25
        + 2000 * TECHNOLOGY.ff_toggle_pj.nominal * 0.25
        + 100 * dsp * 0.25 / 0.125
        + 10 * 2 * 45 * 0.25 / 0.5
        + 4 * 90 * 0.25 / 0.5
    )
    unit = component(power(), "matmul")
    assert unit.w == pytest.approx(expected_pj * 1e-12 * 100e6)
    assert unit.low_w < unit.w < unit.high_w
    assert "toggle rate 25.0% counted in RTL" in unit.method


def test_clock_tree_and_leakage():
    result = power()
    assert component(result, "clock tree").w == pytest.approx((10 + 0.032 * 2114) * 1e-12 * 100e6)
    assert component(result, "static").w == pytest.approx(1.12e-6 * 1000)
    board = board_power("kv260")
    on_board = power(board="kv260")
    warm = 2 ** ((board.junction_c.nominal - 40) / 30)
    assert component(on_board, "static").w == pytest.approx(1.12e-6 * 117_120 * warm * 0.72 / 0.85)
    assert component(on_board, "matmul").w == pytest.approx(component(result, "matmul").w * (0.72 / 0.85) ** 2)


def test_everything_adds_up():
    result = power(board="kv260")
    assert result.total_w == pytest.approx(sum(each.w for each in result.components if each.part is not Part.BOARD))
    assert sum(each.nominal for each in result.operators.values()) == pytest.approx(result.total_w)
    assert sum(each.low for each in result.operators.values()) == pytest.approx(result.low_w)
    assert sum(each.high for each in result.operators.values()) == pytest.approx(result.high_w)
    chip, module, plug = (result.within(boundary) for boundary in Boundary)
    assert chip.nominal < module.nominal == result.total_w < plug.nominal
    assert plug.nominal == pytest.approx(sum(each.w for each in result.components))
    assert result.low_w < result.total_w < result.high_w
    assert result.tokens_per_j == pytest.approx(10 / result.total_w)
    assert result.j_per_token.nominal == pytest.approx(result.total_w / 10)


def test_operators_pay_for_what_they_use():
    result = power()
    switching, traffic = component(result, "matmul").w, of_kind(result, Kind.TRAFFIC)
    rest = result.total_w - switching - traffic
    assert result.operators["mlp"].nominal == pytest.approx(0.75 * switching + 0.6 * traffic + 0.4 * rest)
    assert result.operators["rms"].nominal == pytest.approx(0.1 * traffic + 0.1 * rest)


def test_twice_the_clock_at_equal_activity_is_twice_the_dynamic_power():
    once, twice = power(clock_mhz=100), power(clock_mhz=200)
    for kind in (Kind.SWITCHING, Kind.CLOCK):
        assert of_kind(twice, kind) == pytest.approx(2 * of_kind(once, kind))
    for kind in (Kind.STATIC, Kind.STANDBY):
        assert of_kind(twice, kind) == of_kind(once, kind) > 0


def test_no_activity_leaves_leakage_clock_and_standby():
    still = replace(COMMANDS, activates=0, precharges=0, reads=0, writes=0)
    traffic = Traffic(dram=ddr4_2400(), name="ddr4-2400", commands=still, bytes_per_s=0)
    result = power(rates={"matmul": 0.0}, traffic=traffic)
    assert result.total_w == pytest.approx(of_kind(result, Kind.STATIC, Kind.CLOCK, Kind.STANDBY))
    assert component(result, "clock tree").w > 0 and component(result, "static").w > 0


def test_memory_is_commands_and_interface_with_bytes_beside_it():
    result = power()
    read = component(result, "DRAM read")
    # Four devices, 243 - 47 mA at 1.2 V for four clocks of 1/1.2 ns.
    assert read.w == pytest.approx(1.4e7 * 4 * 1.2 * 0.196 * 4 / 1.2e9)
    assert read.low_w == pytest.approx(0.6 * read.w)
    ends = [component(result, f"DRAM interface, {part}") for part in ("chip", "memory")]
    assert sum(each.w for each in ends) == pytest.approx(8e9 * 6.8e-12)
    assert [each.part for each in ends] == [Part.CHIP, Part.MEMORY]
    assert result.memory_by_bytes.nominal == pytest.approx(8e9 * 15e-12)
    assert result.to_json()["memory_by_bytes_w"]["high"] == pytest.approx(8e9 * 20e-12)


def test_memory_without_currents_is_bytes():
    lpddr = power(traffic=Traffic(name="lpddr4-3200", bytes_per_s=1e9))
    assert component(lpddr, "DRAM transfers").w == pytest.approx(8e9 * 8e-12)
    assert any("Background power of lpddr4-3200" in note for note in lpddr.notes)
    ddr2 = power(traffic=Traffic(name="ddr2-800", bytes_per_s=1e9))
    assert component(ddr2, "DRAM transfers").w == pytest.approx(8e9 * 15e-12)
    assert any("No energy figure for ddr2-800 is at hand: that of DDR4 is used" in note for note in ddr2.notes)
    none = power(traffic=Traffic(dram=ideal(), name="ideal", bytes_per_s=1e9))
    assert not [each for each in none.components if each.part is Part.MEMORY]
    assert any("takes no energy" in note for note in none.notes) and "no memory" in none.included


def test_boundaries_say_what_they_contain():
    known = power(board="kv260")
    assert "the whole chip with its processor" in known.included and "rest of the board" in known.included
    assert component(known, PROCESSOR).part is Part.CHIP
    unknown = power()
    assert unknown.within(Boundary.PLUG) is None
    assert "not included: voltage conversion and the rest of the board" in unknown.included
    written = known.to_json()
    assert written["boundary"] == "module" and written["boundaries"]["module"]["nominal"] == written["total_w"]
    assert unknown.to_json()["boundaries"]["plug"] is None


def test_an_energy_below_the_floor_is_said_to_be_so():
    result = power(weight_bytes_per_s=9e9)
    assert result.pj_per_weight_bit == pytest.approx(result.total_w / 72e9 * 1e12)
    assert result.pj_per_weight_bit < 25
    assert any("more optimistic than every published FPGA board" in note for note in result.notes)
    assert not any("optimistic" in note for note in power(weight_bytes_per_s=1e6).notes)
    assert power(weight_bytes_per_s=None).pj_per_weight_bit is None


def test_rates_are_named():
    assert "Toggles for the power of the logic were counted in 4 samples." in power().notes
    mean = power(elements=request().elements | {"vector": {"luts": 100}})
    assert "toggle rate 25.0%, the mean of the counted units" in component(mean, "vector").method
    shipped = power(rates=None)
    assert f"shipped toggle rate {default_rates().busy['matmul']:.1%} while busy" in component(shipped, "matmul").method
    assert any("No toggles were counted" in note for note in shipped.notes)
    idle = component(power(rates=None, busy={"matmul": 0.01}), "matmul")
    assert idle.w == pytest.approx(component(shipped, "matmul").w / 100)
    assert "while busy (1.0% of the cycles)" in idle.method
    reader = component(power(rates=None, elements={"reader": {"luts": 100}}, busy={"reader": 0.5}), "reader")
    assert reader.w == pytest.approx(100 * default_rates().always["reader"] * TECHNOLOGY.lut_toggle_pj.nominal * 1e-4)


def test_other_technologies_are_not_passed_off_as_known():
    assert any("No energies of ecp5 are at hand" in note for note in power(technology="ecp5").notes)
    assert fpga_technology("ecp5") is None
