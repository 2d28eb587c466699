"""The micro view: one run or estimate by stage, module and operator."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from rtlm.gen.configuration.schema import Configuration
from rtlm.host.dissection.report_file import OperatorRecord, ReportFile, StepRecord
from rtlm.host.estimation.result import ErrorBand
from rtlm.host.reports.measurements import DECODE, PREFILL, Work
from rtlm.host.reports.work import MODULES, operator_name
from rtlm.host.runtime.simulated_memory import simulated_memory
from rtlm.hw.control.isa import Operator

ATTENTION_ARRAY = tuple(operator_name(operator) for operator in (Operator.QK, Operator.PV))
"""Operators whose products are attention's; all others are the matrix unit's."""

CONTROL = operator_name(Operator.CONTROL)

HOST = "host"
"""What estimates call the wait for the host between steps, which is no operator of the gates."""

OTHER = "other"
"""The module of what belongs to none of the model's parts."""

KNOWN = frozenset(operator_name(operator) for operators in MODULES.values() for operator in operators)

BOUND_SHARE = 0.5
"""Part of an operator's cycles that memory or array accounts for, if that is what bounds it."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What an accelerator and its memory can do at most, in a second.

    Parameters
    ----------
    peak_bytes, stream_bytes
        Bytes that memory moves by its data sheet, and in a linear stream: the roof that counts.
    nibble_macs, byte_macs, attention_macs
        Multiply-accumulates of the matrix array with 4-bit and 8-bit weights, and of attention's array.
    matmul_bytes, attention_bytes
        Bytes that the arrays take.
    clock_hz
        Cycles.
    """

    peak_bytes: float
    stream_bytes: float
    nibble_macs: float
    byte_macs: float
    attention_macs: float
    matmul_bytes: float
    attention_bytes: float
    clock_hz: float

    @classmethod
    def of(cls, config: Configuration, *, stream_ceiling: float) -> "Machine":
        """Return what a configuration can do, with the share of memory's peak that a linear stream reaches."""
        hz = config.clock_mhz * 1e6
        peak = min(simulated_memory(config).peak_bytes_per_second, config.port_bytes_per_s)
        nibbles = config.matmul.lanes * config.matmul.columns * hz
        attention = config.attention.bytes_per_cycle * hz
        return cls(
            peak_bytes=peak,
            stream_bytes=stream_ceiling * peak,
            nibble_macs=nibbles,
            byte_macs=nibbles / 2,
            attention_macs=attention * config.attention.group,
            matmul_bytes=config.matmul.lanes / 2 * hz,
            attention_bytes=attention,
            clock_hz=hz,
        )


@dataclass(frozen=True, kw_only=True)
class OperatorRow:
    """An operator in all steps of a stage.

    Parameters
    ----------
    name
        Of the operator.
    cycles, work
        In all steps.
    bound
        What determines its time: ``memory``, ``compute``, ``host``, or ``dependency`` where it waits for another
        result.
    j_per_token
        Its estimated energy for a token, of chip and memory; None where the report has none.
    """

    name: str
    cycles: float
    work: Work
    bound: str
    j_per_token: float | None = None

    @property
    def average(self) -> float | None:
        """Cycles of a run; None where nothing says how often it runs."""
        return self.cycles / self.work.count if self.work.count else None

    @property
    def intensity(self) -> float | None:
        """Multiply-accumulates for each byte; None without bytes."""
        return self.work.macs / self.work.bytes if self.work.bytes else None


@dataclass(frozen=True, kw_only=True)
class ModuleRows:
    """A part of the model with its operators, in the order of the data."""

    name: str
    operators: tuple[OperatorRow, ...]

    @property
    def cycles(self) -> float:
        """Of all its operators."""
        return sum(row.cycles for row in self.operators)

    @property
    def j_per_token(self) -> float | None:
        """Of all its operators; None where none is known."""
        return total(row.j_per_token for row in self.operators)

    @property
    def work(self) -> Work:
        """Of all its operators."""
        return sum((row.work for row in self.operators), Work())


@dataclass(frozen=True, kw_only=True)
class Stage:
    """All steps of prefill or of decoding.

    Parameters
    ----------
    name
        ``prefill`` or ``decode``.
    steps, tokens
        How many passes through the weights, and tokens that they fed or gave.
    modules
        The parts of the model; their cycles are those of the stage.
    """

    name: str
    steps: int
    tokens: int
    modules: tuple[ModuleRows, ...]

    @property
    def cycles(self) -> float:
        """Of all steps."""
        return sum(module.cycles for module in self.modules)

    @property
    def j_per_token(self) -> float | None:
        """Of all modules; None where none is known."""
        return total(module.j_per_token for module in self.modules)

    @property
    def operators(self) -> Iterator[OperatorRow]:
        """All operators."""
        return (row for module in self.modules for row in module.operators)


@dataclass(frozen=True, kw_only=True)
class Dissection:
    """A run or an estimate, taken apart.

    Parameters
    ----------
    model, config
        What ran on what.
    estimated
        Whether the cycles are estimated; else they were counted in RTL.
    batch, context
        As in the report's performance.
    stages
        Those that have steps.
    machine
        What bounds them.
    notes
        What the reader has to know.
    """

    model: str
    config: Configuration
    estimated: bool
    batch: int
    context: int
    stages: tuple[Stage, ...]
    machine: Machine
    notes: tuple[str, ...]

    @property
    def kind(self) -> str:
        """What kind of figure the cycles are."""
        return "estimated" if self.estimated else "measured in RTL"


def dissect(report: ReportFile) -> Dissection:
    """Take a report apart.

    Raises
    ------
    ConfigError
        If the report's configuration is not valid.
    """
    config = report.configuration()
    machine = Machine.of(config, stream_ceiling=report.performance.stream_ceiling)
    stages = []
    for name in (PREFILL, DECODE):
        steps = [step for step in report.steps if step.phase == name]
        if stage := _stage(name, steps, machine, report.energies(name)):
            stages.append(stage)
    notes = list(report.notes)
    if report.error_band:
        notes.insert(0, error_sentence(report.error_band))
    return Dissection(
        model=report.model,
        config=config,
        estimated=report.estimate,
        batch=report.performance.batch,
        context=report.performance.context,
        stages=tuple(stages),
        machine=machine,
        notes=tuple(notes),
    )


def total(values: Iterable[float | None]) -> float | None:
    """Return the sum of those that are known; None where none is."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def error_sentence(band: ErrorBand) -> str:
    """Say how far estimated cycles may be off."""
    if not band.points:
        return "How far the estimated cycles are from RTL has not been measured."
    return (
        f"Estimated cycles were {band.mean:.2%} from RTL in the mean and {band.worst:.2%} at worst, over {band.points} "
        f"points ({band.source})."
    )


def _stage(name: str, steps: Sequence[StepRecord], machine: Machine, energies: Mapping[str, float]) -> Stage | None:
    """Sum up steps; None where nothing took any cycles."""
    found: dict[str, list[OperatorRecord]] = {}
    for record in (record for step in steps for record in step.operators):
        found.setdefault(record.name, []).append(record)
    taking = {
        each: _row(each, records, machine, energies.get(each))
        for each, records in found.items()
        if any(record.cycles for record in records)
    }
    modules = []
    for module, operators in MODULES.items():
        names = [operator_name(operator) for operator in operators]
        if module == OTHER:
            names += (each for each in taking if each not in KNOWN)
        modules.append(ModuleRows(name=module, operators=tuple(taking[each] for each in names if each in taking)))
    if not any(module.operators for module in modules):
        return None
    return Stage(
        name=name,
        steps=sum(step.steps for step in steps),
        tokens=sum(step.tokens for step in steps),
        modules=tuple(module for module in modules if module.operators),
    )


def _row(name: str, records: Sequence[OperatorRecord], machine: Machine, j_per_token: float | None) -> OperatorRow:
    cycles = sum(record.cycles for record in records)
    work = sum((Work(count=each.count, bytes=each.bytes, macs=each.macs) for each in records), Work())
    return OperatorRow(
        name=name,
        cycles=cycles,
        work=work,
        bound=_bound(name, cycles / machine.clock_hz, work, machine),
        j_per_token=j_per_token,
    )


def _bound(name: str, seconds: float, work: Work, machine: Machine) -> str:
    """Say what determines an operator's time: what its bytes alone take in memory, or in the array that takes them."""
    if name == HOST:
        return HOST
    if name == CONTROL:
        return "dependency"  # its cycles are a step's start and end; the program comes meanwhile and later
    streamed = work.bytes / machine.stream_bytes
    taken = work.bytes / (machine.attention_bytes if name in ATTENTION_ARRAY else machine.matmul_bytes)
    if not work.macs or max(streamed, taken) < BOUND_SHARE * seconds:
        return "memory" if streamed >= BOUND_SHARE * seconds else "dependency"
    return "memory" if streamed >= taken else "compute"
