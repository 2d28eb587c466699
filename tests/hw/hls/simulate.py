"""A kernel's component in Amaranth's simulator, with gaps and back-pressure, against its model."""

import random

import numpy as np
from amaranth.hdl import Module
from amaranth.sim import Simulator
from rtlm.hw import hls
from rtlm.sim.unit_benches.kernels.bench import random_bits
from rtlm.sim.unit_benches.kernels.packets import draw_ends, load_spans, model_of_beats

PATIENCE = 4000
"""Cycles without a beat after which none comes any more."""


def check(kernel, directives=None, *, beats=60, longest=9, seed=1, max_length=None, loads=3, keys=1, **changes):
    """Drive random packets through the gates; everything that comes out is what the model says, and all of it comes.

    A kernel with memories gets so many loads, each read by a part of the packets. With several keys packets interleave.
    """
    rng, chance = np.random.default_rng(seed), random.Random(seed)
    component = kernel.component(directives, **changes, max_length=max_length, keys=keys)
    lanes = component.plan.lanes
    # Beats in the order of their packets; where these interleave, key by key, and `order` says when each comes.
    key = np.sort(rng.integers(0, keys, beats))
    order = np.array(list(_mixed(rng, key)))
    last = draw_ends(rng, beats, longest, chance=0.3) | np.append(np.diff(key) != 0, True)
    fields = [
        random_bits(rng, type_, (beats,) if shared else (beats, lanes)) for type_, shared in kernel.arguments.values()
    ]
    values = [hls.from_bits(bits, type_) for bits, (type_, _) in zip(fields, kernel.arguments.values(), strict=True)]
    parts = load_spans(last, loads if component.memories else 1)
    contents = {name: [] for name in component.memories}
    expected: list[list[tuple]] = []
    for first, behind in parts:
        words = {}
        for name, memory in component.memories.items():
            count = memory.depth * memory.words
            bits = [random_bits(rng, type_, count) for _, type_ in memory.fields]
            contents[name].append(bits)
            words[name] = [hls.from_bits(b, type_) for b, (_, type_) in zip(bits, memory.fields, strict=True)]
        part = [v[first:behind] for v in values]
        expected += rows(kernel, model_of_beats(kernel, part, words, last[first:behind]))
    come = {n: place for place, n in enumerate(np.flatnonzero(last) if kernel.graph.once_per_packet else range(beats))}
    expected = [expected[come[n]] for n in order if n in come]
    sent = [f[order] for f in fields], last[order], key[order]
    out = simulate(component, kernel, *sent, [behind - 1 for _, behind in parts], contents, chance)
    assert len(out) == len(expected)
    for number, (seen, wanted) in enumerate(zip(out, expected, strict=True)):
        assert seen == wanted, f"beat {number} of {kernel.name}"
    return component


def _mixed(rng, key):
    """Beats of several keys in turn, each key's in their order."""
    left = {k: list(np.flatnonzero(key == k)) for k in np.unique(key)}
    while left:
        k = rng.choice(list(left))
        yield left[k].pop(0)
        left = {k: beats for k, beats in left.items() if beats}


def rows(kernel, results):
    """For each beat that comes out, the bits of its fields, lane by lane."""
    columns = []
    for type_, value, node in zip(kernel.results.values(), results, kernel.graph.results, strict=True):
        bits = hls.to_bits(value, type_)
        columns.append(bits.reshape(len(bits), -1) if node.per_lane else bits.reshape(len(bits), -1)[:, :1])
    return [tuple(int(v) for column in columns for v in column[n]) for n in range(len(columns[0]))]


def simulate(component, kernel, fields, last, key, releases, contents, chance):
    """Return the beats that come out."""
    out, waiting = [], len(last)
    once = kernel.graph.once_per_packet
    wanted = int(last.sum()) if once else waiting

    def payload(n):
        bits = {
            name: column[n].tolist() if column.ndim == 2 else int(column[n])
            for name, column in zip(kernel.arguments, fields, strict=True)
        }
        if component.framing:
            bits["last"] = int(last[n])
        if component.keys > 1:
            bits["key"] = int(key[n])
        if component.memories:
            bits["release"] = int(n in releases)
        return bits

    async def source(ctx):
        for n in range(waiting):
            while chance.random() < 0.3:
                await ctx.tick()
            ctx.set(component.i.payload, payload(n))
            ctx.set(component.i.valid, 1)
            await ctx.tick().until(component.i.ready)
            ctx.set(component.i.valid, 0)

    def loader(name, memory):
        async def load(ctx):
            port = getattr(component, name)
            for bits in contents[name]:
                for place in range(memory.depth):
                    while chance.random() < 0.2:
                        await ctx.tick()
                    words = slice(place * memory.words, (place + 1) * memory.words)
                    columns = {field: b[words].tolist() for (field, _), b in zip(memory.fields, bits, strict=True)}
                    ctx.set(port.payload, {**columns, "last": int(place == memory.depth - 1)})
                    ctx.set(port.valid, 1)
                    await ctx.tick().until(port.ready)
                    ctx.set(port.valid, 0)

        return load

    async def take(ctx):
        quiet = 0
        while len(out) < wanted and quiet < PATIENCE:
            ready = chance.random() < 0.7
            ctx.set(component.o.ready, ready)
            _, _, valid, bits = await ctx.tick().sample(component.o.valid, component.o.payload)
            quiet += 1
            if ready and valid:
                quiet = 0
                row = []
                for name, node in zip(kernel.results, kernel.graph.results, strict=True):
                    value = bits[name]
                    row += [int(value[lane]) for lane in range(len(value))] if node.per_lane else [int(value)]
                out.append(tuple(row))

    m = Module()
    m.submodules.unit = component
    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(source, background=True)
    for name, memory in component.memories.items():
        simulator.add_testbench(loader(name, memory), background=True)
    simulator.add_testbench(take)
    simulator.run()
    return out
