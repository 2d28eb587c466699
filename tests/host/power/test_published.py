"""Published accelerators: which calibrate, which test, and how far the model is from each."""

import pytest
from rtlm.host.power.calibration import RECORD
from rtlm.host.power.published import CALIBRATED, TARGET, compare, published_designs, published_table, to_json
from rtlm.host.power.technology import board_power, fpga_technology

DESIGNS = {design.name: design for design in published_designs()}
TESTS = [name for name, design in DESIGNS.items() if not design.calibrates]


def test_at_most_two_designs_calibrate_and_are_met():
    calibrating = [design for design in DESIGNS.values() if design.calibrates]
    assert sorted(design.calibrates for design in calibrating) == ["board_w", "processor_w"]
    for design in calibrating:
        assert abs(compare(design).error) < CALIBRATED
        assert "calibrated" in getattr(board_power(design.board), design.calibrates).source


@pytest.mark.parametrize("name", TESTS)
def test_published_power_lies_in_the_range(name):
    found = compare(DESIGNS[name])
    assert found.within_range
    assert abs(found.error) < TARGET or "rate by bandwidth is too low" in found.design.why


def test_most_designs_are_within_a_fifth():
    errors = [abs(compare(DESIGNS[name]).error) for name in TESTS]
    assert len(errors) == 7 and sum(error < TARGET for error in errors) >= 6


def test_the_table_says_what_each_watt_is_of():
    found = [compare(design) for design in DESIGNS.values()]
    page = published_table(found)
    assert all(f"{design.name} ({design.source})" in page for design in DESIGNS.values())
    assert "| unstated: not stated |" in page and "| chip: Vivado's estimate |" in page
    written = to_json(found[0])
    assert written["power"]["boundaries"]["chip"]["nominal"] == written["modelled"]["nominal"]


def test_energies_of_a_toggle_are_those_of_the_fit():
    import json

    fitted = json.loads(RECORD.read_text(encoding="utf-8"))
    technology = fpga_technology("xilinx-us+")
    table, register = technology.lut_toggle_pj, technology.ff_toggle_pj
    assert table.nominal + register.nominal == pytest.approx(fitted["pj"]["toggle"], rel=0.002)
    assert table.nominal / register.nominal == pytest.approx(table.low / register.low, rel=0.01)
    assert fitted["test"]["mean"] <= 0.20
    assert technology.static.uw_per_lut.nominal * 0.274080 == pytest.approx(fitted["static"]["least"], rel=0.01)
