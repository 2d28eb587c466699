"""What elements of a packet have to do with each other, in gates: counters, registers of what was, states, memories."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from amaranth.hdl import Cat, Const
from rtlm.hw.hls import types as t
from rtlm.hw.hls.associative import prefixes
from rtlm.hw.hls.builder import Builder, Net
from rtlm.hw.hls.graph import Associative, Graph, Operator, Recurrence, Value
from rtlm.hw.hls.operators import fit
from rtlm.hw.hls.phase import Phase
from rtlm.hw.hls.trace import TracedFunction
from rtlm.hw.hls.types import Float


class Planner(Protocol):
    """What is known here of the plan that is being made (:class:`.plan.Plan`)."""

    kernel: TracedFunction
    graph: Graph
    lanes: int
    ii: int | None
    striped: frozenset[str]

    def lane_indices(self, value: Value) -> list[int | None]:
        """Lanes of a value: None when all share it."""
        ...

    def expand(self, b: Builder, v: Value, args: list[Net]) -> Net:
        """Build an operator in one lane."""
        ...


def index(plan: Planner, phase: Phase, v: Value) -> None:
    """Count elements: of a power of two of lanes only the beats, since a lane's number is its low bits."""
    b, width = phase.builder, v.type.width
    b.operator(f"{v.type} counter", "index")
    bits = (plan.lanes - 1).bit_length()
    if plan.lanes == 1 << bits and bits < width:
        beat = b.state(0, t.UInt(width - bits).shape, 0)
        beat.next = b.add(beat.read, b.const(1, t.BOOL.shape), lambda x, y: (x + y)[: width - bits])
        for lane in range(plan.lanes):
            phase.nets[id(v), lane] = b.wire(lambda x, lane=lane: Cat(Const(lane, bits), x), beat.read)
        return
    first = b.state(0, v.type.shape, 0)
    step = b.const(plan.lanes & v.type.high, v.type.shape)
    first.next = b.add(first.read, step, lambda x, y: (x + y)[:width])
    for lane in range(plan.lanes):
        offset = b.const(lane & v.type.high, v.type.shape)
        phase.nets[id(v), lane] = b.add(first.read, offset, lambda x, y: (x + y)[:width]) if lane else first.read


def previous(plan: Planner, phase: Phase, v: Value) -> None:
    """Beats before, in registers; windows of one value share them."""
    b, (x,) = phase.builder, v.args
    nets = [phase.net(x, lane) for lane in range(plan.lanes)]
    stage = max(0, *(net.stage + (net.time > 0) for net in nets))
    initial = t.on_wires(v.attrs["initial"], v.type)
    history = phase.histories.setdefault((id(x), initial), [])
    b.operator(None, "previous")
    for lane in range(plan.lanes):
        back = lane - v.attrs["count"]
        beats = -(back // plan.lanes)
        while len(history) < beats:
            newer = history[-1] if history else dict(enumerate(nets))
            states = {n: b.state(initial, v.type.shape, stage) for n in newer}
            for n, state in states.items():
                state.next = newer[n]
            history.append({n: state.read for n, state in states.items()})
        phase.nets[id(v), lane] = history[beats - 1][back % plan.lanes] if beats else nets[back]


def scan(plan: Planner, phase: Phase, v: Value) -> None:
    """Steps of the lanes, one behind the other, between one register that is read and written by each beat."""
    recurrence = v.attrs["recurrence"]
    if id(recurrence) not in phase.scans:
        phase.scans[id(recurrence)] = _steps(plan, phase, recurrence)
    for lane, states in enumerate(phase.scans[id(recurrence)]):
        phase.nets[id(v), lane] = states[v.attrs["part"]]


def _built(plan: Planner, phase: Phase, results: list[Value], inner: dict[int, Net], lane: int) -> list[Net]:
    """Nets of values in a lane, from what is known of the values that they depend on."""
    b, stack = phase.builder, [(v, False) for v in reversed(results)]
    while stack:
        v, ready = stack.pop()
        if id(v) in inner:
            continue
        known = phase.nets.get((id(v), lane if v.per_lane else None))
        if known is not None:
            inner[id(v)] = known
        elif v.op == "const":
            inner[id(v)] = b.const(t.on_wires(v.attrs["value"], v.type), v.type.shape)
        elif ready:
            inner[id(v)] = plan.expand(b, v, [inner[id(a)] for a in v.args])
        else:
            stack += [(v, True), *((a, False) for a in reversed(v.args))]
    return [inner[id(v)] for v in results]


def _behind(plan: Planner, phase: Phase, recurrence: Recurrence, tree: Associative) -> dict[int, list[Net]]:
    """What the elements of a beat up to a lane's combine to; for a fold of the last lane only, which alone is used."""
    elements = [_built(plan, phase, tree.elements, {}, lane) for lane in range(plan.lanes)]

    def combine(earlier: list[Net], later: list[Net]) -> list[Net]:
        return _built(plan, phase, tree.combine.results, _known(tree.combine, earlier, later), 0)

    only_last = not plan.graph.is_scanned(recurrence)
    return prefixes(elements, combine, range(plan.lanes - 1 if only_last else 0, plan.lanes))


def _known(operator: Operator, left: list[Net], right: list[Net]) -> dict[int, Net]:
    return {id(v): net for v, net in zip([*operator.left, *operator.right], [*left, *right], strict=True)}


def _steps(plan: Planner, phase: Phase, recurrence: Recurrence) -> list[list[Net]]:
    b = phase.builder
    tree = recurrence.associative if plan.lanes > 1 else None
    if tree:
        behind = _behind(plan, phase, recurrence, tree)
        given = [net for nets in behind.values() for net in nets]
    else:
        given = [phase.net(a, lane) for a in recurrence.outside for lane in range(plan.lanes)]
    stage = max((net.stage + (net.time > 0) for net in given if not net.is_const), default=0)
    states, lanes = [], []
    with b.loop():
        for first in recurrence.initial:
            initial = t.on_wires(first.attrs["value"], first.type)
            states.append(b.state(initial, first.type.shape, stage))
        current = read = [state.read for state in states]
        for lane in range(plan.lanes):
            if not tree:
                known = {id(v): net for v, net in zip(recurrence.states, current, strict=True)}
                current = _built(plan, phase, recurrence.results, known, lane)
            elif lane in behind:
                known = _known(tree.apply, read, behind[lane])
                current = _built(plan, phase, tree.apply.results, known, lane)
            lanes.append(current)  # of a fold only the last one is right, and used
    for state, net in zip(states, current, strict=True):
        state.next = net
    needed = max(state.interval for state in states)
    if plan.ii is not None and needed > plan.ii:
        raise ValueError(
            f"{recurrence.place}: kernel {plan.kernel.name} takes a beat every {needed} cycles, not every "
            f"{plan.ii}: the state of this scan or fold is ready {needed} cycles after it was read."
        )
    if needed > 1:
        phase.limits.append(f"{recurrence.place}: the state of a scan or fold takes {needed} cycles to follow")
    phase.interval = max(phase.interval, needed)
    return lanes


def read(plan: Planner, phase: Phase, v: Value) -> None:
    """Read a word, and take a field of it."""
    b, (address,), memory = phase.builder, v.args, v.attrs["memory"]
    widths = [type_.width for _, type_ in memory.fields]
    item = sum(widths)
    start, width = sum(widths[: v.attrs["field"]]), v.type.width
    striped, bits = memory.name in plan.striped, (plan.lanes - 1).bit_length()
    for lane in plan.lane_indices(v):
        key = (memory.name, id(address), None if striped else lane)
        if key not in phase.words:
            b.operator(None, "read")
            place = phase.net(address, lane)
            if striped:
                place = b.wire(lambda a: a[bits:], place) if place.width > bits else b.const(0, t.BOOL.shape)
            phase.words[key] = b.read(memory.name, place, item * (plan.lanes if striped else 1))
        offset = start + (item * lane if striped and lane is not None else 0)
        phase.nets[id(v), lane] = b.wire(
            lambda word, at=offset: fit(word[at : at + width], v.type)
            if not isinstance(v.type, Float) else word[at : at + width],
            phase.words[key],
        )  # fmt: skip


SEQUENTIAL: dict[str, Callable[[Planner, Phase, Value], None]] = {
    "index": index,
    "previous": previous,
    "scan": scan,
    "read": read,
}
"""For operations that are not operators of one lane, what builds them in all lanes."""
