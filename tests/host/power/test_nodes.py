"""Scaling between nodes: the published example, and that the SRAM's figures are CACTI's times the published factors."""

import pytest
from rtlm.host.power.cells import cell_technology
from rtlm.host.power.nodes import nodes


def test_the_example_of_the_papers_erratum():
    assert nodes()[32].energy_factor == pytest.approx(0.4571, abs=1e-4)
    square, linear, constant = nodes()[65].energy
    assert square * 1.3**2 + linear * 1.3 + constant == pytest.approx(2.604, abs=1e-3)


def test_energy_and_area_fall_from_node_to_node():
    found = [nodes()[length] for length in sorted(nodes(), reverse=True)]
    assert [each.area for each in found] == sorted((each.area for each in found), reverse=True)
    factors = [each.energy_factor for each in found]
    assert factors == sorted(factors, reverse=True) and factors[-1] > 0


def test_srams_are_scaled_from_90_nm():
    sram, coarse, fine = cell_technology().conditions.sram, nodes()[180], nodes()[90]
    assert sram.pj_per_bit.nominal == pytest.approx(0.0118 * coarse.energy_factor / fine.energy_factor, rel=0.01)
    assert sram.pj_per_bit.low == pytest.approx(0.0118 * 180 / 90 * (coarse.volt / fine.volt) ** 2, rel=0.01)
    assert sram.um2_per_bit.nominal == pytest.approx(3.23 / fine.area, rel=0.02)
    assert sram.um2_per_column.nominal == pytest.approx(95 / fine.area, rel=0.02)
