"""What a column reads of its history under a window, by itself and in gates."""

import random

import pytest
from amaranth.hdl import Module, Signal
from amaranth.sim import Simulator
from rtlm.hw.common.kv_window import WINDOW_CYCLES, HistoryPart, WindowRegisters, first_seen, history_part

BITS = 7


@pytest.mark.parametrize(
    ("position", "history", "window", "expected"),
    [
        (100, 100, 0, (0, 0, 100)),
        (100, 100, 200, (0, 0, 100)),
        (99, 99, 100, (0, 0, 99)),
        (100, 100, 100, (0, 1, 100)),
        (47, 47, 16, (2, 0, 15)),
        (48, 48, 16, (2, 1, 16)),
        # The second of two tokens that are fed together sees one position less.
        (49, 48, 16, (2, 2, 16)),
        (48, 48, 1, (3, 0, 0)),
        (52, 52, 1, (3, 4, 4)),
        # What no driver writes.
        (127, 20, 1, (1, 4, 4)),
        (3, 127, 2, (0, 2, 127)),
    ],
)
def test_part(position, history, window, expected):
    words, masked, positions = expected
    found = history_part(position, history, window, word_positions=16)
    assert found == HistoryPart(words=words, masked=masked, positions=positions)
    seen = [other for other in range(history) if not window or other > position - window]
    assert (found.seen, first_seen(position, history, window)) == (len(seen), history - len(seen))


@pytest.mark.parametrize("word_positions", [4, 16])
def test_gates_follow_within_their_latency(word_positions, seed):
    m = Module()
    inputs = [Signal(BITS, name=name) for name in ("position", "history", "window")]
    position, history, window = inputs
    part = WindowRegisters(m, position=position, history=history, window=window, word_positions=word_positions)
    rng = random.Random(seed)
    most = (1 << BITS) - 1

    async def bench(ctx):
        for _ in range(1500):
            values = [rng.choice([0, 1, most, rng.randint(0, most)]) for _ in inputs]
            for port, value in zip(inputs, values, strict=True):
                ctx.set(port, value)
            for _ in range(WINDOW_CYCLES):
                await ctx.tick()
            found = [ctx.get(each) for each in (part.words, part.masked, part.positions)]
            expected = history_part(*values, word_positions=word_positions)
            assert found == [expected.words, expected.masked, expected.positions], values

    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
