"""Cocotb side of test_mac.py: what a block makes of random operands and enables against the behavioural body."""

import os
import random

import cocotb
from cocotb.triggers import ReadOnly
from rtlm.sim.unit_benches.streams import power_up

CYCLES = 20_000
OPERANDS = ("a", "b", "d", "pcin")
CHANCES = {"ce_a": 0.2, "ce_b": 0.7, "ce_d": 0.5, "ce_m": 0.7, "ce_p": 0.7, "use_d": 0.5, "with_product": 0.8}
BASES = ("add", "add", "add", "add", "chain", "")
"""What the sum is to take up, one of them at random: most often itself."""
DRAWN = (*OPERANDS, *CHANCES, "add", "chain")
EXTREME = 0.2
"""Chance that an operand is its largest or smallest value, or -1."""


@cocotb.test
async def same(dut):
    rng = random.Random(os.environ["BENCH_SEED"])
    widths = {name: len(getattr(dut, name)) for name in OPERANDS}
    for name in DRAWN:
        getattr(dut, name).value = 0
    await power_up(dut)
    largest, shown = 0, (1 << len(dut.p)) - 1
    for cycle in range(CYCLES):
        for name, bits in widths.items():
            sign = 1 << bits - 1
            extreme = rng.choice((sign - 1, sign, 2 * sign - 1))
            getattr(dut, name).value = extreme if rng.random() < EXTREME else rng.getrandbits(bits)
        drawn = {name: int(rng.random() < chance) for name, chance in CHANCES.items()}
        base = rng.choice(BASES)
        for name, value in (drawn | {each: int(each == base) for each in ("add", "chain")}).items():
            getattr(dut, name).value = value
        await dut.clk.falling_edge
        await ReadOnly()
        for name in ("p", "pcout"):
            body, block = (int(getattr(dut, each).value) & shown for each in (name, f"{name}_block"))
            assert body == block, f"{name} is {block:x} in cycle {cycle}, {body:x} in the behavioural body"
        largest = max(largest, abs(dut.p.value.to_signed()))
        await dut.clk.rising_edge
    assert largest >> (widths["b"] + widths["d"]), "no sum was longer than a product"
