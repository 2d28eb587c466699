"""Random packets, gaps and back-pressure through the generated region, against its golden model, bit for bit.

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
from rtlm.gen.package.user_kernel import load_region
from rtlm.gen.rtl.units import KernelParams
from rtlm.sim.unit_benches.kernels.regions import bench_beats
from rtlm.sim.unit_benches.streams import UNIT_MARGIN, Sink, Source, budget, power_up, until

HERE = pathlib.Path(__file__).resolve().parent
SETTINGS = json.loads((HERE / "bench.json").read_text())
MANIFEST = json.loads((HERE / "manifest.json").read_text())
CHANCES = (1.0, 0.7, 0.2)
"""Chances that a source offers, or a sink takes, in a cycle, one after another."""


def make_beats(seed):
    """Draw the payloads of each input, and compute those of each output with the golden model."""
    params = KernelParams(**MANIFEST["parameters"])
    directives = params.directives(clock_mhz=MANIFEST["clock_mhz"], technology=MANIFEST["technology"])
    plan = load_region(SETTINGS["kernel"], HERE).plan(directives, max_length=params.max_length)
    inputs, outputs = bench_beats(plan, seed, SETTINGS["beats"])
    names = [node.name for node in plan.graph.inputs], [node.name for node in plan.graph.outputs]
    return dict(zip(names[0], inputs, strict=True)), dict(zip(names[1], outputs, strict=True))


def checked_sink(dut, name, expected, seed):
    """Make a sink that compares every beat, and becomes slower in the course of the test."""

    def check(seen, number):
        assert number < len(expected), f"{name}: more beats came out than the model gives"
        assert seen == expected[number], f"{name}: beat {number} is {seen:#x}; the model says {expected[number]:#x}"
        sink.chance = CHANCES[(number + 1) * len(CHANCES) // (len(expected) + 1)]

    sink = Sink(dut, name, random.Random(f"{seed} {name}"), check=check)
    return sink


@cocotb.test
async def gates_equal_model(dut):
    """Compare every beat that comes out of every output."""
    seed = int(os.environ["BENCH_SEED"])
    inputs, outputs = make_beats(seed)
    sources = {name: Source(dut, name, random.Random(f"{seed} {name}")) for name in inputs}
    sinks = {name: checked_sink(dut, name, expected, seed) for name, expected in outputs.items()}
    await power_up(dut)
    for part in (*sources.values(), *sinks.values()):
        cocotb.start_soon(part.run())
    # As if all beats went in and came out one after another, and as slowly as some do.
    slowest = min(CHANCES)
    moves = sum(budget(len(beats), slowest) for beats in (*inputs.values(), *outputs.values()))
    most = moves * MANIFEST["cost"]["initiation_interval"] + UNIT_MARGIN * MANIFEST["cost"]["latency_cycles"]
    for name, source in sources.items():
        source.push(inputs[name])

    def over():
        for name, source in sources.items():
            source.chance = CHANCES[source.sent * len(CHANCES) // (len(inputs[name]) + 1)]
        return all(len(sinks[name].taken) == len(expected) for name, expected in outputs.items())

    await until(
        dut,
        over,
        most,
        lambda: ", ".join(f"{len(sinks[n].taken)} of {len(outputs[n])} beats came out of {n}" for n in outputs),
    )


if __name__ == "__main__":
    from rtlm.sim.verilator.cocotb_runner import main_of_folder

    warnings.filterwarnings("ignore", module="amaranth")
    sys.exit(main_of_folder(HERE, SETTINGS["top"], sys.argv[1:]))
