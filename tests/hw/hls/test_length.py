"""A packet that is longer than promised is refused, and says so."""

import numpy as np
import pytest
from amaranth.hdl import ResetInserter, Signal
from amaranth.sim import Simulator
from rtlm.hw import hls
from rtlm.hw.hls import F32
from rtlm.hw.kernels import argmax, quantise

WAIT = 200
"""Cycles in which a packet that was taken would have come out."""


def drive(component, packets, results):
    """Offer packets, then reset and offer the first again; returns how many beats were taken before and after."""
    taken = []
    reset = Signal()

    async def process(ctx):
        for attempt in (packets, packets[:1]):
            beats = [(int(x), n == len(packet) - 1) for packet in attempt for n, x in enumerate(packet)]
            taken.append(0)
            results.append([])
            for _ in range(len(beats) + WAIT):
                waiting = taken[-1] < len(beats)
                ctx.set(component.i.valid, waiting)
                if waiting:
                    bits, last = beats[taken[-1]]
                    ctx.set(component.i.payload.x[0], bits)
                    ctx.set(component.i.payload.last, last)
                ctx.set(component.o.ready, 1)
                took = ctx.get(component.i.ready) and waiting
                if ctx.get(component.o.valid):
                    results[-1].append(ctx.get(component.o.payload.q[0]))
                await ctx.tick()
                taken[-1] += bool(took)
            results[-1].append(bool(ctx.get(component.too_long)))
            ctx.set(component.i.valid, 0)
            ctx.set(reset, 1)
            await ctx.tick()
            ctx.set(reset, 0)

    sim = Simulator(ResetInserter(reset)(component))
    sim.add_clock(1e-6)
    sim.add_testbench(process)
    sim.run()
    return taken


@pytest.mark.parametrize("longest", [1, 3, 4])
def test_longer_packet_is_refused(longest):
    values = np.random.default_rng(longest).normal(size=(3, longest + 1)).astype(np.float32)
    first, second, long = values[0, :longest], values[1, :longest], values[2]
    packets = [hls.to_bits(v, F32) for v in (first, second, long)]
    expected = [hls.to_bits(quantise.model(v, np.int64(0))[0], hls.SInt(8)).tolist() for v in (first, second)]
    component = quantise.component(max_length=longest, clock_mhz=100)
    results = []
    taken = drive(component, packets, results)
    # What came before is complete; of the long packet, as many beats as are allowed were taken, and none came out.
    assert [v & 0xFF for v in results[0][:-1]] == [*expected[0], *expected[1]]
    assert results[0][-1] is True
    assert taken == [3 * longest, longest]
    # After a reset everything is as before, and packets of just the longest length are no error.
    assert [v & 0xFF for v in results[1][:-1]] == expected[0]
    assert results[1][-1] is False


def test_only_kernels_with_a_longest_packet_have_the_flag():
    assert "too_long" in quantise.component(max_length=2).signature.members
    assert "too_long" not in argmax.component().signature.members
    for wrong in (None, 0, -1):
        with pytest.raises(ValueError, match=f"as a positive number, not {wrong}"):
            quantise.component(max_length=wrong)
