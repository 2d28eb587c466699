"""What a run measured: the input of the report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from rtlm.gen.synthesis.cell_counts import UnitCells
from rtlm.host.power.shipped import Shipped
from rtlm.sim.memory.dram import Dram

PREFILL = "prefill"
DECODE = "decode"

OPERATOR_NAMES = {"qk": "qk^t"}
"""Operators whose usual name is no identifier."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """What an operator does in a step.

    Parameters
    ----------
    count
        How often it runs: matrices, normalisations, rotations of queries and of keys; scores, softmax and the product
        with the values for each column and KV head.
    bytes
        Bytes that memory moves for it, with padding and with what is read twice.
    macs
        Multiply-accumulates of weights, keys or values with activations, in all columns.
    """

    count: int = 0
    bytes: int = 0
    macs: int = 0

    def __add__(self, other: Self) -> "Work":
        """Return the work of both."""
        return Work(count=self.count + other.count, bytes=self.bytes + other.bytes, macs=self.macs + other.macs)


@dataclass(frozen=True, kw_only=True)
class StepMeasurement:
    """One pass through the weights.

    Parameters
    ----------
    phase
        ``prefill`` for the steps up to and including the one that gives the first new token, then ``decode``.
    tokens
        Tokens that the step is worth: tokens of the prompt that were fed, then new tokens.
    context
        Positions in the longest sequence after the step.
    cycles
        Clock cycles from start to done; None where nothing counts them (golden model).
    needed_bytes
        Bytes that the step cannot do without: each weight, scale, norm and embedding row once, the KV cache of the
        positions that exist, what is written; no padding, nothing read twice.
    drafted
        Columns that were fed with guesses.
    operators
        Cycles by operator.
    work
        What each operator had to do, by the same names.
    units
        For each unit its cycles by state, such as ``busy``, ``starved`` and ``blocked_CAUSE``.
    causes
        Cycles by cause (`rtlm.host.reports.causes`), which add up to `cycles`; empty where the memory has no clocks.
    layers
        Cycles of each layer by operator (`rtlm.host.reports.layers`), which add up to `cycles`; empty where nothing
        told layers apart.
    """

    phase: str
    tokens: int
    context: int
    cycles: int | None
    needed_bytes: int = 0
    drafted: int = 0
    operators: Mapping[str, int] = field(default_factory=dict)
    work: Mapping[str, Work] = field(default_factory=dict)
    units: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    causes: Mapping[str, int] = field(default_factory=dict)
    layers: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    @classmethod
    def from_counters(
        cls,
        counters: Mapping[str, int],
        *,
        phase: str,
        tokens: int,
        context: int,
        needed_bytes: int,
        drafted: int = 0,
        causes: Mapping[str, int] | None = None,
        work: Mapping[str, Work] | None = None,
        layers: Mapping[str, Mapping[str, int]] | None = None,
    ) -> Self:
        """Sort the accelerator's counters (``CYCLES``, ``OPERATOR_QKV``, ``EVENT_MATMUL_BUSY`` ...)."""
        operators: dict[str, int] = {}
        units: dict[str, dict[str, int]] = {}
        for name, value in counters.items():
            kind, _, rest = name.lower().partition("_")
            if kind == "operator":
                operators[OPERATOR_NAMES.get(rest, rest)] = value
            elif kind == "event":
                unit, underscore, state = rest.partition("_")
                if not underscore:
                    unit, state = "reader", rest
                units.setdefault(unit, {})[state] = value
        return cls(
            phase=phase,
            tokens=tokens,
            context=context,
            cycles=counters.get("CYCLES"),
            needed_bytes=needed_bytes,
            drafted=drafted,
            operators=operators,
            work=work or {},
            units=units,
            causes=causes or {},
            layers=layers or {},
        )


@dataclass(frozen=True, kw_only=True)
class MemoryMeasurement:
    """What the memory did over the whole run.

    Parameters
    ----------
    name
        Name of the DRAM model.
    source
        Where its timings come from.
    peak_bytes_per_s
        Its peak.
    stream_ceiling
        Share of the peak that a linear stream without any compute reaches in the same model.
    ideal
        Whether it has no timing, for unit tests.
    read_bytes, written_bytes
        Bytes by purpose.
    counters
        Row hits and misses, commands, refreshes and the like.
    dram
        The memory's geometry and timings, by which commands take energy; None where they are not known.
    """

    name: str
    source: str
    peak_bytes_per_s: float
    stream_ceiling: float
    ideal: bool
    read_bytes: Mapping[str, int]
    written_bytes: Mapping[str, int]
    counters: Mapping[str, int] = field(default_factory=dict)
    dram: Dram | None = None


@dataclass(frozen=True, kw_only=True)
class SimulatorMeasurement:
    """How fast the simulation itself went.

    Parameters
    ----------
    backend
        ``verilator`` or ``golden``.
    version
        Version of the simulator.
    wall_s
        Seconds spent in it.
    simulated_cycles
        Cycles that were simulated from its start to its end, with loading, register accesses and a step that was
        broken off; None where nothing counts cycles.
    """

    backend: str
    version: str
    wall_s: float
    simulated_cycles: int | None = None


@dataclass(frozen=True, kw_only=True)
class ActivityMeasurement:
    """Switching activity, counted in samples of the simulation.

    Parameters
    ----------
    toggles
        Toggles for each net bit and cycle by unit; ``top`` is what lies between the units.
    cycles
        Cycles that were counted.
    samples
        Samples that they lie in, spread over one decoding step.
    context
        Positions of the sequence in that step.
    earlier
        Whether it was counted in an earlier run of the same hardware and model, with another text.
    """

    toggles: Mapping[str, float]
    cycles: float
    samples: int
    context: int
    earlier: bool = False

    @property
    def source(self) -> str:
        """Where the figures come from, in words."""
        run = " of an earlier run" if self.earlier else ""
        return f"counted in {self.samples} samples, {self.cycles:,.0f} cycles in all, of a decoding step{run}"


@dataclass(frozen=True, kw_only=True)
class GeneratedText:
    """One sequence.

    Parameters
    ----------
    prompt_ids, token_ids
        Tokens fed as the prompt, tokens generated.
    text
        What was generated.
    prompt
        What was asked, in words; empty in a conversation, whose turns have it.
    """

    prompt_ids: Sequence[int]
    token_ids: Sequence[int]
    text: str
    prompt: str = ""


@dataclass(frozen=True, kw_only=True)
class ContextCurve:
    """Estimated speed of decoding against context.

    Parameters
    ----------
    tokens_per_s
        Tokens a second, all sequences together, by positions of each sequence after the step.
    batch
        Sequences that decode together.
    error
        How far estimates of cycles were from RTL: ``mean``, ``worst`` (fractions), ``points``, ``source``.
    """

    tokens_per_s: Mapping[int, float]
    batch: int
    error: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class TurnMeasurement:
    """What was said in a turn of a conversation, and its answer.

    Parameters
    ----------
    question, answer
        What was said, and what was answered.
    prompt_tokens
        Tokens of the conversation up to the answer.
    kept_tokens
        How many of them lay in the KV cache and were not fed again.
    tokens
        Tokens of the answer.
    steps
        Passes through the weights.
    cycles
        Their clock cycles; None where nothing counts them.
    wall_s
        Seconds that they took on this computer.
    ending
        Why the answer ended: ``stop`` (the model ended it), ``max_tokens``, ``context`` (it is full) or
        ``interrupted``.
    """

    question: str
    answer: str
    prompt_tokens: int
    kept_tokens: int
    tokens: int
    steps: int
    cycles: int | None
    wall_s: float
    ending: str


@dataclass(frozen=True, kw_only=True)
class RunMeasurements:
    """Everything that the report is made from.

    Parameters
    ----------
    config
        Configuration as plain values, with at least ``name`` and ``clock_mhz``.
    config_hash
        Its hash.
    model
        Name of the model.
    sequences
        What was generated, one or more sequences that decoded together.
    speculation
        Whether tokens were guessed and verified.
    turns
        Turns of a conversation, which is one sequence; none where it was a run.
    interrupted
        Whether it was broken off; text and figures are then of the steps that had ended.
    context_curve
        Estimated speed at other contexts; None where nobody asked for it.
    logits_sha256
        SHA-256 of all logits read back, in order, as little-endian float32; None where none were.
    steps
        The passes, in order.
    simulator
        Its speed.
    memory
        None with the golden model, which has none.
    elements, elements_are
        LUT, FF, DSP and BRAM counts by unit, and how they were found.
    cells, cells_are
        Standard cells by unit, and how they were found; none on an FPGA.
    activity
        Switching activity; None where none was counted.
    shipped
        Toggle rates for where none was; None takes those of the default preset.
    """

    config: Mapping[str, Any]
    config_hash: str
    model: str
    sequences: Sequence[GeneratedText]
    logits_sha256: str | None
    steps: Sequence[StepMeasurement]
    simulator: SimulatorMeasurement
    memory: MemoryMeasurement | None = None
    elements: Mapping[str, Mapping[str, float]] | None = None
    elements_are: str = "elements counted in the netlist"
    cells: Mapping[str, UnitCells] = field(default_factory=dict)
    cells_are: str = ""
    activity: ActivityMeasurement | None = None
    shipped: Shipped | None = None
    speculation: bool = False
    turns: Sequence[TurnMeasurement] = ()
    interrupted: bool = False
    context_curve: ContextCurve | None = None
