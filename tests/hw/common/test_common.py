"""What hw/common shares: trees, stage registers, KV geometry."""

import numpy as np
import pytest
from amaranth.hdl import Module, Signal
from amaranth.sim import Simulator
from rtlm.hw.common.kv_cache import KvGeometry
from rtlm.hw.common.stages import held_flag, held_value
from rtlm.hw.common.trees import mux_tree, sum_tree


def run(m, testbench, *, clocked=False):
    simulator = Simulator(m)
    if clocked:
        simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()


@pytest.mark.parametrize("count", [1, 2, 5, 8])
def test_trees(count, seed):
    rng = np.random.default_rng(seed)
    m = Module()
    inputs, index = [Signal(8, name=f"i_{n}") for n in range(count)], Signal(3)
    total, chosen = Signal(16), Signal(8)
    m.d.comb += [total.eq(sum_tree(inputs)), chosen.eq(mux_tree(index, inputs))]

    async def check(context):
        for _ in range(50):
            values = rng.integers(0, 256, count).tolist()
            for signal, value in zip(inputs, values, strict=True):
                context.set(signal, value)
            context.set(index, place := int(rng.integers(count)))
            assert context.get(total) == sum(values)
            assert context.get(chosen) == values[place]

    run(m, check)


def test_stage_registers_hold():
    m = Module()
    enable, value = Signal(), Signal(8)
    flag, held = held_flag(m, enable), held_value(m, enable, value, "held")

    async def check(context):
        expected = 0
        for cycle, on in enumerate((1, 0, 1, 1, 0, 0)):
            context.set(enable, on)
            context.set(value, 10 + cycle)
            await context.tick()
            expected = 10 + cycle if on else expected
            assert (context.get(flag), context.get(held)) == (on, expected)

    run(m, check, clocked=True)


def test_kv_regions_follow_each_other():
    kv = KvGeometry(head_dim=32, context_limit=250, word_bytes=64)
    assert (kv.first_key, kv.first_value, kv.head_words) == (16, 16 + 125, 16 + 2 * 125)
