"""Benches are built once, run with their seed, and say what failed; coverage is read as Verilator writes it."""

import textwrap

import pytest
from rtlm.gen.common.errors import ToolError
from rtlm.sim.verilator import cocotb_runner
from rtlm.sim.verilator.cocotb_runner import build_cocotb, read_results, run_cocotb
from rtlm.sim.verilator.coverage import Covered, read_coverage, total

COUNTER = """
module counter(input clk, output reg [7:0] q);
  initial q = 0;
  always @(posedge clk) q <= q + 1;
endmodule
"""
TESTS = """
import os
import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles

@cocotb.test
async def counts(dut):
    cocotb.start_soon(Clock(dut.clk, 10, unit="ns").start())
    await ClockCycles(dut.clk, 6)
    assert int(dut.q.value) == int(os.environ["EXPECTED"]), f"q is {int(dut.q.value)}, seed {os.environ['BENCH_SEED']}"

@cocotb.test
async def stands(dut):
    pass
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "counter_cocotb.py").write_text(textwrap.dedent(TESTS))
    monkeypatch.syspath_prepend(str(tmp_path))
    return "counter_cocotb"


@pytest.fixture(params=[True, False], ids=["python-library", "python-program"])
def python_library(request, monkeypatch):
    """Whether Python has a shared library; where it has, the other way is tried too."""
    if request.param and not cocotb_runner.has_python_library():
        pytest.skip("this Python has no shared library")
    monkeypatch.setattr(cocotb_runner, "has_python_library", lambda: request.param)


@pytest.mark.slow
@pytest.mark.usefixtures("python_library")
def test_a_build_is_kept_and_a_failure_is_told(module, tmp_path):
    cache = tmp_path / "cache"
    first = build_cocotb(COUNTER, top="counter", waves=True, cache=cache)
    again = build_cocotb(COUNTER, top="counter", waves=True, cache=cache)
    assert not first.cached and again.cached and first.folder == again.folder
    run = run_cocotb(again, module=module, folder=tmp_path / "good", seed=5, environment={"EXPECTED": "5"})
    assert run.passed and [each.name for each in run.outcomes] == ["counts", "stands"]
    assert run.outcomes[0].cycles == 5  # six edges, the first at time 0
    assert run.waveform is not None and run.waveform.stat().st_size > 0

    run = run_cocotb(again, module=module, folder=tmp_path / "bad", seed=5, environment={"EXPECTED": "9"})
    assert not run.passed
    assert "q is 5, seed 5" in run.complaint
    run = run_cocotb(again, module=module, folder=tmp_path / "one", seed=5, tests="stands")
    assert run.passed and [each.name for each in run.outcomes] == ["stands"]
    run = run_cocotb(again, module="no_such_module", folder=tmp_path / "none", seed=5)
    assert not run.passed and "no_such_module" in run.complaint

    with pytest.raises(ToolError, match="Verilator failed: "):
        build_cocotb("module counter(input clk); oops", top="counter", waves=True, cache=cache)


def test_results_that_are_missing_or_cut_off_hold_nothing(tmp_path):
    assert read_results(tmp_path / "none.xml") == ()
    (tmp_path / "half.xml").write_text("<testsuites><testsuite")
    assert read_results(tmp_path / "half.xml") == ()


def test_coverage_is_added_up(tmp_path):
    def line(kind, module, number, count):
        return f"C '\x01f\x02x.v\x01l\x02{number}\x01page\x02v_{kind}/{module}\x01h\x02top' {count}\n"

    (tmp_path / "a.dat").write_text("# SystemC::Coverage-3\n" + line("line", "m", 1, 3) + line("toggle", "m", 2, 0))
    (tmp_path / "b.dat").write_text(line("toggle", "m", 2, 1) + line("line", "n", 4, 0))
    coverage = read_coverage([tmp_path / "a.dat", tmp_path / "b.dat"])
    assert coverage["m", "line"] == Covered(hit=1, total=1)
    assert coverage["m", "toggle"].percent == 100
    assert total(coverage, "line") == Covered(hit=1, total=2)
    assert total(coverage, "branch").percent == 100
