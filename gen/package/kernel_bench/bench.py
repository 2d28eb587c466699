"""Random data, gaps and back-pressure through the generated kernel, against its golden model, bit for bit.

``python bench.py`` builds the Verilog beside this file with Verilator and runs this module in cocotb; it exits with 1
when something differs. ``python bench.py 7`` takes another seed.
"""

import itertools
import json
import os
import pathlib
import random
import sys
import warnings

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ReadOnly, RisingEdge
from rtlm.gen.package.user_kernel import load_kernel
from rtlm.hw import hls

HERE = pathlib.Path(__file__).resolve().parent
SETTINGS = json.loads((HERE / "bench.json").read_text())
PORTS = {port["name"]: port for port in json.loads((HERE / "manifest.json").read_text())["ports"]}
CHANCES = (1.0, 0.7, 0.2)
"""Chances that the source offers, or the sink takes, in a cycle."""
TIMEOUT = 200
"""Cycles for each beat, beyond which the bench gives up."""


def random_bits(rng, type_, shape):
    """Draw bit patterns as they may come on wires: ordinary values, and any pattern at all."""
    anything = rng.integers(0, 1 << 63, shape, dtype=np.uint64) >> np.uint64(max(0, 63 - type_.width))
    anything = anything & np.uint64((1 << type_.width) - 1)
    if not isinstance(type_, hls.Float):
        return anything
    values = hls.types.round_to(rng.normal(size=shape) * 2.0 ** rng.integers(-4, 5, shape), type_)
    ordinary = hls.to_bits(values, type_).astype(np.uint64)
    return np.where(rng.random(shape) < 0.9, ordinary, anything)


def packets(rng, beats, longest):
    """Draw where packets end, none longer than `longest` beats."""
    last = rng.random(beats) < 0.15
    run = 0
    for n in range(beats):
        run += 1
        last[n] |= run >= longest
        run = 0 if last[n] else run
    last[-1] = True
    return last


def pack(port, columns):
    """Put arrays of bits, by field name, into the payloads of a port."""
    payloads = [0] * len(next(iter(columns.values())))
    for part in PORTS[port]["fields"]:
        bits = columns[part["name"].partition("[")[0]].reshape(len(payloads), -1)
        width = part.get("each", part["bits"])
        for lane in range(bits.shape[1]):
            for n, value in enumerate(bits[:, lane].tolist()):
                payloads[n] |= int(value) << (part["offset"] + lane * width)
    return payloads


def make_beats(seed):
    """Draw the inputs, and compute the expected outputs with the golden model."""
    rng = np.random.default_rng(seed)
    kernel, lanes, count = load_kernel(SETTINGS["kernel"], HERE), SETTINGS["lanes"], SETTINGS["beats"]
    last = packets(rng, count, SETTINGS["max_length"] or count)
    inputs, values = {}, []
    for name, (type_, shared) in kernel.arguments.items():
        inputs[name] = random_bits(rng, type_, (count,) if shared else (count, lanes))
        values.append(hls.from_bits(inputs[name].astype(np.int64 if type_.width < 64 else np.uint64), type_))
    graph = kernel.graph
    if graph.reduces:
        inputs["last"] = last
        results = kernel.model(*values, last=last)
    else:
        results = kernel.model(*(v[:, None] if v.ndim == 1 else v for v in values))
    outputs = {}
    results = [results] if kernel.result_class is None else list(results)
    for (name, type_), value, node in zip(kernel.results.items(), results, graph.results, strict=True):
        bits = hls.to_bits(value, type_)
        outputs[name] = bits if node.per_lane or bits.ndim == 1 else bits[:, 0]
    if graph.reduces:
        outputs["last"] = np.ones(int(last.sum()), dtype=bool) if graph.once_per_packet else last
    return pack("i__payload", inputs), pack("o__payload", outputs)


async def drive(dut, payloads, rng):
    """Offer the inputs, with gaps."""
    for number, payload in enumerate(payloads):
        chance = CHANCES[number * len(CHANCES) // len(payloads)]
        while rng.random() >= chance:
            dut.i__valid.value = 0
            await RisingEdge(dut.clk)
        dut.i__valid.value, dut.i__payload.value = 1, payload
        taken = False
        while not taken:
            await ReadOnly()
            taken = bool(dut.i__ready.value)
            await RisingEdge(dut.clk)
    dut.i__valid.value = 0


@cocotb.test
async def gates_equal_model(dut):
    """Compare every beat that comes out, and that a beat which is not taken stays."""
    seed = int(os.environ["BENCH_SEED"])
    inputs, expected = make_beats(seed)
    rng = random.Random(seed)
    dut.i__valid.value, dut.o__ready.value, dut.rst.value = 0, 0, 1
    cocotb.start_soon(Clock(dut.clk, 10, unit="ns").start())
    for _ in range(3):
        await RisingEdge(dut.clk)
    dut.rst.value = 0
    cocotb.start_soon(drive(dut, inputs, random.Random(seed + 1)))
    held, number = None, 0
    for cycle in itertools.count():
        assert cycle < TIMEOUT * len(inputs), f"after {cycle} cycles only {number} of {len(expected)} beats came out"
        chance = CHANCES[number * len(CHANCES) // len(expected)] if number < len(expected) else 1
        dut.o__ready.value = ready = int(rng.random() < chance)
        await ReadOnly()
        seen = int(dut.o__payload.value) if dut.o__valid.value else None
        await RisingEdge(dut.clk)
        assert held is None or seen == held, f"beat {number} changed while it was not taken"
        held = seen if not ready else None
        if seen is not None and ready:
            assert number < len(expected), "more beats came out than the model gives"
            assert seen == expected[number], f"beat {number} is {seen:#x}; the model says {expected[number]:#x}"
            number += 1
        if number == len(expected):
            break


def main():
    """Build and run."""
    from rtlm.sim.verilator.cocotb_runner import build_cocotb, run_cocotb

    seed = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    top = SETTINGS["top"]
    build = build_cocotb((HERE / f"{top}.v").read_text(), top=top, progress=print)
    run = run_cocotb(build, module="bench", folder=HERE / "bench-results", seed=seed)
    print(f"{top}, seed {seed}: {'gates and model agree' if run.passed else run.complaint}")
    return 0 if run.passed else 1


if __name__ == "__main__":
    warnings.filterwarnings("ignore", module="amaranth")
    sys.exit(main())
