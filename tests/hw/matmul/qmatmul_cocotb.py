"""Cocotb side of test_qmatmul.py: commands one after the other, with gaps and back-pressure, bit for bit."""

import itertools
import json
import os
import random

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge
from rtlm.hw.formats import BlockFormat, Blocks, pack_tiles
from rtlm.hw.hls import F32, to_bits
from rtlm.hw.matmul.params import MatmulParams
from rtlm.hw.matmul.qmatmul import ACTIVATION_BLOCK, QMATMUL_COMMAND, QMatmul
from rtlm.hw.matmul.unit import MatrixUnit
from rtlm.sim.unit_benches.streams import UNIT_MARGIN, Sink, Source, budget, power_up, until

COMMANDS = 12
CHANCE = 0.55
SLOW = 0.03
"""Chance that a source offers, or the sink takes, in a cycle; and that of the source named by BENCH_SLOW."""


def number(layout, values):
    return layout.const(values).as_value().value


def draw(rng, params):
    """One command: its payload, blocks, words and results."""
    format = BlockFormat(int(rng.integers(0, 3)))
    k_blocks, active = int(rng.integers(1, params.max_k_blocks + 1)), int(rng.integers(1, params.columns + 1))
    rows = int(rng.integers(1, 40))
    shape = (rows, k_blocks)
    d = rng.normal(0, 0.05, shape).astype(np.float16).view(np.uint16)
    m = rng.normal(0, 0.05, shape).astype(np.float16).view(np.uint16) if format.has_minimum else None
    weights = Blocks(format=format, u=rng.integers(0, 1 << format.bits, (*shape, 32)).astype(np.uint8), d=d, m=m)
    a = rng.integers(-255, 256, (active, k_blocks, 32)).astype(np.int16)
    s = rng.integers(0x3000, 0x4000, (active, k_blocks)).astype(np.uint16)
    shift = int(rng.integers(5, params.max_packet_rows.bit_length()))
    command = {"format": int(format), "k_blocks": k_blocks, "rows": rows, "packet_shift": shift}
    blocks = [
        number(ACTIVATION_BLOCK, {"a": [int(v) for v in a[c, k]], "s": int(s[c, k])})
        for k in range(k_blocks)
        for c in range(active)
    ]
    words = [int.from_bytes(word.tobytes(), "little") for word in pack_tiles(params.tile, weights)]
    whole_beats = np.pad(QMatmul.model(weights, a, s), ((0, 0), (0, -rows % params.vector_lanes)))
    y = MatrixUnit.order(whole_beats, 1 << shift)
    return number(QMATMUL_COMMAND, command | {"columns_active": active}), blocks, words, to_bits(y, F32).tolist()


def chance(name):
    return SLOW if name == os.environ["BENCH_SLOW"] else CHANCE


@cocotb.test
async def products(dut):
    params = MatmulParams(**json.loads(os.environ["BENCH_PARAMS"]))
    seed = int(os.environ["BENCH_SEED"])
    rng = np.random.default_rng(seed)
    commands, blocks, words, results = zip(*(draw(rng, params) for _ in range(COMMANDS)), strict=True)
    streams = {
        "i_command": commands,
        "i_activations": list(itertools.chain(*blocks)),
        "i_words": list(itertools.chain(*words)),
    }
    sources = {name: Source(dut, name, random.Random(f"{seed} {name}")) for name in streams}
    sink = Sink(dut, "o", random.Random(f"{seed} o"), chance=chance("o"))
    await power_up(dut)
    for stream in (*sources.values(), sink):
        cocotb.start_soon(stream.run())
    for name, payloads in streams.items():
        sources[name].chance = chance(name)
        sources[name].push(payloads)
    expected = list(itertools.chain(*results))
    beats = len(expected) // params.vector_lanes
    own = UNIT_MARGIN * (len(streams["i_words"]) * params.word_cycles + COMMANDS * int(os.environ["BENCH_LATENCY"]))
    most = own + sum(budget(len(payloads), chance(name)) for name, payloads in streams.items())
    most += budget(beats, chance("o"))

    def complete():
        return len(sink.taken) >= beats

    await until(dut, complete, most, lambda: f"{len(sink.taken)} of {beats} beats of results")
    for _ in range(20):
        await RisingEdge(dut.clk)
    assert dut.idle.value == 1
    got = [(beat >> 32 * lane) & 0xFFFFFFFF for beat in sink.taken for lane in range(params.vector_lanes)]
    wrong = [n for n, pair in enumerate(zip(got, expected, strict=False)) if pair[0] != pair[1]]
    assert len(got) == len(expected), f"{len(got)} of {len(expected)} results came out"
    assert not wrong, f"{len(wrong)} of {len(expected)} results are wrong, the first is number {wrong[0]}"
