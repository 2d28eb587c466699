"""Cocotb side of test_qmatmul.py: commands one after the other, with gaps and back-pressure, bit for bit."""

import itertools
import json
import os
import random

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ReadOnly, RisingEdge
from rtlm.hw.formats import BlockFormat, Blocks, pack_tiles
from rtlm.hw.hls import F32, to_bits
from rtlm.hw.matmul.params import MatmulParams
from rtlm.hw.matmul.qmatmul import ACTIVATION_BLOCK, QMATMUL_COMMAND, QMatmul
from rtlm.hw.matmul.unit import MatrixUnit

COMMANDS = 12
TIMEOUT = 60_000
CHANCES = (1.0, 0.5, 0.15)
SLOW = (0.03,)


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
    a = rng.integers(-127, 128, (active, k_blocks, 32)).astype(np.int8)
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


async def send(dut, name, payloads, rng, chances):
    valid, payload, ready = (getattr(dut, f"{name}__{part}") for part in ("valid", "payload", "ready"))
    for value in payloads:
        while rng.random() >= rng.choice(chances):
            valid.value = 0
            await RisingEdge(dut.clk)
        valid.value, payload.value = 1, value
        taken = False
        while not taken:
            await ReadOnly()
            taken = bool(ready.value)
            await RisingEdge(dut.clk)
    valid.value = 0


@cocotb.test
async def products(dut):
    params = MatmulParams(**json.loads(os.environ["BENCH_PARAMS"]))
    seed = int(os.environ["BENCH_SEED"])
    rng, random_ = np.random.default_rng(seed), random.Random(seed)
    commands, blocks, words, results = zip(*(draw(rng, params) for _ in range(COMMANDS)), strict=True)
    streams = {
        "i_command": commands,
        "i_activations": list(itertools.chain(*blocks)),
        "i_words": list(itertools.chain(*words)),
    }
    for name in streams:
        getattr(dut, f"{name}__valid").value = 0
    dut.o__ready.value, dut.rst.value = 0, 1
    cocotb.start_soon(Clock(dut.clk, 10, unit="ns").start())
    for _ in range(3):
        await RisingEdge(dut.clk)
    dut.rst.value = 0
    for name, payloads in streams.items():
        chances = SLOW if name == os.environ.get("BENCH_SLOW") else CHANCES
        cocotb.start_soon(send(dut, name, payloads, random.Random(f"{seed} {name}"), chances))
    expected = list(itertools.chain(*results))
    got = []
    for _ in range(TIMEOUT):
        dut.o__ready.value = ready = int(random_.random() < random_.choice(CHANCES))
        await ReadOnly()
        beat = int(dut.o__payload.value) if ready and dut.o__valid.value else None
        await RisingEdge(dut.clk)
        if beat is not None:
            got += [(beat >> 32 * lane) & 0xFFFFFFFF for lane in range(params.vector_lanes)]
        if len(got) >= len(expected):
            break
    wrong = [n for n, pair in enumerate(zip(got, expected, strict=False)) if pair[0] != pair[1]]
    assert len(got) == len(expected), f"{len(got)} of {len(expected)} results came out"
    assert not wrong, f"{len(wrong)} of {len(expected)} results are wrong, the first is number {wrong[0]}"
    for _ in range(20):
        await RisingEdge(dut.clk)
    assert dut.idle.value == 1
