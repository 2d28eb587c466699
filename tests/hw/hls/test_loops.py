"""Loops of kernels: nests of known and run-time bounds in gates against the model, and what a nest may not be."""

import numpy as np
import pytest
from amaranth.hdl import EnableInserter, Module
from amaranth.sim import Simulator
from rtlm.hw.hls import (
    F32,
    Ram,
    SInt,
    UInt,
    Vec,
    clamp,
    constant,
    exp2,
    fold,
    index,
    kernel,
    loop,
    previous,
    scan,
    stream_max,
    stream_sum,
    wrap,
)

from tests.hw.hls.nests import check_nest


@kernel
def gemv(w: Ram[SInt(8), 256], x: Ram[SInt(8), 16], rows: UInt(5), columns: UInt(5)) -> SInt(32):
    for i in loop(rows):
        for j in loop(columns):
            total = stream_sum(w[i * columns + j] * x[j], SInt(32))
    return total


@kernel
def matmul(a: Ram[SInt(8), 48], b: Ram[SInt(8), 64]) -> SInt(20):
    """6 x 8 times 8 x 8, all bounds known, no argument."""
    for i in loop(6):
        for j in loop(8):
            for k in loop(8):
                total = stream_sum(a[i * 8 + k] * b[k * 8 + j], SInt(20))
    return total


@kernel
def conv2d(image: Ram[UInt(8), 64], taps: Ram[SInt(6), 16], bias: SInt(8), height: UInt(3), width: UInt(3)) -> SInt(24):
    """Valid convolution with 3 x 3 taps; the packet is a window."""
    for y, x in loop(height, width):
        for ky, kx in loop(3, 3):
            total = stream_sum(image[(y + ky) * (width + 2) + x + kx] * taps[ky * 3 + kx], SInt(22))
    return wrap(total + bias, SInt(24))


@kernel
def histogram(data: Ram[UInt(3), 32], count: UInt(6)) -> Vec[UInt(8), 8]:
    for n in loop(clamp(count, 0, 32)):
        bins = fold(lambda c: wrap(c + 1, UInt(8)), constant(0, UInt(8)), key=data[n], keys=8)
    return bins


@kernel
def running(x: Ram[SInt(9), 30], rows: UInt(3), columns: UInt(4), start: SInt(4)) -> tuple[SInt(16), SInt(9), UInt(7)]:
    """Results once an iteration: a running sum, the element before, and counts."""
    for i in loop(rows):
        for j in loop(columns):
            v = x[i * 5 + j // 2]
            total = scan(lambda s, v: wrap(s + v, SInt(16)), constant(3, SInt(16)), v)
            before, place = previous(v, 2, -1), index(UInt(5))
    return wrap(total * start, SInt(16)), before, wrap(i * 9 + j + place, UInt(7))


@kernel
def normalised(x: Ram[F32, 24], scale: F32, rows: UInt(2), columns: UInt(3)) -> F32:
    """Elements wait for a reduction: the FIFO's size follows from the bounds."""
    for i in loop(rows):
        for j in loop(columns):
            v = x[i * 7 + j] * scale
            shifted = exp2(v - stream_max(v))
    return shifted


@kernel
def float_sum(x: Ram[F32, 16], n: UInt(4)) -> F32:
    """A state that keeps beats apart."""
    for i in loop(n):
        total = fold(lambda s, v: s + v, constant(0, F32), x[i])
    return total


@kernel
def counts(n: UInt(4)) -> UInt(12):
    """No memory; what is reduced is no lane's own."""
    for i in loop(3):
        for a, _ in loop(n, 5):
            total = stream_sum(a + i, UInt(12))
    return total


@kernel
def places(n: UInt(4)) -> tuple[UInt(7), UInt(2)]:
    """Results that are no lane's own beside those of lanes."""
    for i, j in loop(3, n):
        place = i * 9 + j * 0
    return place, i


RNG = np.random.default_rng(5)


def floats(*values):
    return [int(b) for b in np.array(values, dtype=np.float32).view(np.uint32)]


SCALES = floats(0.5, 1, -3, 0, 1.5, 2)
COMMANDS = {
    gemv: [(5, 7), (1, 1), (0, 4), (3, 0), (16, 16), (1, 16), (31, 1), (2, 3)],
    matmul: [()] * 3,
    conv2d: [(3, 4, 4), (250, 1, 1), (0, 0, 3), (9, 6, 6), (1, 2, 0), (128, 1, 6)],
    histogram: [(5,), (0,), (32,), (63,), (1,)],
    running: [(2, 9, 1), (0, 4, 3), (1, 0, 7), (5, 10, 13), (1, 1, 8), (3, 7, 0)],
    normalised: [(s, *b) for s, b in zip(SCALES, [(3, 7), (1, 1), (0, 3), (2, 0), (2, 5), (1, 4)], strict=True)],
    float_sum: [(4,), (0,), (15,), (1,), (2,)],
    counts: [(3,), (0,), (15,), (1,), (1,)],
    places: [(3,), (0,), (15,), (1,), (4,)],
}


@pytest.mark.parametrize("lanes", [1, 2, 3, 4])
@pytest.mark.parametrize("kern", COMMANDS, ids=lambda k: k.name)
def test_gates(kern, lanes, seed):
    if kern in (float_sum, normalised) and lanes > 2:
        pytest.skip("seconds each, and two lanes mask as four do")
    check_nest(kern, COMMANDS[kern], lanes=lanes, keep=(0, 2), seed=seed)


@pytest.mark.parametrize("ii", [2, 3])
@pytest.mark.parametrize("kern", [gemv, conv2d, running, normalised], ids=lambda k: k.name)
def test_an_interval(kern, ii):
    component, _ = check_nest(kern, COMMANDS[kern], lanes=2, ii=ii)
    assert component.schedule.initiation_interval == ii


def test_models_are_plain_numpy():
    w, x = RNG.integers(-128, 128, (6, 11)), RNG.integers(-128, 128, 11)
    assert np.array_equal(gemv.model(w.reshape(-1), x, 6, 11), w @ x)
    a, b = RNG.integers(-128, 128, (6, 8)), RNG.integers(-128, 128, (8, 8))
    assert np.array_equal(matmul.model(a.reshape(-1), b.reshape(-1)), a @ b)
    data = RNG.integers(0, 8, 32)
    assert np.array_equal(histogram.model(data, 50), np.bincount(data, minlength=8))
    image, taps = RNG.integers(0, 256, (8, 8)), RNG.integers(-32, 32, (3, 3))
    windows = np.lib.stride_tricks.sliding_window_view(image, (3, 3))
    expected = np.einsum("yxab,ab->yx", windows, taps) - 5
    assert np.array_equal(conv2d.model(image.reshape(-1), taps.reshape(-1), -5, 6, 6), expected)
    assert counts.model(2).tolist() == [5, 15, 25]


def test_no_bound_of_zero_gives_anything():
    for rows, columns in ((0, 4), (4, 0), (0, 0)):
        assert gemv.model(np.ones(16, int), np.ones(4, int), rows, columns).shape == (0,)
        assert running.model(np.ones(16, int), rows, columns, 1)[0].shape == (0, 0)


@kernel
def halves(x: Ram[SInt(8), 64], n: UInt(5)) -> SInt(16):
    """Two addresses, each in a half of its own."""
    for i in loop(clamp(n, 0, 30)):
        total = stream_sum(x[i] * x[i + 32], SInt(16))
    return total


@kernel
def rows_of_eight(w: Ram[SInt(8), 64], x: Ram[SInt(8), 8], rows: UInt(4), columns: UInt(3)) -> SInt(20):
    for i in loop(clamp(rows, 0, 8)):
        for j in loop(columns):
            total = stream_sum(w[i * 8 + j] * x[j], SInt(20))
    return total


@pytest.mark.parametrize("lanes", [1, 2, 4])
@pytest.mark.parametrize(
    ("kern", "commands", "partition"),
    [
        (halves, [(9,), (30,), (0,), (31,)], {"x": "block"}),
        (halves, [(9,), (30,), (0,), (31,)], {"x": "complete"}),
        (rows_of_eight, [(8, 7), (3, 1), (0, 2), (15, 5)], {"w": "cyclic", "x": "complete"}),
        (rows_of_eight, [(8, 7), (3, 1), (0, 2), (15, 5)], {"w": "complete", "x": "cyclic"}),
    ],
)
def test_partitions(kern, commands, partition, lanes):
    component, _ = check_nest(kern, commands, lanes=lanes, partition=partition, clock_mhz=200, keep=(1,))
    buffers = {b.name: b for b in component.schedule.buffers}
    for name, kind in partition.items():
        memory = component.memories[name]
        if kind == "cyclic":
            assert (memory.words, memory.copies) == (lanes, 1)
            assert lanes == 1 or "one read serves all" in buffers[name].reason
        elif kind == "complete":
            assert memory.words == 1 and memory.complete and "registers" in buffers[name].reason
        else:
            assert memory.copies == 2 and buffers[name].words == f"2 x {32 // lanes} x 2"


@pytest.mark.parametrize(("lanes", "ii"), [(1, None), (4, None), (2, 3)])
def test_no_cycle_is_lost(lanes, ii):
    """From packet to packet, and from the first command to the second."""
    commands = [(5, 14), (4, 14), (1, 1)]
    component, (_, came) = check_nest(gemv, commands, lanes=lanes, ii=ii, keep=(0, 1), steady=True)
    assert (np.diff(came)[:8] == -(-14 // lanes) * component.schedule.initiation_interval).all()
    columns = f"ceil(columns / {lanes})" if lanes > 1 else "columns"
    assert component.schedule.trip == f"{f'{ii} * ' if ii else ''}rows * {columns}"


def test_latency():
    """From a command to its first result; a packet that is reduced adds its further beats."""
    component, (went, came) = check_nest(counts, [(3,), (3,)], steady=True)
    assert came[0] - went[0] == component.latency + 15 - 1
    component, (went, came) = check_nest(places, [(3,), (3,)], steady=True)
    assert came[0] - went[0] == component.latency
    assert np.diff(came).tolist() == [1] * (len(came) - 1)


@kernel
def crossing(x: Ram[SInt(8), 64], n: UInt(5)) -> SInt(16):
    """Addresses that leave their half."""
    for i in loop(n):
        total = stream_sum(x[i + 16] * x[i + 32], SInt(16))
    return total


@kernel
def close(x: Ram[SInt(8), 64], n: UInt(3)) -> SInt(16):
    for i in loop(n):
        total = stream_sum(x[i] * x[i + 8], SInt(16))
    return total


@pytest.mark.parametrize(
    ("kern", "directives", "words"),
    [
        (gemv, {"lanes": 4, "partition": {"w": "cyclic"}}, "w of kernel gemv cannot be cyclic over 4 lanes: a beat's"),
        (gemv, {"lanes": 3, "partition": {"x": "cyclic"}}, "cannot be cyclic over 3 lanes"),
        (gemv, {"partition": {"y": "cyclic"}}, "has no memory y to partition; its memories are w, x"),
        (gemv, {"partition": {"w": "split"}}, "partitioned as one of cyclic, block, complete, not as 'split'"),
        (gemv, {"partition": {"w": "complete"}, "bind": {"w": "ultra"}}, "is complete, which is registers"),
        (matmul, {"partition": {"a": "block"}}, "48 words and is read at 1 addresses: .* powers of two"),
        (crossing, {"partition": {"x": "block"}}, "an address goes from 16 to 46, so that two reads may meet"),
        (close, {"partition": {"x": "block"}}, "several of its addresses stay in the same one"),
        (gemv, {"clock_mhz": 900}, "use a slower clock"),
        (gemv, {"max_length": 4}, "gemv has loops: its longest packet is theirs, not max_length"),
    ],
)
def test_what_does_not_go_together(kern, directives, words):
    with pytest.raises(ValueError, match=words):
        kern.component(**directives)


def test_gaps_in_a_packet_of_two_loops():
    @kernel
    def numbered(n: UInt(3)) -> UInt(6):
        for _, _b in loop(n, 3):
            k = index(UInt(6))
        return k

    check_nest(numbered, [(3,), (1,)])
    check_nest(numbered, [(3,), (1,)], lanes=3)
    with pytest.raises(
        ValueError, match=r"test_loops\.py:\d+: kernel numbered uses index, previous or window in a loop"
    ):
        numbered.schedule(lanes=2)


def test_the_schedule_says_which_reads_have_which_port():
    reasons = {b.name: b.reason for b in gemv.schedule(lanes=4).buffers}
    assert reasons["w"].endswith("4 reads a cycle would meet at its port: a copy for each")
    assert reasons["x"].endswith("cyclic over 4 lanes: one read serves all; 1 read a cycle")


def test_products_of_counts_are_counters():
    """(c * height + y) * width + x, with all of them arguments: no multiplier in the pipeline."""

    @kernel
    def planes(m: Ram[UInt(8), 256], height: UInt(3), width: UInt(3)) -> UInt(16):
        for c in loop(3):
            for y, x in loop(height, width):
                total = stream_sum(m[(c * height + y) * width + x], UInt(16))
        return total

    assert not any("multiply" in name for name in planes.plan(lanes=2).schedule.operators)
    check_nest(planes, [(3, 5), (7, 7), (0, 1), (1, 2)], lanes=2)
    m = RNG.integers(0, 256, 256)
    assert np.array_equal(planes.model(m, 4, 6), m[: 3 * 4 * 6].reshape(3, -1).sum(1))


def test_a_tag_comes_back_and_the_clock_may_rest():
    component = counts.component(tag=5, busy=True)
    sent, seen, rests = [(3, 17), (0, 4), (1, 30)], [], 0

    async def process(ctx):
        nonlocal rests
        ctx.set(component.o.ready, 1)
        for number in range(400):
            if number % 100 == 50 and number // 100 < len(sent):
                n, tag = sent[number // 100]
                ctx.set(component.i.payload, {"n": n, "tag": tag})
                ctx.set(component.i.valid, 1)
            rests += not ctx.get(component.busy) and not ctx.get(component.i.valid)
            _, _, taken, valid, payload = await ctx.tick().sample(
                component.i.ready, component.o.valid, component.o.payload
            )
            if taken:
                ctx.set(component.i.valid, 0)
            if valid:
                seen.append((payload.tag, payload.result, payload.last))

    m = Module()
    m.submodules.gated = EnableInserter(component.i.valid | component.busy)(component)
    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(process)
    simulator.run()
    results = [(tag, int(r), last) for n, tag in sent for r, last in zip(counts.model(n), (0, 0, 1), strict=False)]
    assert seen == results
    assert rests > 200
