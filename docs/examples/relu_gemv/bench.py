"""Bench of the changed unit: random products with gaps and back-pressure, against NumPy.

``python docs/examples/relu_gemv/bench.py`` generates the unit, builds it with Verilator and runs this module in cocotb.
"""

import os
import random
import sys
from pathlib import Path

import cocotb
import numpy as np
from relu_gemv import ReluGemv
from rtlm.hw import Gemv, GemvParams
from rtlm.hw.formats import BlockFormat, Blocks, pack_tiles
from rtlm.hw.hls import F32, to_bits
from rtlm.hw.matmul.qmatmul import ACTIVATION_BLOCK, GEMV_COMMAND
from rtlm.sim.unit_benches.bench import Bench, Prepared, verilog_text
from rtlm.sim.unit_benches.streams import Sink, Source, power_up, until

PARAMS = GemvParams(lanes=32, vector_lanes=2, max_k_blocks=4)
CLOCK_MHZ = 100
PRODUCTS = 20
CYCLES = 20_000
"""More than all products take."""


def prepare() -> Prepared:
    """Generate the unit."""
    return Prepared(verilog=verilog_text(ReluGemv(PARAMS, clock_mhz=CLOCK_MHZ), "relu_gemv"), top="relu_gemv")


BENCH = Bench(unit="relu-gemv", name="small", module="bench", prepare=prepare)


def draw(rng):
    """Draw a product: weights, codes and scales of the vector."""
    rows, k_blocks = 2 * int(rng.integers(1, 9)), int(rng.integers(1, PARAMS.max_k_blocks + 1))
    codes = rng.integers(0, 16, (rows, 32 * k_blocks)).astype(np.uint8)
    weights = Blocks.from_groups(BlockFormat.Q4_0, codes, rng.normal(0, 0.02, (rows, k_blocks)).astype(np.float16))
    return weights, rng.integers(-255, 256, (k_blocks, 32)).astype(np.int16), rng.integers(0x3B00, 0x3D00, k_blocks)


def golden(weights, activations, scales):
    """Return what has to come out: the GEMV's model and NumPy's maximum."""
    results = Gemv.model(weights, activations, scales.astype(np.uint16))
    return np.where(results > 0, results, np.float32(0))


@cocotb.test
async def gates_equal_numpy(dut):
    """Send all products, and compare every beat."""
    seed = int(os.environ["BENCH_SEED"])
    products = [draw(np.random.default_rng([seed, n])) for n in range(PRODUCTS)]
    results = np.concatenate([golden(*product) for product in products])
    bits = to_bits(results, F32).tolist()
    expected = [low | high << 32 for low, high in zip(bits[::2], bits[1::2], strict=True)]

    def check(beat, number):
        assert beat == expected[number], f"beat {number} is {beat:#x}; NumPy says {expected[number]:#x}"

    sources = {
        name: Source(dut, name, random.Random(f"{seed} {name}"), chance=0.7)
        for name in ("i_command", "i_activations", "i_words")
    }
    sink = Sink(dut, "o", random.Random(f"{seed} o"), chance=0.7, check=check)
    await power_up(dut)
    for each in (*sources.values(), sink):
        cocotb.start_soon(each.run())
    for weights, activations, scales in products:
        rows, k_blocks = weights.u.shape[:2]
        fields = {"format": int(weights.format), "k_blocks": k_blocks, "rows": rows}
        sources["i_command"].push([GEMV_COMMAND.const(fields).as_value().value])
        sources["i_activations"].push(
            ACTIVATION_BLOCK.const({"a": a.tolist(), "s": int(s)}).as_value().value
            for a, s in zip(activations, scales, strict=True)
        )
        words = pack_tiles(PARAMS.matmul.tile, weights)
        sources["i_words"].push(int.from_bytes(word.tobytes(), "little") for word in words)
    await until(dut, lambda: len(sink.taken) == len(expected), CYCLES, lambda: f"{len(sink.taken)} beats came out")
    assert 0 < np.count_nonzero(results) < len(results)


def main(folder: Path, seed: int) -> int:
    """Build, run, say how it went, and return an exit code."""
    run = BENCH.run(folder, seed=seed, progress=print)
    print(f"{BENCH.full_name}, seed {seed}: {'gates and NumPy agree' if run.passed else run.complaint}")
    return 0 if run.passed else 1


if __name__ == "__main__":
    sys.exit(main(Path("build/relu_gemv"), seed=int(sys.argv[1]) if sys.argv[1:] else 1))
