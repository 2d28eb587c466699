"""The timeline of decoding steps: from what a simulation recorded to named slices and counters, cycle by cycle."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from rtlm.host.compiler.plan import PURPOSES, Plan
from rtlm.host.reports.causes import idle_cause
from rtlm.host.reports.timeline_names import NamedInstruction, in_layer, name_instructions
from rtlm.host.reports.work import operator_name
from rtlm.host.runtime.device import ColumnInput
from rtlm.hw.attention.unit import AttentionPhase
from rtlm.hw.control.counters import ACTIVITY
from rtlm.hw.control.isa import Opcode, Operator
from rtlm.sim.memory.dram import Dram
from rtlm.sim.timeline import BUS_USES, IDLE, Recording
from rtlm.sim.verilator.observed import PHASE_BITS

MOST_WINDOWS = 4096
"""Points of a counter at most: longer steps have longer windows."""

UNIT_STATES = {
    "matrix unit": ("matmul_busy", "matmul_starved", "matmul_blocked_activation", "matmul_blocked_output"),
    "attention": ("attention_busy", "attention_starved"),
    "vector engine": ("vector_busy",),
    "reader": ("reader_no_room", "reader_no_request"),
}
"""Units, each with the events of `rtlm.hw.control.counters.EVENTS` that its states are."""

_PHASES = {
    AttentionPhase.KEYS: Operator.QK,
    AttentionPhase.SOFTMAX: Operator.SOFTMAX,
    AttentionPhase.VALUES: Operator.PV,
    AttentionPhase.OUTPUT: Operator.PV,
}
"""To which operator attention's phases count."""


@dataclass(frozen=True, kw_only=True)
class Slice:
    """Something that took some time.

    Parameters
    ----------
    start, end
        First cycle, and the one after the last; fractions where a memory's clock is no whole cycle.
    name
        What it was.
    details
        What is known of it: operator, layer, cycles.
    """

    start: float
    end: float
    name: str
    details: Mapping[str, int | str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Track:
    """Slices that do not overlap.

    Parameters
    ----------
    group
        Tracks that are shown together.
    name
        Name in the group.
    slices
        In the order of time.
    """

    group: str
    name: str
    slices: Sequence[Slice]


@dataclass(frozen=True, kw_only=True)
class CounterTrack:
    """A figure over time.

    Parameters
    ----------
    group, name
        As of a `Track`.
    unit
        Unit of the values.
    cycles, values
        When it changes, and to what.
    """

    group: str
    name: str
    unit: str
    cycles: NDArray[np.int64]
    values: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class RecordedStep:
    """A step that was recorded.

    Parameters
    ----------
    columns
        What its columns computed.
    logits
        Whether the output projection ran.
    """

    columns: Sequence[ColumnInput]
    logits: bool


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """What happened when.

    Parameters
    ----------
    config
        Name of the configuration.
    clock_mhz
        Its clock.
    tracks, counters
        Slices and figures.
    complete
        Whether the recording had room for everything.
    """

    config: str
    clock_mhz: float
    tracks: Sequence[Track]
    counters: Sequence[CounterTrack]
    complete: bool

    @property
    def cycles(self) -> float:
        """Cycles from the first slice to the end of the last."""
        slices = [each for track in self.tracks for each in track.slices]
        return max(each.end for each in slices) - min(each.start for each in slices) if slices else 0


@dataclass(frozen=True, kw_only=True)
class _Step:
    """A step in the recording: its cycles, and its instructions with the cycles in which their words were due."""

    number: int
    start: int
    end: int
    recorded: RecordedStep
    instructions: Sequence[NamedInstruction]
    run_starts: NDArray[np.int64]
    run_layers: Sequence[int | None]

    def layer(self, cycle: int) -> int | None:
        """Return the layer whose words were due in a cycle."""
        place = int(np.searchsorted(self.run_starts, cycle, side="right")) - 1
        return self.run_layers[place] if 0 <= place < len(self.run_layers) else None

    def begun(
        self, moments: NDArray[np.int64], instructions: Iterable[NamedInstruction]
    ) -> Iterator[tuple[NamedInstruction, int, int]]:
        """Yield instructions, each with the cycle in which it began, and that of the next one or the step's end."""
        cycles = moments[(moments >= self.start) & (moments < self.end)].tolist()
        yield from zip(instructions, cycles, [*cycles[1:], self.end], strict=False)


def make_timeline(
    recording: Recording, steps: Sequence[RecordedStep], plan: Plan, dram: Dram, *, config: str, clock_mhz: float
) -> Timeline:
    """Name what was recorded.

    Parameters
    ----------
    recording
        Of whole steps, the last one may be cut short.
    steps
        What ran, in order.
    plan
        What a step does.
    dram
        The memory.
    config, clock_mhz
        Name of the configuration, and its clock.
    """
    found = list(_steps(recording, steps, plan))
    tracks = [_step_track(found), _operator_track(recording, found), _program_track(recording, found)]
    tracks.append(_word_track(recording, found))
    tracks += _unit_tracks(recording, found)
    for way, ports in (("reads", recording.reads), ("writes", recording.writes)):
        for port, bursts in enumerate(ports):
            slices = [_plain(each, _purpose(int(each["value"]))) for each in _inside(bursts, found)]
            tracks.append(Track(group=f"AXI port {port}", name=way, slices=slices))
    tracks += _channel_tracks(recording, found, dram, clock_mhz)
    counters = list(_counters(recording, plan, clock_mhz))
    return Timeline(config=config, clock_mhz=clock_mhz, tracks=tracks, counters=counters, complete=recording.complete)


def _steps(recording: Recording, steps: Sequence[RecordedStep], plan: Plan) -> Iterator[_Step]:
    activity = recording.signals["activity"]
    borders = np.flatnonzero(activity["start"][1:] != activity["end"][:-1]) + 1
    loaded = _moments(recording.signals["run_loaded"]) + 1
    for number, (spans, step) in enumerate(zip(np.split(activity, borders), steps, strict=False)):
        if not len(spans):
            return
        start, end = int(spans["start"][0]), int(spans["end"][-1])
        instructions = name_instructions(plan, step.columns, logits=step.logits)
        layers = [each.layer for each in instructions for _ in range(each.runs)]
        runs = loaded[(loaded >= start) & (loaded < end)]
        yield _Step(
            number=number,
            start=start,
            end=end,
            recorded=step,
            instructions=instructions,
            run_starts=runs,
            run_layers=layers,
        )


def _moments(spans: NDArray) -> NDArray[np.int64]:
    """Return each cycle of spans."""
    return np.concatenate([np.empty(0, np.int64), *(np.arange(each["start"], each["end"]) for each in spans)])


def _inside(spans: NDArray, steps: Iterable[_Step]) -> Iterator[NDArray]:
    """Yield spans, cut to the cycles of steps."""
    for step in steps:
        part = spans[(spans["end"] > step.start) & (spans["start"] < step.end)].copy()
        part["start"] = np.maximum(part["start"], step.start)
        part["end"] = np.minimum(part["end"], step.end)
        yield from part


def _plain(span: NDArray, name: str) -> Slice:
    return Slice(start=int(span["start"]), end=int(span["end"]), name=name)


def _purpose(number: int) -> str:
    return PURPOSES[number - 1] if number <= len(PURPOSES) else "other"


def _step_track(steps: Sequence[_Step]) -> Track:
    slices = []
    for step in steps:
        columns = step.recorded.columns
        details = {"cycles": step.end - step.start, "columns": len(columns), "position": columns[-1].position}
        slices.append(Slice(start=step.start, end=step.end, name=f"step {step.number}", details=details))
    return Track(group="step", name="steps", slices=slices)


def _operator_track(recording: Recording, steps: Sequence[_Step]) -> Track:
    """Return the cycles by operator, as the accelerator counts them."""
    slices: list[Slice] = []
    activity = recording.signals["activity"]
    for step in steps:
        spans = activity[(activity["start"] >= step.start) & (activity["end"] <= step.end)]
        operators = np.array([ACTIVITY.from_bits(int(each - 1) << 1 | 1).operator.value for each in spans["value"]])
        first = np.flatnonzero(np.diff(operators, prepend=-1))
        last = np.append(first[1:], len(spans)) - 1
        for begin, end in zip(first, last, strict=True):
            start, stop = int(spans["start"][begin]), int(spans["end"][end])
            name, layer = operator_name(Operator(int(operators[begin]))), step.layer(start)
            details: dict[str, int | str] = {"operator": name, "cycles": stop - start, "step": step.number}
            if layer is not None:
                details["layer"] = layer
            slices.append(Slice(start=start, end=stop, name=in_layer(layer, name), details=details))
    return Track(group="step", name="operators", slices=slices)


def _program_track(recording: Recording, steps: Sequence[_Step]) -> Track:
    """Return the instructions, each from its hand-over to its units to that of the next."""
    moments = _moments(recording.signals["dispatched"])
    slices = [
        _of_instruction(instruction, start, end)
        for step in steps
        for instruction, start, end in step.begun(moments, step.instructions)
    ]
    return Track(group="instructions", name="handed over", slices=slices)


def _of_instruction(instruction: NamedInstruction, start: int, end: int, suffix: str = "") -> Slice:
    details: dict[str, int | str] = {"instruction": str(instruction.planned.instruction), "cycles": end - start}
    return Slice(start=start, end=end, name=instruction.name + suffix, details=details)


def _word_track(recording: Recording, steps: Sequence[_Step]) -> Track:
    """Return the instructions, each while its words were due: from the end of those before to its last one."""
    active = recording.signals["run_active"]
    slices = []
    for step in steps:
        starts = step.run_starts.tolist()
        following = [*starts[1:], step.end][: len(starts)]
        ends = [_end_of(active, start, latest) for start, latest in zip(starts, following, strict=True)]
        place = 0
        for instruction in step.instructions:
            if instruction.runs and place + instruction.runs <= len(starts):
                slices.append(_of_instruction(instruction, starts[place], ends[place + instruction.runs - 1]))
            place += instruction.runs
    return Track(group="instructions", name="words taken", slices=slices)


def _end_of(spans: NDArray, start: int, latest: int) -> int:
    """Return the end of the span that holds a cycle, or the latest one allowed."""
    place = int(np.searchsorted(spans["start"], start, side="right")) - 1
    if place >= 0 and start < spans["end"][place]:
        return min(int(spans["end"][place]), latest)
    return latest


def _unit_tracks(recording: Recording, steps: Sequence[_Step]) -> Iterator[Track]:
    own = {
        "attention": {"work": _attention_slices},
        "vector engine": {"epilogues": _epilogue_slices, "loads": _load_slices},
    }
    for unit, events in UNIT_STATES.items():
        for name, slices_of in own.get(unit, {}).items():
            yield Track(group=unit, name=name, slices=slices_of(recording, steps))
        # Each on its own: a unit may take a word and miss the next one in the same cycle.
        for event in events:
            state = event.partition("_")[2]
            slices = [_plain(each, state) for each in _inside(recording.signals[event], steps)]
            yield Track(group=unit, name=state, slices=slices)


def _attention_slices(recording: Recording, steps: Sequence[_Step]) -> list[Slice]:
    """Return attention's phases, by layer and KV head."""
    spans = recording.signals["attention"]
    slices = []
    for step in steps:
        commands = [each for each in step.instructions if each.opcode is Opcode.ATTENTION]
        part = spans[(spans["start"] >= step.start) & (spans["start"] < step.end)]
        groups = np.split(part, np.flatnonzero(part["start"][1:] != part["end"][:-1]) + 1)
        for command, group in zip(commands, groups, strict=False):
            heads = -1
            for span in group:
                phase = AttentionPhase(int(span["value"]) & (1 << PHASE_BITS) - 1)
                heads += phase is AttentionPhase.KEYS
                column, head = divmod(heads, command.planned.instruction.kv_heads)
                operator = operator_name(_PHASES[phase])
                what = f"{operator}, KV head {head}"
                if len(step.recorded.columns) > 1:
                    what += f", column {column}"
                details: dict[str, int | str] = {"operator": operator, "phase": phase.name.lower(), "head": head}
                if command.layer is not None:
                    details["layer"] = command.layer
                start, end = int(span["start"]), int(span["end"])
                slices.append(Slice(start=start, end=end, name=in_layer(command.layer, what), details=details))
    return slices


def _epilogue_slices(recording: Recording, steps: Sequence[_Step]) -> list[Slice]:
    """Return the vector engine's routes: each command that is no load, until the next or until all is idle."""
    begins, idle = _moments(recording.signals["epilogue_begins"]), recording.signals["vector_idle"]["start"]
    slices = []
    for step in steps:
        commands = [each for each in step.instructions if each.opcode not in (Opcode.LOAD, Opcode.END)]
        for command, start, following in step.begun(begins, commands):
            place = int(np.searchsorted(idle, start, side="right"))
            end = min(following, int(idle[place])) if place < len(idle) else following
            route = f" → {command.planned.instruction.epilogue.name.lower()}"
            slices.append(_of_instruction(command, start, end, route))
    return slices


def _load_slices(recording: Recording, steps: Sequence[_Step]) -> list[Slice]:
    begins, busy = _moments(recording.signals["load_begins"]), recording.signals["loading"]
    slices = []
    for step in steps:
        commands = [each for each in step.instructions if each.opcode is Opcode.LOAD]
        for command, start, following in step.begun(begins, commands):
            slices.append(_of_instruction(command, start, _end_of(busy, start + 1, following)))
    return slices


def _channel_tracks(recording: Recording, steps: Sequence[_Step], dram: Dram, clock_mhz: float) -> Iterator[Track]:
    """Return what the memory's data bus did in each clock, by the report's causes."""
    compiled = dram.compile(clock_mhz)
    memory, fabric = compiled.memory_khz, compiled.fabric_khz
    for number, spans in enumerate(recording.channels):
        slices = []
        for step in steps:
            first, last = (-(-cycle * memory // fabric) for cycle in (step.start, step.end))
            part = spans[(spans["end"] > first) & (spans["start"] < last)]
            for span in part:
                start, end = max(int(span["start"]), first), min(int(span["end"]), last)
                value = int(span["value"])
                name = BUS_USES.get(value) or idle_cause(value - IDLE)
                slices.append(Slice(start=start * fabric / memory, end=end * fabric / memory, name=name))
        yield Track(group="memory", name=f"channel {number}", slices=slices)


def _counters(recording: Recording, plan: Plan, clock_mhz: float) -> Iterator[CounterTrack]:
    samples = recording.samples
    every = max(1, -(-len(samples["cycle"]) // MOST_WINDOWS))
    picked = {name: values[::every] for name, values in samples.items()}
    cycles = picked["cycle"]
    if len(cycles) < 2:
        return
    per_window = clock_mhz * 1e-3 / np.diff(cycles)
    ports = len(recording.reads)
    for way in ("read", "write"):
        total = np.zeros(len(cycles) - 1)
        for port in range(ports):
            rate = np.diff(picked[f"{way}_bytes_{port}"]) * per_window
            total += rate
            yield CounterTrack(
                group=f"AXI port {port}", name=f"{way} rate", unit="GB/s", cycles=cycles[:-1], values=rate
            )
        yield CounterTrack(group="memory", name=f"{way} rate", unit="GB/s", cycles=cycles[:-1], values=total)
    levels = {
        "read bursts outstanding": ("memory", "bursts", picked["outstanding_reads"]),
        "prefetch buffer": ("reader", "words", plan.params.prefetch_words - picked["prefetch_room"]),
        "fetched": ("instructions", "instructions", picked["instruction_queue"]),
        "decoded": ("instructions", "instructions", picked["issued_instructions"]),
        "runs of words": ("instructions", "runs", picked["word_runs"]),
    }
    for name, (group, unit, values) in levels.items():
        yield CounterTrack(group=group, name=name, unit=unit, cycles=cycles, values=values.astype(float))
