"""Power of a run: what was counted in it reaches the model, per stage, and operators add up."""

import io
from dataclasses import replace

import pytest
from rich.console import Console
from rtlm.gen.configuration.load import load_config
from rtlm.gen.synthesis.cell_counts import UnitCells
from rtlm.host.power.result import Kind
from rtlm.host.power.shipped import default_rates, shipped_for
from rtlm.host.reports.measurements import DECODE
from rtlm.host.reports.report import make_report
from rtlm.host.reports.table import print_report
from rtlm.sim.memory.dram import ddr4_2400

from tests.host.reports.report_sample import sample

CLOCKS = ("data", "refresh", "row", "turnaround", "timing", "idle")
COUNTERS = {
    **dict.fromkeys((f"{name}_clocks" for name in CLOCKS), 10_000),
    **{"cycles": 5000, "activates": 40, "precharges": 36, "reads": 5000, "writes": 100, "refreshes": 7},
    "clocks_open": 45_000,
}


def counted(**changes):
    return sample(memory=replace(sample().memory, dram=ddr4_2400(), counters=COUNTERS, **changes))


def component(power, name):
    return next(each for each in power.components if each.name == name)


def test_counted_commands_take_energy():
    power = make_report(counted()).power
    # 320,000 bytes are needed in the run, 240,000 of them in the 30 us of decoding.
    per_second = 240 / 320 / 30e-6
    assert component(power, "DRAM read").w == pytest.approx(5000 * per_second * 4 * 1.2 * 0.196 * 4 / 1.2e9)
    # Seven refreshes in the 50 us of the run; a row was open for three quarters of them.
    assert component(power, "DRAM refresh").w == pytest.approx(7 / 50e-6 * 4 * 1.2 * 0.233 * 420 / 1.2e9)
    standby = 4 * (1.2 * (0.75 * 0.047 + 0.25 * 0.034) + 2.5 * 0.003)
    assert component(power, "DRAM background").w == pytest.approx(standby)
    assert "counted in the DRAM model" in component(power, "DRAM read").method


def test_prompt_and_decoding_have_their_own_power():
    report = make_report(counted())
    assert report.power.tokens_per_s == pytest.approx(100_000)
    assert report.prefill_power.tokens_per_s == pytest.approx(200_000)
    # Half the bytes in a cycle.
    traffic, before = (
        sum(each.w for each in power.components if each.kind is Kind.TRAFFIC)
        for power in (report.power, report.prefill_power)
    )
    assert before == pytest.approx(traffic / 2)
    written = report.to_json()
    assert written["prefill_power"]["j_per_token"]["nominal"] < written["power"]["j_per_token"]["nominal"]
    only = [step for step in sample().steps if step.phase == DECODE]
    assert make_report(sample(steps=only)).prefill_power is None


def test_operators_add_up():
    power = make_report(counted()).power
    assert set(power.operators) == {"qkv", "qk^t"}
    assert sum(each.nominal for each in power.operators.values()) == pytest.approx(power.total_w)
    # 60,000 of 80,000 bytes of both.
    traffic = sum(each.w for each in power.components if each.kind is Kind.TRAFFIC)
    unit, rest = component(power, "matmul").w, power.total_w - traffic - component(power, "matmul").w
    assert power.operators["qkv"].nominal == pytest.approx(0.75 * traffic + unit + 0.6 * rest)


def test_where_commands_were_not_counted_bytes_stand_for_them():
    power = make_report(sample()).power
    assert component(power, "DRAM transfers").w == pytest.approx(336_000 * 240 / 320 / 30e-6 * 8 * 15e-12)


def test_elements_and_rates_are_named():
    synthesised = make_report(replace(counted(), elements_are="synthesised elements", activity=None))
    method = component(synthesised.power, "matmul").method
    rate = default_rates().busy["matmul"]
    assert "synthesised elements" in method and f"shipped toggle rate {rate:.1%} while busy (70.0%" in method
    assert synthesised.to_json()["elements_are"] == "synthesised elements"


def test_tables_show_boundaries_and_operators():
    out = io.StringIO()
    config = {"name": "sample", "clock_mhz": 100.0, "board": "kv260", "technology": "xilinx-us+"}
    print_report(make_report(replace(counted(), config=config)), Console(file=out, width=120))
    text = out.getvalue()
    for words in ("power, the chip", "power, chip and memory", "power, at the plug", "pJ/weight bit", "mJ/token"):
        assert words in text
    assert "energy by operator while decoding" in text and "J/token of the prompt" in text
    assert "Included: the whole chip with its processor" in text


def test_standard_cells_go_before_elements():
    cells = {"matmul": UnitCells(cells={"NAND2X1": 1000, "DFFPOSX1": 100})}
    run = counted()
    power = make_report(replace(run, cells=cells, cells_are="cells told")).power
    assert "cells told" in component(power, "matmul").method and component(power, "SRAM").w == 0
    assert component(power, "matmul").w != component(make_report(run).power, "matmul").w


def test_a_run_that_counted_no_toggles_takes_the_rates_of_its_preset():
    for name in ("kv260", "asic"):
        rates = shipped_for(load_config(name))
        power = make_report(replace(counted(), activity=None, shipped=rates)).power
        assert any(f"the shipped rates of {name} are used" in note for note in power.notes)
        assert f"shipped toggle rate {rates.rates.busy['matmul']:.1%} while busy" in component(power, "matmul").method
