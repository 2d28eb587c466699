"""Cocotb side of the bench of kernels: drives each kernel with gaps, checks values, order, latency and throughput."""

import json
import os
import pathlib
import random

import cocotb
from cocotb.triggers import RisingEdge
from cocotb.utils import get_sim_time
from rtlm.sim.unit_benches.points import Points
from rtlm.sim.unit_benches.streams import UNIT_MARGIN, Sink, Source, budget, power_up, until
from rtlm.sim.verilator.cocotb_runner import CLOCK_PERIOD_NS

MOODS = ((0, 0), (0.5, 0), (0, 0.5), (0.3, 0.3), (0.9, 0), (0, 0.9))
"""Chances that the source pauses and that the sink does."""


class Check:
    """Compares every beat of a kernel with the model's, and notes when it came."""

    def __init__(self, case):
        self.name, self.fields = case["name"], case["fields"]
        self.beats = [int(beat, 16) for beat in case["outputs"]]
        self.times: list[float] = []
        self.wrong: list[str] = []

    def __call__(self, seen, number):
        assert number < len(self.beats), f"{self.name}: a beat too many"
        beat = self.beats[number]
        self.times.append(get_sim_time("ns") / CLOCK_PERIOD_NS)
        for field, offset, width in self.fields if seen != beat else ():
            got, want = (v >> offset & ((1 << width) - 1) for v in (seen, beat))
            if got != want:
                self.wrong.append(f"{self.name}: beat {number}, {field} is {got:#x}, the model says {want:#x}")


async def exercise(dut, case, seed, points):
    name, check = case["name"], Check(case)
    rng, *sides = (random.Random(f"{seed} {name} {what}") for what in ("moods", "source", "sink"))
    source = Source(dut, f"{name}_i", sides[0], separator="_")
    sink = Sink(dut, f"{name}_o", sides[1], check=check, separator="_")
    met: set[tuple[float, float]] = {(0, 0)}

    async def moods():
        await RisingEdge(dut.clk)
        for _ in range(case["expected_first"] + 40):  # flat out first: latency and throughput
            await RisingEdge(dut.clk)
        while True:
            idle, stall = rng.choice(MOODS)
            source.chance, sink.chance = 1 - idle, 1 - stall
            met.add((idle, stall))
            for _ in range(rng.randrange(1, 100)):
                await RisingEdge(dut.clk)

    inputs = [int(beat, 16) for beat in case["inputs"]]
    start = get_sim_time("ns") / CLOCK_PERIOD_NS
    source.push(inputs)
    tasks = [cocotb.start_soon(task()) for task in (moods, source.run, sink.run)]
    slowest = [1 - max(pauses) for pauses in zip(*MOODS, strict=True)]
    most = sum(budget(len(beats), chance) for beats, chance in zip((inputs, check.beats), slowest, strict=True))
    most += UNIT_MARGIN * (len(inputs) * case["passes"] + case["latency"])

    def complete():
        return not source.queue and len(sink.taken) == len(check.beats)

    await until(dut, complete, most, lambda: f"{name}: {len(sink.taken)} of {len(check.beats)} beats came")
    tasks[0].cancel()
    sink.chance = 1.0
    for _ in range(100):
        await RisingEdge(dut.clk)
    times, wrong = check.times, check.wrong
    assert not wrong, f"{len(wrong)} wrong fields; the first:\n" + "\n".join(wrong[:12])
    first = times[0] - start - 1
    assert first == case["expected_first"], (
        f"{name}: the first beat came after {first} cycles, not {case['expected_first']}"
    )
    if not case["reduces"]:
        steady = times[min(20, len(times) - 1)] - times[0]
        assert steady == min(20, len(times) - 1), f"{name}: {steady} cycles for 20 beats"
    for idle, stall in met:
        points.hit("kernel x pauses of source and sink", name, idle, stall)


@cocotb.test
async def kernels(dut):
    folder = pathlib.Path(os.environ["BENCH_FOLDER"])
    cases = json.loads((folder / "cases.json").read_text())
    points = Points(folder)
    moods = [f"{idle}, {stall}" for idle, stall in MOODS]
    points.cross("kernel x pauses of source and sink", [case["name"] for case in cases], moods)
    seed = int(os.environ["BENCH_SEED"])
    print(f"seed {seed}")
    idle = {f"{case['name']}_{port}": 0 for case in cases for port in ("i_valid", "o_ready")}
    await power_up(dut, **idle)
    await RisingEdge(dut.clk)
    tasks = [cocotb.start_soon(exercise(dut, case, seed, points)) for case in cases]
    for task in tasks:
        await task
