"""Cocotb side of test_mac.py: what a block makes of random operands and enables against the behavioural body."""

import os
import random

import cocotb
from cocotb.triggers import ReadOnly
from rtlm.sim.unit_benches.streams import power_up

CYCLES = 20_000
OPERANDS = ("a", "b", "d")
CHANCES = {"ce_a": 0.2, "ce_b": 0.7, "ce_d": 0.5, "ce_m": 0.7, "ce_p": 0.7, "use_d": 0.5, "add": 0.9}
EXTREME = 0.2
"""Chance that an operand is its largest value."""


@cocotb.test
async def same(dut):
    rng = random.Random(os.environ["BENCH_SEED"])
    widths = {name: len(getattr(dut, name)) for name in OPERANDS}
    for name in (*OPERANDS, *CHANCES):
        getattr(dut, name).value = 0
    await power_up(dut)
    largest = 0
    for cycle in range(CYCLES):
        for name, bits in widths.items():
            getattr(dut, name).value = (1 << bits) - 1 if rng.random() < EXTREME else rng.getrandbits(bits)
        for name, chance in CHANCES.items():
            getattr(dut, name).value = int(rng.random() < chance)
        await dut.clk.falling_edge
        await ReadOnly()
        behavioural, block = int(dut.p.value), int(dut.p_block.value)
        assert behavioural == block, f"p is {block:x} in cycle {cycle}, {behavioural:x} in the behavioural body"
        largest = max(largest, behavioural)
        await dut.clk.rising_edge
    assert largest >> (widths["b"] + widths["d"]), "no sum was longer than a product"
