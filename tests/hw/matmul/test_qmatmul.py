"""Quantised products as one streaming unit, with their own activation banks."""

import dataclasses
import json
import pathlib

import numpy as np
import pytest
from amaranth.sim import Simulator
from rtlm.hw.formats import BlockFormat, Blocks, pack_tiles
from rtlm.hw.hls import F32, to_bits
from rtlm.hw.matmul.params import MatmulParams
from rtlm.hw.matmul.qmatmul import Gemv, GemvParams, QMatmul
from rtlm.sim.unit_benches.bench import Bench, Prepared, verilog_text

HERE = pathlib.Path(__file__).parent
CONFIGURATIONS = {
    "one-column": MatmulParams(lanes=32, columns=1, vector_lanes=2, max_k_blocks=5),
    "three-columns": MatmulParams(lanes=128, columns=3, vector_lanes=2, max_k_blocks=6),
}


def run(name, folder, monkeypatch, seed, change=lambda text: text, slow=""):
    params = CONFIGURATIONS[name]
    monkeypatch.syspath_prepend(str(HERE))

    def prepare():
        unit = QMatmul(params)
        environment = {
            "BENCH_PARAMS": json.dumps(dataclasses.asdict(params)),
            "BENCH_LATENCY": str(unit.latency),
            "BENCH_SLOW": slow,
        }
        return Prepared(verilog=verilog_text(unit, "qmatmul"), top="qmatmul", environment=environment)

    bench = Bench(unit="qmatmul", name=name, module="qmatmul_cocotb", prepare=prepare)
    return bench.run(folder, seed=seed, mutate=change)


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_products(name, tmp_path, monkeypatch, seed):
    for slow in ("", "i_activations"):
        outcome = run(name, tmp_path / slow, monkeypatch, seed, slow=slow)
        assert outcome.passed, outcome.complaint


@pytest.mark.slow
def test_stale_bank_is_seen(tmp_path, monkeypatch, seed):
    """A bank that is not emptied lets the next matrix meet the vector before."""

    def never_clear(text):
        before, name, rest = text.partition("module \\qmatmul.banks (")
        body, end, after = rest.partition("endmodule")
        changed = body.replace("clear[0]", "1'h0").replace("clear[1]", "1'h0")
        assert changed != body
        return before + name + changed + end + after

    outcome = run("one-column", tmp_path, monkeypatch, seed, never_clear, slow="i_activations")
    assert not outcome.passed
    assert "results" in outcome.complaint


def test_rows_that_the_vector_lanes_do_not_divide():
    """Of 7 rows two lanes give 4 beats, the last half empty, and the next product is not touched."""
    params = GemvParams(lanes=32, vector_lanes=2, max_k_blocks=2)
    rng = np.random.default_rng(1)
    commands, blocks, words, expected = [], [], [], []
    for rows in (7, 7, 1, 6):
        u = rng.integers(0, 16, (rows, 64)).astype(np.uint8)
        weights = Blocks.from_groups(BlockFormat.Q4_0, u, rng.normal(0, 0.02, (rows, 2)).astype(np.float16))
        a, scales = rng.integers(-255, 256, (2, 32)).astype(np.int16), np.full(2, 0x3C00, np.uint16)
        commands.append({"format": int(weights.format), "k_blocks": 2, "rows": rows})
        blocks += [{"a": [int(v) for v in block], "s": int(s)} for block, s in zip(a, scales, strict=True)]
        words += [int.from_bytes(word.tobytes(), "little") for word in pack_tiles(params.matmul.tile, weights)]
        expected += [*to_bits(Gemv.model(weights, a, scales), F32).tolist(), *[0] * (rows % 2)]
    unit, received = Gemv(params, clock_mhz=100), []

    def sender(port, payloads):
        async def send(ctx):
            for payload in payloads:
                ctx.set(port.valid, 1)
                ctx.set(port.payload, payload)
                await ctx.tick().until(port.ready)
            ctx.set(port.valid, 0)

        return send

    async def receive(ctx):
        ctx.set(unit.o.ready, 1)
        for _ in range(400):
            _, _, valid, payload = await ctx.tick().sample(unit.o.valid, unit.o.payload.as_value())
            if valid:
                received.extend((payload >> 32 * lane) & 0xFFFFFFFF for lane in range(params.vector_lanes))
        assert ctx.get(unit.idle)

    simulator = Simulator(unit)
    simulator.add_clock(1e-8)
    for port, payloads in ((unit.i_command, commands), (unit.i_activations, blocks), (unit.i_words, words)):
        simulator.add_testbench(sender(port, payloads), background=True)
    simulator.add_testbench(receive)
    simulator.run()
    assert received == expected


def test_sizes_are_checked():
    assert GemvParams(lanes=256).word_bytes == 128
    with pytest.raises(ValueError, match="lanes must be a power of two from 32 to 8192, got 48"):
        GemvParams(lanes=48)
