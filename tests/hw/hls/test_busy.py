"""A kernel's clock may stop while nothing is offered and `busy` is low: the same bits in the same cycles."""

import random
from collections.abc import Iterator

import numpy as np
import pytest
from amaranth.hdl import EnableInserter, Module
from amaranth.sim import Simulator
from rtlm.hw import hls
from rtlm.hw.hls import UInt
from rtlm.sim.unit_benches.kernels.bench import dependent, spread

LONGEST = 100
"""Beats of a packet: far more than any pipeline here has stages."""
CYCLES = 2500
MOODS = ((1, 1), (0.05, 1), (1, 0.05), (0.3, 0.3), (0, 1), (0, 0))
"""Chances that a beat is offered, and that one is taken, in a cycle."""


@hls.kernel
def total(x: UInt(16)) -> UInt(16):
    return hls.stream_sum(x, UInt(16))


KERNELS = [*map(dependent, range(4)), spread, total]


def beats(rng: random.Random) -> Iterator[tuple[int, bool]]:
    """Beats of long and short packets."""
    while True:
        length = rng.choice([1, 2, 7, 60, LONGEST])
        for n in range(length):
            yield rng.getrandbits(16), n == length - 1


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.name)
def test_a_clock_by_busy_changes_nothing(kernel):
    seed = 11
    rng = random.Random(seed)
    options = {"clock_mhz": 100, "max_length": LONGEST, "framing": True}
    free, gated = kernel.component(**options), kernel.component(**options, busy=True)
    m = Module()
    m.submodules.free = free
    m.submodules.gated = EnableInserter(gated.i.valid | gated.busy)(gated)
    once = kernel.graph.once_per_packet
    taken, results, rests = [], [], 0

    async def process(ctx):
        nonlocal rests
        source = beats(rng)
        value, last = next(source)
        offer, take, held = 1.0, 1.0, False
        for cycle in range(CYCLES):
            if cycle > CYCLES - 6 * LONGEST:  # nothing new comes, and everything has to come out
                offer, take = float(not taken or not taken[-1][1]), 1.0
            elif rng.random() < 0.01:
                offer, take = rng.choice(MOODS)
            held = held or rng.random() < offer
            ready = rng.random() < take
            for unit in (free, gated):
                ctx.set(unit.i.valid, held)
                ctx.set(unit.i.payload.x[0], value)
                ctx.set(unit.i.payload.last, last)
                ctx.set(unit.o.ready, ready)
            seen = [(ctx.get(unit.i.ready), ctx.get(unit.o.valid)) for unit in (free, gated)]
            assert seen[0] == seen[1], f"cycle {cycle}: ready and valid are {seen[1]}, ungated {seen[0]}"
            accepts, gives = seen[0]
            if gives:
                got = [ctx.get(unit.o.payload) for unit in (free, gated)]
                assert got[0].as_bits() == got[1].as_bits(), f"cycle {cycle}: another result"
                if ready:
                    results.append((got[1].result if once else got[1].result[0], got[1].last))
            rests += not held and not ctx.get(gated.busy)
            await ctx.tick()
            if held and accepts:
                taken.append((value, last))
                value, last = next(source)
                held = False

    sim = Simulator(m)
    sim.add_clock(1e-6)
    sim.add_testbench(process)
    sim.run()
    values, lasts = (np.array(column) for column in zip(*taken, strict=True))
    assert lasts[-1] and lasts.sum() > 5
    expected = kernel.model(values, last=lasts.astype(bool)) if kernel.graph.reduces else kernel.model(values)
    assert [r for r, _ in results] == expected.tolist()
    assert [last for _, last in results] == ([1] * int(lasts.sum()) if once else lasts.tolist())
    assert rests > 100, "the clock never rests"


def test_busy_is_there_for_those_who_ask():
    assert "busy" not in total.component().signature.members
    assert "busy" in total.component(busy=True).signature.members
