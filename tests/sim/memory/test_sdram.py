"""LiteDRAM's controller with a model of the board's SDRAM: data, rates, refreshes; the model refuses misuse."""

import json

import pytest
from rtlm.gen.boards.sdram import missing_packages
from rtlm.sim.memory.sdram import COUNTS, PROBE_PORTS, SOURCES, Violation, sdram_sources, with_sdram
from rtlm.sim.unit_benches.sdram.bench import sdram_benches


@pytest.mark.slow
def test_the_controller_before_a_memory_that_checks_it(tmp_path, seed):
    if missing := missing_packages():
        pytest.skip(f"the SDRAM's controller is LiteDRAM, and {' and '.join(missing)} are not installed")
    (bench,) = sdram_benches()
    run = bench.run(tmp_path, seed=seed)
    assert run.passed, run.complaint
    names = {"random_accesses", "sequential_rates", "refreshes_keep_the_pace", "misuse_is_refused"}
    assert {each.name for each in run.outcomes} == names
    rates = json.loads((tmp_path / "rates.json").read_text())
    assert all(3.6 < rate < 4 for rate in rates.values())


def test_numbers_of_violations_are_those_of_the_model():
    text = sdram_sources()
    declared = text.split("localparam [4:0] ")[1].split(";")[0].replace("\n", " ")
    numbers = {name: int(number) for name, number in (each.split("=") for each in declared.replace(" ", "").split(","))}
    assert numbers == {each.name: each.value for each in Violation if each}


def test_the_bench_has_the_designs_ports_but_the_memorys():
    ports = [
        {"name": "clk", "direction": "input", "bits": 1},
        {"name": "sdram_a", "direction": "output", "bits": 13},
        {"name": "sdram_d", "direction": "inout", "bits": 16},
    ]
    text = with_sdram("module top(); endmodule\n", ports, "top", {"STOPS": 1}, probe={})
    head = text.split("module bench(")[1].split(");")[0]
    assert "input [0:0] clk" in head and "] sdram_a," not in head and "] sdram_d," not in head
    assert all(f"sdram_{name}" in head for name in COUNTS) and all(f"probe_{name}" in head for name in PROBE_PORTS)
    assert "sdram_model #(.STOPS(1)) memory(.clear(1'b0), .a(sdram_a), .d(sdram_d)" in text and len(SOURCES) == 2
