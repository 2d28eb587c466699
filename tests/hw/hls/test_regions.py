"""Regions: gates equal the model, FIFOs are as deep as they need to be, and rates that do not match are refused."""

import json
import re
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
from amaranth.sim import Simulator
from hypothesis import given, note, settings
from hypothesis import strategies as st
from rtlm.hw import hls
from rtlm.hw.hls import F32, SInt, Stream, Vec, join, load, narrow, pair, repeat, split, widen
from rtlm.hw.kernels import library

from tests.hw.hls.random_regions import listing, regions
from tests.hw.hls.simulate_region import check, measured

INT = SInt(8)


@hls.kernel
def gelu(x: F32) -> F32:
    return x * hls.recip(1 + hls.exp2((x + 0.044715 * x * x * x) * -2.302))


@hls.kernel
def plus(a: F32, b: F32) -> F32:
    return a + b


@hls.kernel
def add(a: INT, b: INT) -> INT:
    return hls.wrap(a + b, INT)


@hls.kernel
def scale(a: INT, b: INT) -> INT:
    return hls.wrap(a * b + 1, INT)


@hls.kernel
def vector_sum(v: Vec[INT, 4]) -> SInt(10):
    return v.sum()


@hls.kernel
def total(x: INT) -> SInt(16):
    return hls.stream_sum(x, SInt(16))


@hls.kernel
def running(x: INT) -> INT:
    return hls.scan(lambda state, x: hls.wrap(state * 3 + x, INT), hls.constant(0, INT), x)


@hls.kernel
def larger(x: INT) -> INT:
    return hls.wrap(x - hls.stream_max(x), INT)


@hls.kernel
def extremes(x: INT) -> tuple[INT, INT]:
    return hls.stream_max(x), hls.wrap(-hls.stream_max(hls.wrap(-x, INT)), INT)


@hls.region
def block(x: Stream[F32]) -> Stream[F32]:
    return plus(gelu(x), x)


@hls.region
def sums(x: Stream[INT]) -> Stream[SInt(10)]:
    return vector_sum(widen(x, 4))


@hls.kernel
def energy(v: Vec[INT, 4]) -> SInt(18):
    return (v * v).sum()


@hls.region
def energies(x: Stream[INT]) -> Stream[SInt(18)]:
    return energy(widen(x, 4))


@hls.region
def there_and_back(x: Stream[INT]) -> Stream[INT]:
    return add(narrow(widen(x, 4)), x)


@hls.region
def halves(x: Stream[INT]) -> Stream[INT]:
    a, b = split(x, 2)
    return join(scale(a, 3), b)


@hls.region
def held(x: Stream[INT], y: Stream[INT]) -> Stream[INT]:
    return add(repeat(x, 3), y)


@hls.region
def replayed(x: Stream[INT], y: Stream[INT]) -> Stream[INT]:
    return add(repeat(x, 3, packets=True), y)


@hls.region
def in_turn(x: Stream[INT]) -> Stream[INT]:
    a, b = split(x, 2, packets=True)
    return join(running(a), running(scale(b, -5)), packets=True)


@hls.region
def centred(x: Stream[INT]) -> Stream[INT]:
    return add(larger(scale(x, 3)), x)


@hls.region
def once(x: Stream[INT]) -> tuple[Stream[SInt(16)], Stream[INT, INT]]:
    low, high = extremes(scale(x, 7))
    return total(x), pair(high, low)


@hls.kernel
def row(w: INT, x: hls.Ram[INT, 8]) -> SInt(20):
    return hls.stream_sum(w * x[hls.index(hls.UInt(3))], SInt(20))


@hls.kernel
def looked_up(x: INT, low: hls.Ram[INT, 8], high: hls.Ram[Vec[INT, 2], 4]) -> INT:
    pair = high[hls.wrap(x, hls.UInt(2))]
    return hls.wrap(low[hls.index(hls.UInt(3))] + pair[0] - pair[1], INT)


@hls.region
def gemv(w: Stream[INT], x: Stream[INT]) -> Stream[SInt(20)]:
    return row(scale(w, 3), load(scale(x, 5), 4))


@hls.region
def tables(x: Stream[INT], y: Stream[Vec[INT, 2]]) -> Stream[INT]:
    return looked_up(x, load(x), load(y))


@hls.region
def repeated_sum(x: Stream[INT]) -> Stream[SInt(16)]:
    return total(repeat(join(*split(x, 2)), 3))


@hls.region
def below(x: Stream[INT]) -> Stream[INT]:
    low = extremes(x)[1]
    return add(repeat(low, x), scale(scale(x, 3), 5))


@hls.region
def two_results(x: Stream[INT, INT]) -> tuple[Stream[INT], Stream[INT, INT]]:
    a, b = x
    return scale(a, b), pair(b, scale(a, 2))


class Both(NamedTuple):
    """Two streams by names."""

    large: Stream[INT]
    doubled: Stream[Vec[INT, 2]]


@hls.region
def named(x: Stream[INT]) -> Both:
    return Both(doubled=widen(repeat(x, 2), 2), large=add(x, larger(x)))


@hls.region
def nested(x: Stream[INT]) -> Stream[INT]:
    return held(x, narrow(widen(repeat(x, 3), 2)))


directives = st.builds(
    hls.Directives,
    clock_mhz=st.sampled_from([40, 150, 300]),
    ii=st.sampled_from([None, None, 1, 2, 5]),
    chain=st.booleans(),
)
GATES = 30
"""Regions that are drawn, of a hundred."""
REGIONS = {
    block: None,
    sums: None,
    there_and_back: None,
    halves: None,
    held: None,
    replayed: 15,
    in_turn: 5,
    centred: 5,
    once: 5,
    below: 5,
    repeated_sum: 6,
    gemv: 8,
    tables: 8,
    two_results: None,
    nested: None,
    named: 4,
}
"""For each region the longest packet."""


@pytest.mark.parametrize("region", REGIONS, ids=lambda region: region.name)
def test_gates(region, seed):
    check(region, max_length=REGIONS[region], seed=seed)


@pytest.mark.parametrize("region", REGIONS, ids=lambda region: region.name)
def test_fifos_are_deep_enough_and_no_deeper(region):
    """The gates keep the planned interval, and lose it with a word less in any FIFO."""
    plan = region.plan(max_length=REGIONS[region])
    packets = 32 if plan.graph.framed else 8
    assert measured(plan, plan.depths, packets) == plan.interval
    for edge, depth in plan.depths.items():
        if depth:
            slower = measured(plan, {**plan.depths, edge: depth - 1}, packets)
            assert slower is None or slower > plan.interval, edge


def _rates(x: Stream[INT]) -> Stream[INT]:
    doubled = repeat(x, 2)
    return add(doubled, x)


def _sum_and_elements(x: Stream[INT]) -> Stream[INT]:
    return add(extremes(x)[0], x)


def _packets(x: Stream[INT]) -> Stream[INT]:
    return add(repeat(repeat(x, 2), 3, packets=True), repeat(repeat(x, 3), 2, packets=True))


def _half_a_beat(x: Stream[INT]) -> Stream[INT]:
    return narrow(widen(extremes(x)[0], 2))


def _type(x: Stream[F32]) -> Stream[INT]:
    return add(x, 1)


def _large(x: Stream[INT]) -> Stream[INT]:
    return add(x, 300)


def _operator(x: Stream[INT]) -> Stream[INT]:
    return x + 1


def _no_vector(x: Stream[INT]) -> Stream[INT]:
    return narrow(x)


def _nothing(x: Stream[INT]) -> Stream[INT]:
    add(x, 1)


def _other_result(x: Stream[INT]) -> Stream[INT]:
    return widen(x, 2)


def _unused(x: Stream[INT], y: Stream[INT]) -> Stream[INT]:
    return add(x, 1)


def _apart(x: Stream[INT], y: Stream[INT]) -> tuple[Stream[INT], Stream[INT]]:
    return add(x, 1), add(y, 1)


def _no_streams(x: INT) -> Stream[INT]:
    return x


def _memory(x: Stream[INT]) -> Stream[SInt(32)]:
    return library.gemv(x, x)


def _loads(w: Stream[INT], x: Stream[INT]) -> Stream[SInt(20)]:
    return row(w, load(x, 0))


def _one_packet_and_four(x: Stream[INT]) -> Stream[SInt(20)]:
    return row(x, load(x, 4))


def _branches(x: Stream[INT]) -> Stream[INT]:
    return join(*split(x, 1))


def _truth(x: Stream[INT]) -> Stream[INT]:
    return x if x else add(x, 1)


@pytest.mark.parametrize(
    ("function", "line", "words"),
    [
        (_rates, 2, "one has 2 beats for each of x, the other 1 beat for each of x; split, widen, narrow or repeat"),
        (_sum_and_elements, 1, "one has 1 beat a packet, the other 1 beat for each of x"),
        (_packets, 1, "one has 3 packets for each of x, the other 2 packets for each of x"),
        (_half_a_beat, 1, "would have 1/2 beats"),
        (_type, 1, r"Argument a of kernel add is SInt\(8\), but got Stream\[F32\]"),
        (_large, 1, "300"),
        (_operator, 1, "Streams have no operators; write a kernel"),
        (_no_vector, 1, r"narrow takes a stream of a Vec, .* not Stream\[SInt\(8\)\]"),
        (_nothing, 0, "does not return that"),
        (_other_result, 0, r"to return Stream\[SInt\(8\)\], but returns Stream\[Vec\[SInt\(8\), 2\]\]"),
        (_unused, 0, "does not use its argument y"),
        (_apart, 0, "x and y of region _apart never meet: make two regions"),
        (_no_streams, 0, r"needs an annotation such as Stream\[F32\]"),
        (_memory, 1, r"Argument x of kernel gemv is a memory: pass load\(stream, packets\)"),
        (_loads, 1, "load takes a number of packets from 1, not 0"),
        (_one_packet_and_four, 1, "one has 1 packet for each of x, the other 4 packets for each of x"),
        (_branches, 1, "split takes a number from 2 to 1024, not 1"),
        (_truth, 1, "no truth in Python"),
    ],
)
def test_what_cannot_be_is_refused_with_its_line(function, line, words):
    place = f"test_regions.py:{function.__code__.co_firstlineno + line}: "
    with pytest.raises(hls.KernelError, match=f"{place}.*{words}"):
        _ = hls.region(function).graph


def test_directives_that_cannot_be_met():
    with pytest.raises(ValueError, match=r"Region sums has an element a beat, .*: lanes must be 1, got 2"):
        sums.schedule(lanes=2)
    with pytest.raises(ValueError, match=r"Region centred works on packets: give max_length, .* not None"):
        centred.schedule()
    with pytest.raises(ValueError, match="max_length must be a multiple of 16, got 24"):
        library.gemv_tile.schedule(max_length=24)
    with pytest.raises(ValueError, match=r"Memory low of kernel looked_up has 8 words, but .* loads up to 12"):
        tables.schedule(max_length=12)
    with pytest.raises(ValueError, match="Region block takes no bind, got x"):
        block.schedule(bind={"x": "block"})


def test_models_of_what_does_not_fit():
    with pytest.raises(TypeError, match=r"held.model takes 2 arrays \(x, y\), got 1"):
        held.model(np.zeros(3, int))
    with pytest.raises(ValueError, match="Streams that meet at add have 9 and 8 beats"):
        held.model(np.zeros(3, int), np.zeros(8, int))
    with pytest.raises(ValueError, match="widen takes packets of a multiple of 4 elements"):
        sums.model(np.zeros((2, 6), int))
    with pytest.raises(ValueError, match=r"SInt\(8\) \(-128 to 127\), got 0 to 128"):
        held.model(np.arange(0, 129, 128), np.zeros(6, int))
    with pytest.raises(TypeError, match=r"call it on streams inside a region, or use held.model\(...\) on arrays"):
        held(1, 2)


def test_models():
    """Against NumPy: shapes, the axis that disappears, parts, and packets in turn."""
    x = np.arange(24).reshape(2, 3, 4)
    assert np.array_equal(halves.model(x), np.stack([x[..., ::2] * 3 + 1, x[..., 1::2]], -1).reshape(x.shape))
    assert np.array_equal(sums.model(x[0]), x[0].sum(-1, keepdims=True))
    sum_, (high, low) = once.model(x)
    assert np.array_equal(sum_, x.sum(-1)) and high.shape == low.shape == (2, 3)
    found = named.model(x)
    assert np.array_equal(found.doubled, np.stack([x, x], -1))
    assert np.array_equal(found.large, 2 * x - x.max(-1, keepdims=True))
    w, v = np.arange(48).reshape(8, 6) // 3, np.arange(12).reshape(2, 6) // 5
    rows = (w * 3 + 1) * np.repeat(v * 5 + 1, 4, axis=0)
    assert np.array_equal(gemv.model(w, v), rows.sum(1))
    with pytest.raises(ValueError, match="row reads each load in 4 packets, but has 8 packets and 1 loads"):
        gemv.model(w, v[:1])
    y = np.arange(36).reshape(9, 4)
    assert np.array_equal(replayed.model(x[0], y), np.repeat(x[0], 3, axis=0) + y)
    assert np.array_equal(held.model(x[0], np.zeros((3, 12), int)), np.repeat(x[0], 3, axis=1))


def test_reports():
    cost = block.schedule()
    (fifo,) = cost.fifos
    latency = gelu.schedule().latency
    assert fifo.reason == f"x -> gelu -> plus is {latency - 2} cycles longer than x -> plus"  # a deep FIFO takes two
    assert (fifo.producer, fifo.consumer, fifo.width) == ("x", "plus", 32) and fifo.depth > latency
    assert f"| x | plus | {fifo.depth} | 32 |" in cost.report()
    assert json.loads(json.dumps(cost.to_json()))["fifos"][0]["depth"] == fifo.depth
    assert replayed.schedule(max_length=15).limits == ("y, repeat, add, o are busy in every cycle",)
    slow = hls.kernel(_float_sum)

    def region(x: Stream[F32]) -> Stream[F32]:
        return plus(slow(x), x)

    cost = hls.region(region).schedule(max_length=8)
    assert cost.interval == slow.schedule().initiation_interval > 1
    assert "_float_sum: " in cost.limits[0] and "the state of a scan or fold takes" in cost.limits[0]


def _float_sum(x: F32) -> F32:
    return hls.scan(lambda state, x: state + x, hls.constant(0, F32), x)


def test_an_interval_leaves_more_cycles_where_beats_are_fewer():
    """A kernel behind `widen` has as many more cycles for a beat: its operators share units."""
    name = "SInt(8) integer multiply"
    assert energies.schedule().operators[name] == 4
    shared = energies.schedule(ii=1)
    assert shared.operators[name] == 1 and shared.interval == 1
    assert measured(energies.plan(ii=1), energies.plan(ii=1).depths, 8) == 1
    check(energies, ii=1)


def test_too_long_packets_are_refused():
    """`too_long` rises with the last beat that a packet may have if it is not the packet's last."""
    component = below.component(max_length=5)
    seen = []

    async def process(ctx):
        ctx.set(component.x.valid, 1)
        for _ in range(30):
            _, _, ready, too_long = await ctx.tick().sample(component.x.ready, component.too_long)
            seen.append((ready, too_long))

    simulator = Simulator(component)
    simulator.add_clock(1e-6)
    simulator.add_testbench(process)
    simulator.run()
    assert seen == [(1, 0)] * 5 + [(0, 1)] * 25
    assert "too_long" not in block.component().signature.members


@pytest.mark.randomised
@pytest.mark.slow
@settings(max_examples=settings.get_profile("suite").max_examples * GATES // 100)
@given(regions(), directives, st.integers(0, 1 << 30))
def test_random_regions(region, directives, seed):
    note(f"{listing(region)}\n{directives}")
    longest = 8 if region.graph.framed else None
    try:
        region.plan(directives, max_length=longest)
    except ValueError as error:
        if multiple := re.search(r"must be a multiple of (\d+)", str(error)):
            longest = int(multiple[1])
        else:
            assert "takes a beat every" in str(error)  # a state takes longer than the interval that was asked for
            directives = replace(directives, ii=None)
    plan = check(region, directives, beats=40, seed=seed, max_length=longest).plan
    assert measured(plan, plan.depths, 16 * plan.rounds if plan.graph.framed else 8) == plan.interval
