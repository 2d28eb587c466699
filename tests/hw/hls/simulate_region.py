"""A region's component in Amaranth's simulator: against its model, or as fast as it goes."""

import random
from fractions import Fraction

from amaranth.hdl import Module
from amaranth.sim import Simulator
from rtlm.hw.hls.regions.emit import RegionComponent
from rtlm.sim.unit_benches.kernels.regions import bench_beats

PATIENCE = 3000
"""Cycles without a beat after which none comes any more."""


def check(region, directives=None, *, beats=60, seed=1, max_length=None, **changes):
    """Drive random packets through the gates; everything that comes out is what the model says, and all of it comes."""
    component = region.component(directives, max_length=max_length, **changes)
    sent, expected = bench_beats(component.plan, seed, beats)
    out = simulate(component, sent, [len(e) for e in expected], random.Random(seed))
    for name, seen, wanted in zip(region.declared_results, out, expected, strict=True):
        assert [beat for _, beat in seen] == wanted, f"{name} of {region.name}"
    return component


def simulate(component, sent, wanted, chance=None):
    """Return for each output the beats that come out, each with its cycle; without a chance nothing ever waits."""
    plan = component.plan
    out = [[] for _ in wanted]

    def source(name, beats):
        async def offer(ctx):
            port = getattr(component, name)
            for bits in beats:
                while chance and chance.random() < 0.3:
                    await ctx.tick()
                ctx.set(port.payload.as_value(), bits)
                ctx.set(port.valid, 1)
                taken = False
                while not taken:
                    _, _, taken = await ctx.tick().sample(port.ready)
                ctx.set(port.valid, 0)

        return offer

    def sink(name, seen, count):
        async def take(ctx):
            port = getattr(component, name)
            cycle = quiet = 0
            while quiet < PATIENCE and (len(seen) < count or quiet < 20):
                ready = chance is None or chance.random() < 0.7
                ctx.set(port.ready, ready)
                _, _, valid, bits = await ctx.tick().sample(port.valid, port.payload.as_value())
                quiet += 1
                if ready and valid:
                    quiet = 0
                    seen.append((cycle, bits))
                cycle += 1

        return take

    m = Module()
    m.submodules.unit = component
    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    for node, beats in zip(plan.graph.inputs, sent, strict=True):
        simulator.add_testbench(source(node.name, beats), background=True)
    for node, seen, count in zip(plan.graph.outputs, out, wanted, strict=True):
        simulator.add_testbench(sink(node.name, seen, count))
    simulator.run()
    return out


def measured(plan, depths, packets):
    """Cycles between beats of the first input in the gates, for FIFOs of these depths; None at a standstill.

    The first half of so many packets, or of elements, is for the pipelines to fill.
    """
    changed = object.__new__(type(plan))
    changed.__dict__ = {**plan.__dict__, "depths": depths}
    component = RegionComponent(changed)
    lengths = [plan.lengths[node, 0] for node in plan.graph.inputs]
    counts = [int(packets * plan.packets(node, 0)) for node in plan.graph.inputs]
    sent = []
    for node, length, count in zip(plan.graph.inputs, lengths, counts, strict=True):
        last = sum(leaf.width for leaf in node.outputs[0])
        sent.append([int(component.framing and n % length == length - 1) << last for n in range(length * count)])
    columns = [node.inputs[0][0] for node in plan.graph.outputs]
    wanted = [int(plan.beats(c.node, c.port) * lengths[0] * packets) for c in columns]
    (seen, *_), count = simulate(component, sent, wanted), wanted[0]
    if len(seen) < count:
        return None
    half = count // 2
    ratio = plan.beats(columns[0].node, columns[0].port)
    return Fraction(seen[-1][0] - seen[half - 1][0], count - half) * ratio
