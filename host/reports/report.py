"""The report of a run: what was measured, what follows from it, and for each figure what kind of figure it is.

The JSON is described in docs/report.md; `SCHEMA_VERSION` changes when a key changes its meaning or goes.
"""

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rtlm.host.boards.address import is_board
from rtlm.host.power.result import Power
from rtlm.host.reports.causes import CAUSES, meaning
from rtlm.host.reports.measurements import (
    DECODE,
    PREFILL,
    ContextCurve,
    MemoryMeasurement,
    RunMeasurements,
    SimulatorMeasurement,
    StepMeasurement,
)
from rtlm.host.reports.power import power_of

SCHEMA = "rtlm.report"
SCHEMA_VERSION = 1

MEASURED = "measured in RTL"
MODELLED = "modelled"
ESTIMATED = "estimated"
HOST = "measured on this computer"
BOARD = "counted on the board"

PEDIGREE = {
    "performance.cycles_per_token": f"{MEASURED} (counter in the accelerator), mean of the decoding steps",
    "performance.tokens_per_s": f"{MEASURED}: cycles at the configured clock, an assumption until timing closes",
    "performance.ttft_s": f"{MEASURED}: cycles of all prompt steps at the configured clock, without the host's time; "
    "in a conversation divided by its answers",
    "performance.bandwidth_utilisation": f"{MEASURED}: bytes a token needs / (time x peak of the memory)",
    "performance.stream_ceiling": f"{MODELLED}: share of the peak that a linear stream without compute reaches in the "
    "same DRAM model",
    "performance.bandwidth": f"{MEASURED} (cycles, bytes) and {MODELLED} (ceiling); shares of the memory's peak",
    "bytes": f"{MEASURED}: bytes on the AXI ports by address range",
    "operators": f"{MEASURED}: each cycle counts to one operator",
    "steps": f"{MEASURED} (cycles); counts, bytes and multiply-accumulates of operators follow from the program",
    "units": f"{MEASURED}: cycles in which the state held",
    "layers": f"{MEASURED}: each cycle counts to one layer, to the embedding or to the head",
    "causes": f"{MEASURED} (cycles) and {MODELLED} (what the DRAM's data bus did in them); they add up to the cycles",
    "memory.counters": f"{MODELLED}: events of the DRAM model, timings from data sheets",
    "activity": f"{MEASURED}: toggles in samples of a decoding step",
    "power": f"{ESTIMATED}: see the method of each component",
    "prefill_power": f"{ESTIMATED}: see the method of each component",
    "context_curve": f"{ESTIMATED}: cycles of a decoding step at other contexts, with the error against RTL",
    "simulator": HOST,
}
"""What each figure is; on a board `BOARD` takes the place of `MEASURED`."""


@dataclass(frozen=True, kw_only=True)
class Performance:
    """Speed; all but `batch` and `context` is None where nothing counted cycles.

    Parameters
    ----------
    cycles_per_token
        Mean cycles of a decoding step divided by its tokens.
    tokens_per_s
        Tokens a second at the configured clock, all sequences together.
    ttft_s
        Time to the first token: all steps of the prompt, in a conversation of several divided by the answers.
    prefill_tokens_per_s
        Prompt tokens a second.
    latency_p50_s, latency_p95_s
        Time between tokens.
    bandwidth_utilisation
        Bytes the tokens need / (time x peak).
    stream_ceiling
        What a linear stream reaches in the same memory, as a share of peak.
    bandwidth
        Where the peak went while decoding, as shares that add up to 1.
    batch, context
        Sequences that decoded together, positions at the end of the longest.
    speculation
        Tokens guessed and how many of them were right, where they were guessed.
    """

    cycles_per_token: float | None = None
    tokens_per_s: float | None = None
    ttft_s: float | None = None
    prefill_tokens_per_s: float | None = None
    latency_p50_s: float | None = None
    latency_p95_s: float | None = None
    bandwidth_utilisation: float | None = None
    stream_ceiling: float | None = None
    bandwidth: Mapping[str, float] | None = None
    batch: int
    context: int
    speculation: Mapping[str, int] | None = None


@dataclass(frozen=True, kw_only=True)
class OperatorCycles:
    """Cycles of the decoding steps that count to one operator.

    Parameters
    ----------
    name
        Of the operator.
    cycles_per_token, share
        Its cycles, and its part of all of them.
    """

    name: str
    cycles_per_token: float
    share: float


@dataclass(frozen=True, kw_only=True)
class UnitStates:
    """What one unit did while decoding.

    Parameters
    ----------
    name
        Of the unit.
    states
        Share of the cycles in which each state held, by its name.
    """

    name: str
    states: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class CauseCycles:
    """Cycles of the decoding steps by what the memory did in them.

    Parameters
    ----------
    name, meaning
        A key of `rtlm.host.reports.causes.CAUSES` or one with an operator's name behind it, and a sentence about it.
    cycles
        Of all decoding steps.
    cycles_per_token, share
        The same divided by the tokens, and as a part of all cycles.
    """

    name: str
    meaning: str
    cycles: int
    cycles_per_token: float
    share: float


@dataclass(frozen=True, kw_only=True)
class LayerCycles:
    """Cycles of the decoding steps that count to one layer, to the embedding before them or to the head behind them.

    Parameters
    ----------
    name
        Of the layer, see `rtlm.host.reports.layers`.
    cycles_per_token, share
        Its cycles, and its part of all of them.
    operators
        The same cycles by operator.
    """

    name: str
    cycles_per_token: float
    share: float
    operators: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class SimulatorSpeed(SimulatorMeasurement):
    """The simulator, and how fast it was.

    Parameters
    ----------
    cycles
        Of all steps.
    tokens_per_s, cycles_per_s
        Per second of this computer; None where nothing was measured.
    """

    cycles: int
    tokens_per_s: float | None
    cycles_per_s: float | None


@dataclass(frozen=True, kw_only=True)
class Report:
    """The report.

    Parameters
    ----------
    run
        What it was made from.
    performance
        Speed.
    operators, units, layers, causes
        Cycles by operator, by unit and state, by layer, and by what the memory did, in decoding steps, each with its
        share.
    power, prefill_power
        While decoding, and in the steps of the prompt; None where there is no RTL or no such step.
    simulator
        Speed of the simulation.
    notes
        What the reader has to know.
    """

    run: RunMeasurements
    performance: Performance
    operators: tuple[OperatorCycles, ...]
    units: tuple[UnitStates, ...]
    layers: tuple[LayerCycles, ...]
    causes: tuple[CauseCycles, ...]
    power: Power | None
    prefill_power: Power | None
    simulator: SimulatorSpeed
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain values (docs/report.md)."""
        run, memory = self.run, self.run.memory
        return {
            "schema": SCHEMA,
            "version": SCHEMA_VERSION,
            "config": {**run.config, "hash": run.config_hash},
            "model": run.model,
            "interrupted": run.interrupted,
            "prompt_tokens": sum(len(sequence.prompt_ids) for sequence in run.sequences),
            "tokens": sum(len(sequence.token_ids) for sequence in run.sequences),
            "prompt_ids": list(run.sequences[0].prompt_ids),
            "token_ids": list(run.sequences[0].token_ids),
            "text": run.sequences[0].text,
            "sequences": [asdict(sequence) for sequence in run.sequences],
            "turns": [asdict(turn) for turn in run.turns],
            "logits_sha256": run.logits_sha256,
            "performance": asdict(self.performance),
            "bytes": _bytes(memory),
            "memory": _memory(memory),
            "operators": [asdict(operator) for operator in self.operators],
            "units": [{"name": unit.name, **unit.states} for unit in self.units],
            "layers": [asdict(layer) for layer in self.layers],
            "causes": [asdict(cause) for cause in self.causes],
            "elements": None if run.elements is None else {unit: dict(counts) for unit, counts in run.elements.items()},
            "elements_are": None if run.elements is None else run.elements_are,
            "activity": None if run.activity is None else asdict(run.activity) | {"source": run.activity.source},
            "power": None if self.power is None else self.power.to_json(),
            "prefill_power": None if self.prefill_power is None else self.prefill_power.to_json(),
            "simulator": asdict(self.simulator),
            "context_curve": None if run.context_curve is None else _curve(run.context_curve),
            "steps": [_step(step) for step in run.steps],
            "pedigree": _pedigree(run),
            "notes": list(self.notes),
        }

    def dumps(self) -> str:
        """Return the report as JSON text."""
        return json.dumps(self.to_json(), indent=2, ensure_ascii=False) + "\n"


def make_report(run: RunMeasurements) -> Report:
    """Work out everything that follows from the measurements."""
    decode = _decoding(run)
    performance = _performance(run, decode)
    cycles = sum(step.cycles or 0 for step in run.steps)
    notes = []
    if run.interrupted:
        ended = f"{len(run.steps)} step{'s' if len(run.steps) != 1 else ''}"
        if run.turns:
            notes.append(f"Answers were interrupted: text and figures are of the {ended} that had ended.")
        else:
            notes.append(f"The run was interrupted: text and figures are of the {ended} that had ended by then.")
    if is_board(run.simulator.backend):
        notes.append(
            "The board's accelerator counted its cycles; tokens a second by them assume the configured clock, those by "
            "the wall time of this computer do not. Bytes were not counted, and power was not measured."
        )
    elif run.memory is None or (run.steps and not cycles):
        notes.append(f"The {run.simulator.backend} backend counts no cycles and no bytes: speed and power are unknown.")
    elif run.memory.ideal:
        notes.append("The memory was ideal (fixed latency, full bandwidth): speed and utilisation are no forecast.")
    if performance.cycles_per_token and not any(step.phase == DECODE for step in run.steps):
        notes.append("Only the step that gives the first token was run: its speed stands for decoding.")
    if run.activity and not run.activity.earlier:
        notes.append("Toggles were counted in this run, which slows the simulator: its speed is that of such a run.")
    wall = run.simulator.wall_s
    tokens = sum(step.tokens for step in run.steps)
    return Report(
        run=run,
        performance=performance,
        operators=_operators(decode),
        units=_units(decode),
        layers=_layers(decode),
        causes=_causes(decode),
        power=power_of(run, decode),
        prefill_power=power_of(run, [step for step in run.steps if step.phase == PREFILL]),
        simulator=SimulatorSpeed(
            **asdict(run.simulator),
            cycles=cycles,
            tokens_per_s=tokens / wall if wall else None,
            cycles_per_s=cycles / wall if wall and cycles else None,
        ),
        notes=tuple(notes),
    )


def measured(run: RunMeasurements) -> str:
    """Return what the accelerator's counters are."""
    return BOARD if is_board(run.simulator.backend) else MEASURED


def _pedigree(run: RunMeasurements) -> dict[str, str]:
    """Return what each figure of a run is."""
    return {path: text.replace(MEASURED, measured(run)) for path, text in PEDIGREE.items()}


def _decoding(run: RunMeasurements) -> list[StepMeasurement]:
    """Return the decoding steps.

    Where a whole run has none, it is the last step, which gave the first token; in an interrupted one it may not have.
    """
    steps = [step for step in run.steps if step.phase == DECODE]
    return steps if steps or run.interrupted else list(run.steps[-1:])


def _performance(run: RunMeasurements, decode: Sequence[StepMeasurement]) -> Performance:
    batch = len(run.sequences)
    context = max((step.context for step in run.steps), default=0)
    speculation = _speculation(decode) if run.speculation else None
    counted = [step.cycles for step in decode if step.cycles]
    if not counted or len(counted) < len(decode):
        return Performance(batch=batch, context=context, speculation=speculation)
    hz = run.config["clock_mhz"] * 1e6
    tokens = sum(step.tokens for step in decode)
    prefill = [step for step in run.steps if step.phase == PREFILL]
    prefill_s = sum(step.cycles or 0 for step in prefill) / hz
    answers = sum(turn.tokens > 0 for turn in run.turns) or 1
    total_s = sum(counted) / hz
    latencies = sorted(cycles / hz for cycles in counted)
    memory = run.memory
    utilisation = sum(step.needed_bytes for step in decode) / (total_s * memory.peak_bytes_per_s) if memory else None
    return Performance(
        cycles_per_token=sum(counted) / tokens,
        tokens_per_s=tokens / total_s,
        ttft_s=prefill_s / answers or None,
        prefill_tokens_per_s=sum(step.tokens for step in prefill) / prefill_s if prefill_s else None,
        latency_p50_s=statistics.median(latencies),
        latency_p95_s=latencies[min(len(latencies) - 1, int(0.95 * len(latencies)))],
        bandwidth_utilisation=utilisation,
        stream_ceiling=memory.stream_ceiling if memory else None,
        bandwidth=_bandwidth(run, utilisation) if memory and utilisation is not None else None,
        batch=batch,
        context=context,
        speculation=speculation,
    )


def _speculation(decode: Sequence[StepMeasurement]) -> dict[str, int]:
    """Count guesses; a step gives one token of its own."""
    steps = [step for step in decode if step.phase == DECODE]
    return {
        "steps": len(steps),
        "drafted": sum(step.drafted for step in steps),
        "accepted": sum(step.tokens for step in steps) - len(steps),
    }


def _bandwidth(run: RunMeasurements, utilisation: float) -> dict[str, float]:
    """Divide the memory's peak: what the tokens need, what else was moved, what the DRAM itself costs, the rest."""
    memory = run.memory
    assert memory is not None
    needed = sum(step.needed_bytes for step in run.steps)
    moved = sum(memory.read_bytes.values()) + sum(memory.written_bytes.values())
    other = utilisation * max(0.0, moved / needed - 1) if needed else 0.0
    dram = (utilisation + other) * (1 / memory.stream_ceiling - 1)
    return {
        "needed": utilisation,
        "padding_and_other_bytes": other,
        "dram_refresh_and_rows": dram,
        "memory_idle": max(0.0, 1 - utilisation - other - dram),
    }


def _operators(decode: Sequence[StepMeasurement]) -> tuple[OperatorCycles, ...]:
    tokens, totals = sum(step.tokens for step in decode), _sum(step.operators for step in decode)
    everything = sum(totals.values())
    return tuple(
        OperatorCycles(name=name, cycles_per_token=cycles / tokens, share=cycles / everything)
        for name, cycles in totals.items()
        if cycles
    )


def _units(decode: Sequence[StepMeasurement]) -> tuple[UnitStates, ...]:
    cycles = sum(step.cycles or 0 for step in decode)
    if not cycles:
        return ()
    found = []
    for name in dict.fromkeys(name for step in decode for name in step.units):
        states = _sum(step.units.get(name, {}) for step in decode)
        found.append(UnitStates(name=name, states={state: count / cycles for state, count in states.items()}))
    return tuple(found)


def _layers(decode: Sequence[StepMeasurement]) -> tuple[LayerCycles, ...]:
    """Return the cycles by layer, in the order of time; none where a step does not tell its layers apart."""
    if not all(step.layers for step in decode):
        return ()
    tokens, everything = sum(step.tokens for step in decode), sum(step.cycles or 0 for step in decode)
    found = []
    for name in dict.fromkeys(name for step in decode for name in step.layers):
        totals = _sum(step.layers.get(name, {}) for step in decode)
        cycles = sum(totals.values())
        operators = {operator: count / tokens for operator, count in totals.items()}
        found.append(
            LayerCycles(name=name, cycles_per_token=cycles / tokens, share=cycles / everything, operators=operators)
        )
    return tuple(found)


def _causes(decode: Sequence[StepMeasurement]) -> tuple[CauseCycles, ...]:
    """Return the cycles by cause, in the order of `CAUSES`; they add up to the cycles of the steps."""
    totals = _sum(step.causes for step in decode)
    tokens, everything = sum(step.tokens for step in decode), sum(totals.values())
    order = list(CAUSES.values())
    return tuple(
        CauseCycles(
            name=name,
            meaning=meaning(name),
            cycles=cycles,
            cycles_per_token=cycles / tokens,
            share=cycles / everything,
        )
        for name, cycles in sorted(totals.items(), key=lambda item: order.index(meaning(item[0])))
        if cycles
    )


def _curve(curve: ContextCurve) -> dict[str, Any]:
    points = [{"context": context, "tokens_per_s": speed} for context, speed in curve.tokens_per_s.items()]
    return {"batch": curve.batch, "points": points, "error": dict(curve.error)}


def _step(step: StepMeasurement) -> dict[str, Any]:
    return {
        "phase": step.phase,
        "tokens": step.tokens,
        "context": step.context,
        "cycles": step.cycles,
        "needed_bytes": step.needed_bytes,
        "causes": dict(step.causes),
        "units": {unit: dict(states) for unit, states in step.units.items()},
        "operators": [
            {"name": name, "cycles": cycles, **(asdict(step.work[name]) if name in step.work else {})}
            for name, cycles in step.operators.items()
        ],
    }


def _bytes(memory: MemoryMeasurement | None) -> dict[str, Any] | None:
    if memory is None:
        return None
    total = sum(memory.read_bytes.values()) + sum(memory.written_bytes.values())
    return {"read": dict(memory.read_bytes), "written": dict(memory.written_bytes), "total": total}


def _memory(memory: MemoryMeasurement | None) -> dict[str, Any] | None:
    if memory is None:
        return None
    return {
        "name": memory.name,
        "source": memory.source,
        "peak_bytes_per_s": memory.peak_bytes_per_s,
        "ideal": memory.ideal,
        "counters": dict(memory.counters),
    }


def _sum(mappings: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for mapping in mappings:
        for name, value in mapping.items():
            total[name] = total.get(name, 0) + value
    return total
