"""Sources, sinks and budgets of the benches: what they let pass, and which faults of a stream they name."""

import math
import os

import pytest
from rtlm.sim.unit_benches.streams import EXPONENT, budget
from rtlm.sim.verilator.cocotb_runner import build_cocotb, run_cocotb

FAULTS = {
    "overwrites": "o: payload changed or valid fell while it was not taken",
    "withdraws": "o: payload changed or valid fell while it was not taken",
    "refuses": "i: 50 of 50 payloads were not taken within 160 cycles",
    "drops": "49 of 50 within",
    "takes what is not offered": "is not",
}
STAGE = """
module stage(input clk, input rst, input [2:0] fault,
             input [15:0] i__payload, input i__valid, output i__ready,
             output reg [15:0] o__payload, output reg o__valid, input o__ready);
  initial o__valid = 0;
  assign i__ready = (o__ready | ~o__valid) & ~(fault == 3);
  always @(posedge clk)
    if (rst) o__valid <= 0;
    else if (i__ready | (fault == 1)) begin
      o__valid <= (i__valid & ~(fault == 4 & i__payload == 49)) | (fault == 5);
      o__payload <= i__payload + 1;
    end else if (fault == 2) o__valid <= 0;
endmodule
"""
BENCH = """
import os
import random

import cocotb
from rtlm.sim.unit_benches.streams import Sink, Source, budget, power_up, until

@cocotb.test
async def moves(dut):
    seed, expected = os.environ["BENCH_SEED"], range(1, 51)

    def check(payload, number):
        assert payload == expected[number], f"{payload} is not {expected[number]}"

    source = Source(dut, "i", random.Random(f"{seed} i"))
    await power_up(dut, fault=int(os.environ["FAULT"]))
    for offer, take in ((1.0, 1.0), (1.0, 0.3), (0.3, 1.0), (0.2, 0.2)):
        sink = Sink(dut, "o", random.Random(f"{seed} o"), chance=take, check=check)
        source.chance = offer
        tasks = [cocotb.start_soon(stream.run()) for stream in (source, sink)]
        most = budget(50, offer) + (budget(50, take) if take < 1 else 0)
        await source.send(*(number - 1 for number in expected), cycles=most)
        await until(dut, lambda: len(sink.taken) == 50, most, lambda: f"{len(sink.taken)} of 50")
        for task in tasks:
            task.cancel()
        dut._log.info("passed %.1f %.1f", offer, take)
"""


@pytest.mark.slow
def test_streams_pass_and_faults_are_named(tmp_path, monkeypatch, seed):
    (tmp_path / "stage_cocotb.py").write_text(BENCH)
    monkeypatch.syspath_prepend(str(tmp_path))
    build = build_cocotb(STAGE, top="stage")

    def run(number, name):
        folder = tmp_path / name.replace(" ", "-")
        return run_cocotb(
            build, module="stage_cocotb", folder=folder, seed=seed, environment={**os.environ, "FAULT": str(number)}
        )

    sound = run(0, "sound")
    assert sound.passed, sound.complaint
    for number, (name, complaint) in enumerate(FAULTS.items(), 1):
        faulty = run(number, name)
        assert not faulty.passed and complaint in faulty.complaint, f"{name}: {faulty.complaint or 'unnoticed'}"


@pytest.mark.parametrize("chance", [1.0, 0.6, 0.15, 0.05])
@pytest.mark.parametrize("count", [1, 2, 10, 100, 1000])
def test_a_budget_is_missed_once_in_ten_to_the_thirteen(count, chance):
    """The probability of fewer than `count` successes in as many tries as the budget has cycles."""
    cycles = budget(count, chance)

    def probability(successes):
        ways = math.lgamma(cycles + 1) - math.lgamma(successes + 1) - math.lgamma(cycles - successes + 1)
        return math.exp(ways + successes * math.log(chance) + (cycles - successes) * math.log1p(-chance))

    if chance < 1:
        assert sum(probability(successes) for successes in range(count)) < math.exp(-EXPONENT)
    assert count <= cycles <= 2 * count / chance + 2 * EXPONENT / chance + 1
