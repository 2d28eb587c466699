"""Beats for the benches of regions: packets as long and as many as the rates of its inputs say, and their bits."""

import numpy as np
from rtlm.hw import hls
from rtlm.hw.hls.regions.model import Beats, evaluate_region
from rtlm.hw.hls.regions.plan import RegionPlan
from rtlm.hw.hls.types import Type
from rtlm.sim.unit_benches.kernels.bench import random_bits


def draw_lengths(rng: np.random.Generator, plan: RegionPlan, beats: int) -> list[list[int]]:
    """Draw the lengths of packets of each input: at most the longest, together about so many beats of the first one.

    Packets of a round, in which every stream has whole packets, are of one length, so that those that meet are. Those
    that fill memories are of the longest, so that nothing else is read.
    """
    inputs, framed = plan.graph.inputs, plan.graph.framed
    lengths: list[list[int]] = [[] for _ in inputs]
    while sum(lengths[0]) < beats:
        values = {
            unknown: unit * int(rng.integers(1, plan.largest[unknown] // unit + 1)) if framed else unit * beats
            for unknown, unit in plan.units.items()
        } | {unknown: plan.largest[unknown] for unknown in plan.filling}
        for node, drawn in zip(inputs, lengths, strict=True):
            rate = node.flows[0].beats.settled()
            count = int(plan.rounds * plan.packets(node, 0))
            drawn += [int(rate.factor * (values[rate.of] if rate.of else 1))] * count
    return lengths


def draw_beats(rng: np.random.Generator, types: list[Type], lengths: list[int]) -> Beats:
    """Draw beats of packets of these lengths, in bits as kernels put them out: one NaN, no subnormals."""
    values = [hls.from_bits(random_bits(rng, type_, (sum(lengths),)), type_) for type_ in types]
    last = np.zeros(sum(lengths), dtype=bool)
    last[np.cumsum(lengths) - 1] = True
    return Beats(values, last)


def payloads(beats: Beats, types: list[Type], *, framed: bool) -> list[int]:
    """Return beats as numbers on the wires, with `last` if they are in packets."""
    found, place = [0] * len(beats.last), 0
    for column, type_ in zip(beats.columns, types, strict=True):
        for n, bits in enumerate(hls.to_bits(column, type_).tolist()):
            found[n] |= int(bits) << place
        place += type_.width
    return [bits | int(last) << place if framed else bits for bits, last in zip(found, beats.last, strict=True)]


def bench_beats(plan: RegionPlan, seed: int, beats: int) -> tuple[list[list[int]], list[list[int]]]:
    """Draw payloads of each input, and compute those of each output with the golden model."""
    rng, graph = np.random.default_rng(seed), plan.graph
    lengths = draw_lengths(rng, plan, beats)
    inputs = [draw_beats(rng, node.outputs[0], drawn) for node, drawn in zip(graph.inputs, lengths, strict=True)]
    results = evaluate_region(graph, inputs)
    sent = [payloads(b, i.outputs[0], framed=graph.framed) for i, b in zip(graph.inputs, inputs, strict=True)]
    types = [[leaf for _, leaf in o.type.fields("result")] for o in graph.outputs]
    return sent, [payloads(b, t, framed=graph.framed) for b, t in zip(results, types, strict=True)]
