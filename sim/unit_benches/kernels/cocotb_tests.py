"""Cocotb side of kernels.py: drives each kernel with gaps, checks values, order, latency and throughput."""

import itertools
import json
import os
import pathlib
import random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ReadOnly, RisingEdge
from cocotb.utils import get_sim_time
from rtlm.sim.unit_benches.points import Points

PERIOD_NS = 10
MOODS = ((0, 0), (0.5, 0), (0, 0.5), (0.3, 0.3), (0.9, 0), (0, 0.9))
"""Chances that the source pauses and that the sink does."""
PATIENCE = 20_000
"""Cycles without a beat after which the bench gives up: many times the longest packet at the slowest pace."""


async def drive(dut, name, beats, rng, idle):
    valid, payload, ready = (getattr(dut, f"{name}_i_{s}") for s in ("valid", "payload", "ready"))
    for beat in beats:
        while rng.random() < idle():
            valid.value = 0
            payload.value = rng.getrandbits(len(payload))
            await RisingEdge(dut.clk)
        valid.value = 1
        payload.value = beat
        while True:
            await ReadOnly()
            taken = int(ready.value)
            await RisingEdge(dut.clk)
            if taken:
                break
    valid.value = 0


async def check(dut, case, rng, stall, times):
    name, beats = case["name"], [int(b, 16) for b in case["outputs"]]
    valid, payload, ready = (getattr(dut, f"{name}_o_{s}") for s in ("valid", "payload", "ready"))
    held, wrong, fields = None, [], case["fields"]
    for number, beat in enumerate(beats):
        for cycle in itertools.count():
            assert cycle < PATIENCE, f"{name}: {number} of {len(beats)} beats came out, then none for {cycle} cycles"
            ready.value = int(rng.random() >= stall())
            await ReadOnly()
            is_valid, is_ready = int(valid.value), int(ready.value)
            seen = int(payload.value) if is_valid else None
            await RisingEdge(dut.clk)
            if held is not None:
                assert seen == held, f"{name}: payload changed or valid fell while it was not taken (beat {number})"
            held = seen if is_valid and not is_ready else None
            if is_valid and is_ready:
                break
        times.append(get_sim_time("ns") / PERIOD_NS)
        for field, offset, width in fields if seen != beat else ():
            got, want = (v >> offset & ((1 << width) - 1) for v in (seen, beat))
            if got != want:
                wrong.append(f"{name}: beat {number}, {field} is {got:#x}, the model says {want:#x}")
    assert not wrong, f"{len(wrong)} wrong fields; the first:\n" + "\n".join(wrong[:12])
    ready.value = 1
    for _ in range(100):
        await ReadOnly()
        assert not int(valid.value), f"{name}: a beat too many"
        await RisingEdge(dut.clk)


async def exercise(dut, case, rng, points):
    name = case["name"]
    mood = {"idle": 0.0, "stall": 0.0}
    met: set[tuple[float, float]] = {(0, 0)}

    async def moods():
        await RisingEdge(dut.clk)
        for _ in range(case["expected_first"] + 40):  # flat out first: latency and throughput
            await RisingEdge(dut.clk)
        while True:
            mood["idle"], mood["stall"] = rng.choice(MOODS)
            met.add((mood["idle"], mood["stall"]))
            for _ in range(rng.randrange(1, 100)):
                await RisingEdge(dut.clk)

    times: list[float] = []
    task = cocotb.start_soon(moods())
    start = get_sim_time("ns") / PERIOD_NS
    driver = cocotb.start_soon(drive(dut, name, [int(b, 16) for b in case["inputs"]], rng, lambda: mood["idle"]))
    await check(dut, case, rng, lambda: mood["stall"], times)
    await driver
    task.cancel()
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
    for case in cases:
        getattr(dut, f"{case['name']}_i_valid").value = 0
        getattr(dut, f"{case['name']}_o_ready").value = 0
    dut.rst.value = 1
    cocotb.start_soon(Clock(dut.clk, PERIOD_NS, unit="ns").start())
    for _ in range(3):
        await RisingEdge(dut.clk)
    dut.rst.value = 0
    await RisingEdge(dut.clk)
    tasks = [cocotb.start_soon(exercise(dut, case, random.Random(f"{seed} {case['name']}"), points)) for case in cases]
    for task in tasks:
        await task
