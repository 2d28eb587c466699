"""What a scheduled kernel costs: its latency, interval, operators, registers, buffers, and when operators work."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Protocol

from rtlm.hw.hls.builder import SharedUnit
from rtlm.hw.hls.graph import Value
from rtlm.hw.hls.partition import Partitioned, explained
from rtlm.hw.hls.phase import Phase, last_uses, queue_words
from rtlm.hw.hls.schedule import Activity, Buffer, Schedule
from rtlm.hw.hls.vectors import leaves

RESULT_DEPTH = 4
"""Packets whose reductions may wait between two phases."""
FIFO_LATENCY = 2
"""Of `amaranth.lib.fifo.SyncFIFOBuffered`."""


class Planned(Partitioned, Protocol):
    """What a report needs of a plan (:class:`.plan.Plan`)."""

    blocks: dict[str, list[int]]

    def lane_indices(self, value: Value) -> list[int | None]:
        """Lanes of a value: None when all share it."""
        ...


def schedule_of(plan: Planned) -> Schedule:
    """Return what a plan costs."""
    operators: Counter[str] = Counter()
    register_bits = 0
    for phase in plan.phases:
        operators.update(phase.builder.operators)
        ends = last_uses(phase)
        register_bits += sum(
            net.width * -(-max(0, ends.get(id(net), net.stage) - net.stage) // (1 if net.flows else phase.interval))
            for net in phase.builder.nets
        )
        register_bits += sum(v.type.width for v, _ in phase.reductions) + phase.stages
    latency = 0
    for phase, following in zip(plan.phases, [*plan.phases[1:], None], strict=True):
        latency += phase.stages + (FIFO_LATENCY if following is not None and phase.every_beat else 0)
    return Schedule(
        latency=latency,
        initiation_interval=max(phase.interval for phase in plan.phases),
        limits=tuple(text for phase in plan.phases for text in phase.limits),
        operators=dict(sorted(operators.items())),
        register_bits=register_bits,
        phase_latencies=tuple(p.stages for p in plan.phases),
        critical_ns=max(p.builder.critical for p in plan.phases),
        activities=tuple(a for index, phase in enumerate(plan.phases) for a in _activities(phase, index)),
        buffers=(*_fifos(plan), *_memories(plan)),
    )


def _fifos(plan: Planned) -> Iterator[Buffer]:
    for index, phase in enumerate(plan.phases[:-1]):
        if phase.every_beat:
            bits = sum(v.type.width * len(plan.lane_indices(v)) for v in phase.elements)
            yield Buffer(
                name=f"elements{index}",
                words=f"2 max_length + {queue_words(phase, plan.phases[index + 1], 0)}",
                bits=bits + 1,
                reason="what is used again behind a reduction waits for its packet's end, while the next packet "
                "comes in",
            )
            constants = sum(v.type.width for v in phase.constants)
            yield Buffer(
                name=f"reductions{index}", words=str(RESULT_DEPTH), bits=constants, reason="results of packets"
            )


def _memories(plan: Planned) -> Iterator[Buffer]:
    for name, type_ in plan.kernel.memories.items():
        item = sum(leaf.width for _, leaf in leaves(name, type_.item))
        words, reason = explained(plan, name, plan.blocks)
        yield Buffer(name=name, words=words, bits=item * (plan.lanes if name in plan.striped else 1), reason=reason)


def _activities(phase: Phase, index: int) -> Iterator[Activity]:
    """When each operator of a pipeline is at work."""
    builder, live = phase.builder, last_uses(phase)
    spans: dict[int, list[int]] = {}
    for net in builder.nets:
        if id(net) in live and net.operator in builder.labels and not net.taker:
            spans.setdefault(net.operator, []).append(net.stage)
    shared: dict[int, tuple[int, SharedUnit]] = {}
    for units in builder.units.values():
        for number, unit in enumerate(units):
            shared[unit.out.operator] = number, unit
    for operator, stages in spans.items():
        name = builder.labels[operator]
        if operator in shared:
            number, unit = shared[operator]
            for start, _ in unit.turns.values():
                yield Activity(operator=name, phase=index, first=start, last=start + unit.latency, unit=number)
        else:
            yield Activity(operator=name, phase=index, first=min(stages), last=max(stages))
