"""How the words of a kernel's memories lie, so that all places that read one in a cycle have a port of their own.

A memory has one read port. Without a directive its words lie over the lanes in turn where every lane is known to read
its neighbour's next word, so that one address serves all; else each place that reads has a copy of the memory. The
directive `partition` asks for one of `PARTITIONS` instead, and is refused where reads would meet at a port.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Protocol

from rtlm.hw.hls.builder import Net
from rtlm.hw.hls.directives import LARGEST_COMPLETE, MEMORY_STYLES, Directives
from rtlm.hw.hls.graph import Graph, Value
from rtlm.hw.hls.phase import Phase
from rtlm.hw.hls.ranges import ranges_of
from rtlm.hw.hls.technology import Technology
from rtlm.hw.hls.trace import TracedFunction


class Partitioned(Protocol):
    """What is known here of a plan (:class:`.plan.Plan`)."""

    kernel: TracedFunction
    graph: Graph
    lanes: int
    directives: Directives
    tech: Technology
    striped: frozenset[str]
    phases: list[Phase]


def check_memories(kernel: TracedFunction, directives: Directives) -> None:
    """Refuse directives for memories that a kernel has not, or that do not go together."""
    chosen: Iterable[tuple[Mapping[str, str], str]] = (
        (directives.bound(MEMORY_STYLES), "bind"),
        (directives.partition, "partition"),
    )
    for names, verb in chosen:
        for name in names:
            if name not in kernel.memories:
                known = f"its memories are {', '.join(kernel.memories)}" if kernel.memories else "it has none"
                raise ValueError(f"Kernel {kernel.name} has no memory {name} to {verb}; {known}.")
    for name, kind in directives.partition.items():
        if kind == "complete" and name in directives.bind:
            raise ValueError(
                f"Memory {name} of kernel {kernel.name} is complete, which is registers: leave out that it is bound to "
                f"{directives.bind[name]}."
            )
        if kind == "complete" and kernel.memories[name].depth > LARGEST_COMPLETE:
            raise ValueError(
                f"Memory {name} of kernel {kernel.name} has {kernel.memories[name].depth} words: complete, which makes "
                f"registers of them, takes at most {LARGEST_COMPLETE}."
            )


def striped(kernel: TracedFunction, graph: Graph, directives: Directives) -> frozenset[str]:
    """Return the memories whose words lie over the lanes in turn: one address serves all lanes."""
    lanes = directives.lanes
    several = lanes > 1 and lanes & (lanes - 1) == 0
    names = {v.attrs["memory"].name for v in graph.reads}
    others = {v.attrs["memory"].name for v in graph.reads if not (several and in_turn(v.args[0], lanes))}
    for name, kind in directives.partition.items():
        if kind == "cyclic" and lanes > 1 and name in others:
            raise ValueError(
                f"Memory {name} of kernel {kernel.name} cannot be cyclic over {lanes} lanes: a beat's reads are not "
                "known to be neighbours from a multiple of the lanes on (a power of two), so that two of them may meet "
                "at a port; choose complete, or none for a copy each."
            )
    found = frozenset(names - others) - {n for n, kind in directives.partition.items() if kind == "complete"}
    for name in sorted(found):
        depth = kernel.memories[name].depth
        if depth % lanes:
            raise ValueError(
                f"Memory {name} of kernel {kernel.name} has {depth} words, which {lanes} lanes do not divide."
            )
    return found


def in_turn(address: Value, lanes: int) -> bool:
    """Whether the lanes of each beat read neighbouring words from a multiple of so many on."""
    if address.op == "index" or address.attrs.get("lane"):
        return True
    if address.op != "iadd":
        return False
    return any(
        in_turn(a, lanes) and not b.per_lane and multiple_of(b) % lanes == 0
        for a, b in (address.args, address.args[::-1])
    )


def multiple_of(v: Value) -> int:
    """Return a number of which an integer is always a multiple; 0 of 0."""
    if v.op == "const":
        return abs(v.attrs["value"])
    if v.op == "shl":
        return multiple_of(v.args[0]) << v.attrs["count"]
    if v.op == "imul":
        return multiple_of(v.args[0]) * multiple_of(v.args[1])
    if v.op == "iadd":
        return math.gcd(*map(multiple_of, v.args))
    return v.attrs.get("multiple", 1)


def places(plan: Partitioned, name: str) -> list[Net]:
    """Return the places that read a memory, as a beat passes them."""
    return [net for net in sorted(plan.phases[0].words.values(), key=lambda net: net.stage) if net.memory == name]


def blocks(plan: Partitioned) -> dict[str, list[int]]:
    """Return for each memory that lies in blocks which block each of its places reads.

    Raises
    ------
    ValueError
        If a place is not known to stay in a block of its own.
    """
    found = {}
    for name, kind in plan.directives.partition.items():
        if kind == "block":
            found[name] = _blocks(plan, name)
    return found


def _blocks(plan: Partitioned, name: str) -> list[int]:
    reads = {id(v.args[0]): v.args[0] for v in plan.graph.reads if v.attrs["memory"].name == name}
    depth, count = plan.kernel.memories[name].depth, len(reads)
    size = depth // count
    if depth & (depth - 1) or count & (count - 1) or size < 2:
        raise ValueError(
            f"Memory {name} of kernel {plan.kernel.name} has {depth} words and is read at {count} addresses: it can "
            "lie in blocks where both are powers of two."
        )
    ranges = ranges_of(list(reads.values()))
    block_of = {}
    for key in reads:
        low, high = ranges[key] or (0, depth - 1)
        if low // size != high // size or high >= depth:
            raise ValueError(
                f"Memory {name} of kernel {plan.kernel.name} cannot lie in {count} blocks of {size} words: an address "
                f"goes from {low} to {high}, so that two reads may meet at a block's port; choose complete, or none "
                "for a copy each."
            )
        block_of[key] = low // size
    if len(set(block_of.values())) != count:
        raise ValueError(
            f"Memory {name} of kernel {plan.kernel.name} cannot lie in {count} blocks of {size} words: several of its "
            "addresses stay in the same one, and would meet at its port; choose complete, or none for a copy each."
        )
    by_net = {id(net): address for (memory, address, _), net in plan.phases[0].words.items() if memory == name}
    return [block_of[by_net[id(net)]] for net in places(plan, name)]


def register_reads(plan: Partitioned) -> list[tuple[float, str]]:
    """Return for each memory in registers the delay from an address to its word, and what it is called."""
    return [
        (plan.tech.shift(2 * plan.kernel.memories[name].depth), f"read of the complete memory {name}")
        for name, kind in plan.directives.partition.items()
        if kind == "complete"
    ]


def explained(plan: Partitioned, name: str, block_of: Mapping[str, list[int]]) -> tuple[str, str]:
    """Return the words that a memory takes, and why it is no more and no less."""
    depth, count = plan.kernel.memories[name].depth, len(places(plan, name))
    lanes = plan.lanes if name in plan.striped else 1
    rows = depth // lanes
    why = ["two banks, one filled while the other is read"]
    if lanes > 1:
        why.append(f"cyclic over {lanes} lanes: one read serves all")
    if plan.directives.partition.get(name) == "complete":
        why.append(f"complete: registers, with a multiplexer for each of {count} reads a cycle")
        return f"2 x {rows}", "; ".join(why)
    if name in block_of:
        parts = len(set(block_of[name]))
        each = "" if parts == count else f", each with a copy for each of {count // parts} lanes"
        why.append(f"in {parts} blocks, one for each address{each}")
        return f"2 x {rows // parts} x {count}", "; ".join(why)
    why.append(f"{count} reads a cycle would meet at its port: a copy for each" if count > 1 else "1 read a cycle")
    return f"2 x {rows} x {count}", "; ".join(why)
