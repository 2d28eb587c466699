"""A nest of loops in Amaranth's simulator: commands with gaps and back-pressure, against the kernel's model."""

import random

import numpy as np
from amaranth.hdl import Module, Signal
from amaranth.sim import Simulator
from rtlm.hw import hls
from rtlm.hw.hls.vectors import leaves

PATIENCE = 4000
"""Cycles without a result after which none comes any more."""


def expected_of(kernel, commands, contents, releases):
    """For each command that has results, the bits of each, in their order."""
    out, load = [], 0
    for command, release in zip(commands, releases, strict=True):
        words = {
            name: [hls.from_bits(np.array(b), leaf) for b, (_, leaf) in zip(bits[load], fields, strict=True)]
            for name, (fields, bits) in contents.items()
        }
        values = [hls.from_bits(np.array(b), t) for b, (t, _) in zip(command, kernel.arguments.values(), strict=True)]
        columns = [
            hls.to_bits(np.asarray(r).reshape(-1), type_).tolist()
            for r, type_ in zip(kernel.model_of_fields(values, words), kernel.results.values(), strict=True)
        ]
        rows = list(zip(*columns, strict=True))
        if rows:
            out.append(rows)
        load += release
    return out


def simulate(component, kernel, commands, contents, releases, chance, wanted, *, steady=False):
    """Return for each command that has results the bits of each, and the cycles in which commands went in and beats
    came out.
    """
    out, current, went, came = [], [], [], []
    cycle = Signal(32)
    feeding, taking = (1.0, 1.0) if steady else (0.7, 0.7)

    async def source(ctx):
        for bits, release in zip(commands, releases, strict=True):
            while chance.random() > feeding:
                await ctx.tick()
            payload = dict(zip(kernel.arguments, bits, strict=True))
            ctx.set(component.i.payload, payload | ({"release": release} if component.memories else {}))
            ctx.set(component.i.valid, 1)
            await ctx.tick().until(component.i.ready)
            went.append(ctx.get(cycle))
            ctx.set(component.i.valid, 0)

    def loader(name, memory, loads):
        async def load(ctx):
            port = getattr(component, name)
            for bits in loads:
                for place in range(memory.depth):
                    words = slice(place * memory.words, (place + 1) * memory.words)
                    columns = {field: b[words] for (field, _), b in zip(memory.fields, bits, strict=True)}
                    ctx.set(port.payload, {**columns, "last": int(place == memory.depth - 1)})
                    ctx.set(port.valid, 1)
                    await ctx.tick().until(port.ready)
                    ctx.set(port.valid, 0)

        return load

    async def take(ctx):
        nonlocal current
        quiet = 0
        while len(out) < wanted and quiet < PATIENCE:
            ready = chance.random() < taking
            ctx.set(component.o.ready, ready)
            _, _, valid, payload = await ctx.tick().sample(component.o.valid, component.o.payload)
            quiet += 1
            if ready and valid:
                quiet = 0
                came.append(ctx.get(cycle))
                current += rows_of(component, kernel, payload)
                if payload.last:
                    out.append(current)
                    current = []
        for _ in range(50):  # nothing more comes
            _, _, valid = await ctx.tick().sample(component.o.valid)
            assert not valid

    m = Module()
    m.submodules.unit = component
    m.d.sync += cycle.eq(cycle + 1)
    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(source, background=True)
    for name, memory in component.memories.items():
        simulator.add_testbench(loader(name, memory, contents[name][1]), background=True)
    simulator.add_testbench(take)
    simulator.run()
    assert not current, "results without a last one"
    return out, went, came


def rows_of(component, kernel, payload):
    """The results of a beat: those of its lanes that have an iteration."""
    names = [name for name, _ in component.o.payload.shape()]
    per_lane = any(node.per_lane for node in kernel.graph.results)
    once = kernel.graph.once_per_packet
    lanes = 1 if once else component.plan.lanes
    active = [bool(payload.active[lane]) for lane in range(lanes)] if "active" in names else [True] * lanes
    assert once or per_lane or lanes == 1
    rows = []
    for lane in range(lanes):
        if active[lane]:
            rows.append(tuple(
                int(payload[name][lane]) if node.per_lane else int(payload[name])
                for name, node in zip(kernel.results, kernel.graph.results, strict=True)
            ))  # fmt: skip
    return rows


def check_nest(kernel, commands, directives=None, *, seed=1, keep=(), steady=False, **changes):
    """Run commands through the gates; their results are the model's, and all of them come. Return the component, and
    the cycles in which commands went in and beats came out.

    Parameters
    ----------
    commands
        For each the bits of each argument.
    keep
        Numbers of the commands that leave the memories to the next one.
    """
    rng, chance = np.random.default_rng(seed), random.Random(seed)
    component = kernel.component(directives, **changes)
    releases = [int(n not in keep) for n in range(len(commands))]
    contents, loads = {}, sum(releases[:-1]) + 1
    for name, type_ in kernel.memories.items():
        fields = leaves(name, type_.item)
        words = [[rng.integers(0, 1 << leaf.width, type_.depth).tolist() for _, leaf in fields] for _ in range(loads)]
        contents[name] = fields, words
    wanted = expected_of(kernel, commands, contents, releases)
    seen, *cycles = simulate(component, kernel, commands, contents, releases, chance, len(wanted), steady=steady)
    assert len(seen) == len(wanted)
    for number, (a, b) in enumerate(zip(seen, wanted, strict=True)):
        assert a == b, f"results of command {number} of {kernel.name}"
    return component, cycles
