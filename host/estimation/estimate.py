"""Estimate what a model does on an accelerator, without weights, RTL or simulation.

::

    estimate(EstimateRequest(config=load_config("kv260"), model=open_model("llama-2-7b"))).performance.tokens_per_s
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from rtlm.gen.area.estimate import Area
from rtlm.gen.configuration.schema import Configuration
from rtlm.host.compiler.fit import fit_config
from rtlm.host.compiler.plan import Plan, make_plan
from rtlm.host.errors import ModelError
from rtlm.host.estimation.errors import stated_band
from rtlm.host.estimation.memory import MemoryTimes, memory_times
from rtlm.host.estimation.power import area_of, power_of
from rtlm.host.estimation.result import Estimate, OperatorEstimate, StepEstimate
from rtlm.host.estimation.step import StepTime, step_time
from rtlm.host.estimation.units import UnitTimes, unit_times
from rtlm.host.models.paper import PaperModel
from rtlm.host.power.libraries import OSU018
from rtlm.host.power.result import Power
from rtlm.host.reports.measurements import Work
from rtlm.host.reports.report import Performance
from rtlm.host.reports.traffic import moved_bytes, needed_bytes
from rtlm.host.reports.work import MODULES, MULTIPLIES, operator_name, step_work
from rtlm.host.runtime.device import ColumnInput, side_by_side, successive
from rtlm.hw.control.isa import Operator

BOUND_SHARE = 0.5
"""Part of an operator's cycles that the memory or the unit accounts for if one of them is what bounds it."""

PREFILL_SAMPLES = 3
"""Steps of a prompt that are worked out; the others lie between them: a step's time is nearly linear in its history."""


@dataclass(frozen=True, kw_only=True)
class EstimateRequest:
    """What is to be estimated.

    Parameters
    ----------
    config
        The accelerator; it is fitted to the model.
    model
        The model.
    context
        Positions in the KV cache when the token is decoded.
    batch
        Sequences that decode together.
    prompt
        Tokens of each prompt, for the time to the first token.
    host_us
        Microseconds between steps in which the accelerator waits for the host: register writes, sampling.
    library
        Library that an accelerator of standard cells is of, one of `rtlm.host.power.libraries.LIBRARIES`.
    """

    config: Configuration
    model: PaperModel
    context: int = 512
    batch: int = 1
    prompt: int = 128
    host_us: float = 0.0
    library: str = OSU018

    def __post_init__(self) -> None:
        """Validate."""
        for name, low, high in (
            ("context", 0, self.model.context - 1),
            ("batch", 1, self.config.matmul.columns),
            ("prompt", 1, self.model.context),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                hint = f"; add --set matmul.columns={value}" if name == "batch" and 1 < value <= 8 else ""
                limit = f"the columns of configuration {self.config.name}" if name == "batch" else self.model.name
                raise ModelError(f"the {name} must be from {low} to {high}, the limit of {limit}, got {value}{hint}")


def estimate(request: EstimateRequest) -> Estimate:
    """Estimate.

    Raises
    ------
    ConfigError, ModelError
        If no configuration holds the model, or the request asks for more than there is.
    """
    model = request.model
    positions = max(request.context + 1, request.prompt)
    config, changes = fit_config(request.config, model.shape, context=positions)
    params = config.to_params()
    plan = make_plan(params, model.shape, context=positions)
    machine = _Machine(plan=plan, units=unit_times(params), memory=memory_times(config, params))
    columns = side_by_side((0, request.context, slot) for slot in range(request.batch))
    host_cycles = request.host_us * config.clock_mhz
    time = machine.time(columns, logits=True)
    decode = _with_host(machine.steps([(columns, time, 1)], logits=True), host_cycles)
    prefill = _with_host(_prefill(machine, request.prompt, request.batch), host_cycles)
    seconds = 1e-6 / config.clock_mhz
    needed = sum(needed_bytes(plan, columns, logits=True, stored_logits=False).values())
    memory, area = machine.memory, area_of(config)
    power = power_of(config, area, decode, request.library)
    ttft_s = prefill.cycles * seconds
    performance = Performance(
        cycles_per_token=decode.cycles / request.batch,
        tokens_per_s=request.batch / (decode.cycles * seconds),
        ttft_s=ttft_s,
        prefill_tokens_per_s=prefill.tokens / ttft_s,
        latency_p50_s=decode.cycles * seconds,
        latency_p95_s=decode.cycles * seconds,
        bandwidth_utilisation=needed / (decode.cycles * seconds * memory.peak_bytes_per_s),
        stream_ceiling=memory.ceiling,
        batch=request.batch,
        context=request.context,
    )
    image_bytes = plan.words * params.word_bytes
    return Estimate(
        model=model,
        config=config,
        changes=changes,
        decode=decode,
        prefill=prefill,
        performance=performance,
        kv_cache_bytes=request.batch * positions * model.shape.layers * model.shape.kv_heads * params.kv.position_bytes,
        image_bytes=image_bytes,
        memory_bytes=memory.capacity_bytes,
        fits=image_bytes <= memory.capacity_bytes,
        area=area,
        power=power,
        prefill_power=power_of(config, area, prefill, request.library),
        error_band=stated_band(),
        notes=_notes(model, config, image_bytes, memory, area, power),
    )


@dataclass(frozen=True, kw_only=True)
class _Machine:
    """A plan with the times of the accelerator that executes it."""

    plan: Plan
    units: UnitTimes
    memory: MemoryTimes

    def time(self, columns: Sequence[ColumnInput], *, logits: bool) -> StepTime:
        """Return the time of a step."""
        return step_time(self.plan, self.units, self.memory, columns, logits=logits)

    def steps(self, samples: Iterable[tuple[Sequence[ColumnInput], StepTime, float]], *, logits: bool) -> StepEstimate:
        """Estimate steps of one kind from some of them, each with its time and how many it stands for."""
        cycles, tokens, steps = 0.0, 0, 0.0
        operators: dict[Operator, OperatorEstimate] = {}
        read: dict[str, int] = {}
        written: dict[str, int] = {}
        busy = dict.fromkeys(MULTIPLIES, 0.0)
        for columns, time, weight in samples:
            work = step_work(self.plan, columns, logits=logits, stored_logits=False)
            cycles += weight * time.cycles
            tokens += round(weight * len(columns))
            steps += weight
            moved = moved_bytes(self.plan, columns, logits=logits)
            for total, values in zip((read, written), moved, strict=True):
                for purpose, size in values.items():
                    total[purpose] = total.get(purpose, 0) + round(weight * size)
            for unit, multiplied in MULTIPLIES.items():
                busy[unit] += weight * sum(time.tally.work[each] for each in multiplied)
            for operator in time.tally.cycles:
                one = self._operator(operator, time, work[operator])
                operators[operator] = _add(operators.get(operator), one, weight)
        ordered = tuple(operators[each] for module in MODULES.values() for each in module if each in operators)
        return StepEstimate(
            cycles=cycles,
            operators=ordered,
            read=read,
            written=written,
            tokens=tokens,
            steps=round(steps),
            busy=busy,
        )

    def _operator(self, operator: Operator, time: StepTime, work: Work) -> OperatorEstimate:
        tally = time.tally
        cycles = tally.cycles[operator]
        streamed, worked = tally.words[operator] / self.memory.words_per_cycle, tally.work[operator]
        bound = "dependency"
        if max(streamed, worked) >= BOUND_SHARE * cycles > 0:
            bound = "memory" if streamed >= worked else "compute"
        return OperatorEstimate(
            module=next(name for name, operators in MODULES.items() if operator in operators),
            name=operator_name(operator),
            count=work.count,
            cycles=cycles,
            bytes=work.bytes,
            macs=work.macs,
            bound=bound,
        )


def _with_host(steps: StepEstimate, cycles: float) -> StepEstimate:
    """Add the cycles in which each step waits for the host."""
    if not cycles:
        return steps
    total = steps.steps * cycles
    host = OperatorEstimate(module="other", name="host", count=steps.steps, cycles=total, bytes=0, macs=0, bound="host")
    return replace(steps, cycles=steps.cycles + total, operators=(*steps.operators, host))


def _add(before: OperatorEstimate | None, one: OperatorEstimate, weight: float) -> OperatorEstimate:
    """Add an operator's figures, of so many steps; what bounds it is that of the last one."""
    return OperatorEstimate(
        module=one.module,
        name=one.name,
        count=round(weight * one.count) + (before.count if before else 0),
        cycles=weight * one.cycles + (before.cycles if before else 0.0),
        bytes=round(weight * one.bytes) + (before.bytes if before else 0),
        macs=round(weight * one.macs) + (before.macs if before else 0),
        bound=one.bound,
    )


def _prefill(machine: _Machine, prompt: int, batch: int) -> StepEstimate:
    """Estimate the steps of the prompts, each on all columns; the last one of each has logits."""
    width = machine.plan.params.columns
    starts = list(range(0, prompt, width))

    def sample(start: int, weight: float, *, logits: bool) -> tuple[Sequence[ColumnInput], StepTime, float]:
        columns = successive([0] * min(width, prompt - start), start, slot=0)
        return columns, machine.time(columns, logits=logits), weight

    last = machine.steps([sample(starts[-1], batch, logits=True)], logits=True)
    before = starts[:-1]
    if not before:
        return last
    picked = sorted({before[i * (len(before) - 1) // (PREFILL_SAMPLES - 1)] for i in range(PREFILL_SAMPLES)})
    weights = _weights(picked, before, batch)
    rest = machine.steps([sample(start, weight, logits=False) for start, weight in weights.items()], logits=False)
    merged: dict[str, OperatorEstimate] = {}
    for one in (*rest.operators, *last.operators):
        merged[one.name] = _add(merged.get(one.name), one, 1.0)
    return StepEstimate(
        cycles=rest.cycles + last.cycles,
        operators=tuple(merged.values()),
        read=_sum(rest.read, last.read),
        written=_sum(rest.written, last.written),
        tokens=batch * prompt,
        steps=rest.steps + last.steps,
        busy={unit: cycles + last.busy[unit] for unit, cycles in rest.busy.items()},
    )


def _weights(picked: Sequence[int], starts: Sequence[int], batch: int) -> dict[int, float]:
    """Return for how many steps each of the picked ones stands, by linear interpolation between them."""
    weights = dict.fromkeys(picked, 0.0)
    for start in starts:
        above = next(each for each in picked if each >= start)
        below = max((each for each in picked if each <= start), default=above)
        part = (start - below) / (above - below) if above > below else 0.0
        weights[below] += batch * (1 - part)
        weights[above] += batch * part
    return weights


def _sum(one: Mapping[str, int], two: Mapping[str, int]) -> dict[str, int]:
    return {name: one.get(name, 0) + two.get(name, 0) for name in {**one, **two}}


def _notes(
    model: PaperModel,
    config: Configuration,
    image_bytes: int,
    memory: MemoryTimes,
    area: Area | None,
    power: Power | None,
) -> tuple[str, ...]:
    notes = []
    if model.parts:
        notes.append(f"The gates do not execute all of {model.name}, and what they do not is not counted: ")
        notes[-1] += "; ".join(model.parts) + "."
    if image_bytes > memory.capacity_bytes:
        notes.append(
            f"{image_bytes / 1e9:.1f} GB of model and KV cache do not fit the {memory.capacity_bytes / 1e9:.1f} GB of "
            f"{memory.name}: the speed is that of as fast a memory that is larger."
        )
    if area is None:
        unknown = "Size is" if power else "Size and power are"
        notes.append(f"{unknown} unknown: no area model has technology = {config.technology}.")
    if memory.name == "ideal":
        notes.append("The memory is ideal (fixed latency, full bandwidth): speed and utilisation are no forecast.")
    notes.append(f"Cycles are stated at {config.clock_mhz:g} MHz, an assumption until timing closes.")
    return tuple(notes)
