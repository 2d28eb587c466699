"""A pipeline: one for each part of a kernel between packet reductions."""

from __future__ import annotations

from dataclasses import dataclass, field

from rtlm.hw.hls.builder import Builder, Net
from rtlm.hw.hls.graph import Value


@dataclass
class Phase:
    """One pipeline: what comes in, what goes out, and its nets."""

    builder: Builder
    inputs: dict[tuple[int, int | None], Net] = field(default_factory=dict)
    """Net of each (value, lane); the lane is None for what all lanes share."""
    values: dict[int, Value] = field(default_factory=dict)
    elements: list[Value] = field(default_factory=list)
    """Values that go on with each beat."""
    every_beat: bool = False
    """Whether something goes on with each beat, if only its place in the packet."""
    constants: list[Value] = field(default_factory=list)
    """Values that go on once a packet."""
    reductions: list[tuple[Value, Net]] = field(default_factory=list)
    nets: dict[tuple[int, int | None], Net] = field(default_factory=dict)
    outputs: list[Net] = field(default_factory=list)
    depth: int = 1
    histories: dict[tuple[int, int], list[dict[int, Net]]] = field(default_factory=dict)
    """For values and what precedes their packets: the beats before, newest first, each by lane."""
    scans: dict[int, list[list[Net]]] = field(default_factory=dict)
    """For each recurrence, the states behind each lane's element."""
    words: dict[tuple[str, int, int | None], Net] = field(default_factory=dict)
    """Words read from memories, by memory, address and lane; the lane is None where one address serves all."""
    interval: int = 1
    """Cycles between beats."""
    limits: list[str] = field(default_factory=list)
    """What makes them more than one."""

    def net(self, v: Value, lane: int | None) -> Net:
        """Net of a value in a lane; the same one where all share it."""
        return self.nets[id(v), lane if v.per_lane else None]

    @property
    def stages(self) -> int:
        """Registers between input and output, the accumulator included."""
        return self.depth + bool(self.reductions)


def queue_words(before: Phase, behind: Phase, max_length: int) -> int:
    """Return the words of the FIFO between two phases: two longest packets, and what both pipelines hold."""
    return 2 * max_length + before.stages + behind.stages


def held(phase: Phase) -> dict[int, int]:
    """For results, and what states are read and written from, the last stage in which they are needed."""
    ends: dict[int, int] = {}
    reduced = {id(net) for _, net in phase.reductions}
    for net in phase.outputs:
        if not net.is_const:
            ends[id(net)] = max(ends.get(id(net), 0), phase.depth if id(net) in reduced else phase.stages)
    passed = {id(n) for n in phase.outputs[: len(phase.outputs) - len(phase.reductions)]}
    for key in passed & reduced:  # what is both reduced and passed on lives until the end
        ends[key] = phase.stages
    for state in phase.builder.states:
        for net, stage in ((state.read, state.read.stage), (state.written, state.write_stage)):
            if not net.is_const:
                ends[id(net)] = max(ends.get(id(net), 0), stage)
    return ends


def last_uses(phase: Phase) -> dict[int, int]:
    """Last stage in which each live net is read; dead nets are missing."""
    ends = held(phase)
    for net in reversed(phase.builder.nets):
        if id(net) in ends:
            for a in net.args:
                if not a.is_const:
                    ends[id(a)] = max(ends.get(id(a), 0), net.reads_at)
            if net.taker:
                ends[id(net.taker.out)] = net.taker.out.stage
    return ends
