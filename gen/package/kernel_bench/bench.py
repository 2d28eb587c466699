"""Random data, gaps and back-pressure through the generated kernel, against its golden model, bit for bit.

``python bench.py`` builds the Verilog beside this file with Verilator and runs this module in cocotb; it exits with 1
when something differs. ``python bench.py 7`` takes another seed.
"""

import json
import os
import pathlib
import random
import sys
import warnings

import cocotb
import numpy as np
from rtlm.gen.package.user_kernel import load_kernel
from rtlm.hw import hls
from rtlm.sim.unit_benches.streams import UNIT_MARGIN, Sink, Source, budget, power_up, until

HERE = pathlib.Path(__file__).resolve().parent
SETTINGS = json.loads((HERE / "bench.json").read_text())
MANIFEST = json.loads((HERE / "manifest.json").read_text())
PORTS = {port["name"]: port for port in MANIFEST["ports"]}
CHANCES = (1.0, 0.7, 0.2)
"""Chances that the source offers, or the sink takes, in a cycle."""


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


@cocotb.test
async def gates_equal_model(dut):
    """Compare every beat that comes out; one that is not taken must stay."""
    seed = int(os.environ["BENCH_SEED"])
    inputs, expected = make_beats(seed)

    def check(seen, number):
        assert number < len(expected), "more beats came out than the model gives"
        assert seen == expected[number], f"beat {number} is {seen:#x}; the model says {expected[number]:#x}"
        sink.chance = CHANCES[(number + 1) * len(CHANCES) // (len(expected) + 1)]

    source = Source(dut, "i", random.Random(f"{seed} i"))
    sink = Sink(dut, "o", random.Random(f"{seed} o"), check=check)
    await power_up(dut)
    for stream in (source, sink):
        cocotb.start_soon(stream.run())
    # As if all beats went in and came out as slowly as some do, and not at once.
    slowest = min(CHANCES)
    moves = budget(len(inputs), slowest) + budget(len(expected), slowest)
    most = moves + UNIT_MARGIN * MANIFEST["cost"]["latency_cycles"]
    for part, chance in enumerate(CHANCES):
        first, behind = (n * len(inputs) // len(CHANCES) for n in (part, part + 1))
        source.chance = chance
        await source.send(*inputs[first:behind], cycles=most)
    await until(
        dut,
        lambda: len(sink.taken) == len(expected),
        most,
        lambda: f"{len(sink.taken)} of {len(expected)} beats came out",
    )


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
