"""The JSON of a run, checked: it may come from anywhere, and from an earlier version that wrote less."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from rtlm.gen.common.errors import RtlmError
from rtlm.gen.configuration.fields import shown
from rtlm.host.boards.address import is_board
from rtlm.host.reports.report import MEASURED, SCHEMA
from rtlm.host.reports.stored import check_version, place_of, read_values, wrong_value

WRITER = "rtlm run --json writes it"
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def printable(text: str) -> str:
    """Return a text of several lines in which a sign stands for each character that HTML or UTF-8 does not allow."""
    return "".join(letter if letter.isprintable() or letter in "\n\t" else _shown(letter) for letter in text)


def _shown(letter: str) -> str:
    """Keep what only has no glyph, such as a no-break space or a soft hyphen; replace controls and surrogates."""
    code = ord(letter)
    control = code < 0x20 or 0x7F <= code < 0xA0
    broken = 0xD800 <= code < 0xE000 or 0xFDD0 <= code < 0xFDF0 or code & 0xFFFE == 0xFFFE
    return REPLACEMENT if control or broken else letter


def one_line(text: str) -> str:
    """Return a name as one printable line."""
    return "".join(letter if letter.isprintable() else REPLACEMENT for letter in text)


def _clean(values: Any) -> Any:
    """Return plain values with every text as `printable` makes it."""
    if isinstance(values, str):
        return printable(values)
    if isinstance(values, list):
        return [_clean(each) for each in values]
    if isinstance(values, dict):
        return {printable(name): _clean(value) for name, value in values.items()}
    return values


Text = str
Name = Annotated[str, Field(max_length=200), AfterValidator(one_line)]
Sentence = Annotated[str, Field(max_length=4000), AfterValidator(one_line)]
Count = Annotated[int, Field(ge=0, lt=1 << 63)]
Figure = Annotated[float, Field(ge=0, lt=1e30, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=-1e-9, le=1 + 1e-9, allow_inf_nan=False)]


class Part(BaseModel):
    """A part of a report; what the page does not show is passed over, and what is not in the file is None or empty."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    def lacks(self, key: str) -> bool:
        """Say whether the file does not have a key at all, as files of earlier versions."""
        return key not in self.model_fields_set


class Configuration(Part):
    """What was run."""

    name: Name
    hash: Name = ""
    clock_mhz: Annotated[float, Field(gt=0, lt=1e6, allow_inf_nan=False)]
    board: Name | None = None
    technology: Name | None = None


class Sequence(Part):
    """A prompt and its answer."""

    text: Text
    prompt: Text = ""


class Turn(Part):
    """A question and its answer."""

    question: Text
    answer: Text
    ending: Name = ""


class Performance(Part):
    """Speed."""

    cycles_per_token: Figure | None = None
    tokens_per_s: Figure | None = None
    ttft_s: Figure | None = None
    prefill_tokens_per_s: Figure | None = None
    latency_p50_s: Figure | None = None
    latency_p95_s: Figure | None = None
    bandwidth_utilisation: Figure | None = None
    stream_ceiling: Share | None = None
    batch: Annotated[int, Field(ge=1, lt=1 << 20)]
    context: Count


class Bytes(Part):
    """Bytes by purpose."""

    read: dict[Name, Count]
    written: dict[Name, Count]
    total: Count


class Memory(Part):
    """The simulated memory."""

    name: Name
    source: Sentence = ""
    peak_bytes_per_s: Annotated[float, Field(gt=0, lt=1e18, allow_inf_nan=False)]
    ideal: bool = False


class Operator(Part):
    """Cycles of an operator."""

    name: Name
    cycles_per_token: Figure
    share: Share


class Layer(Operator):
    """Cycles of a layer, and the same by operator."""

    operators: dict[Name, Figure]


class Cause(Operator):
    """Cycles by what the memory did in them."""

    meaning: Sentence


class Range(Part):
    """A figure with its range."""

    nominal: Figure
    low: Figure
    high: Figure


class Component(Part):
    """A summand of the power."""

    name: Name
    part: Name
    kind: Name
    w: Figure
    low_w: Figure
    high_w: Figure
    method: Sentence


class OperatorPower(Part):
    """Energy of an operator."""

    name: Name
    j_per_token: Figure


class Power(Part):
    """Power while decoding."""

    total_w: Figure
    low_w: Figure
    high_w: Figure
    tokens_per_j: Figure | None = None
    j_per_token: Range | None = None
    components: tuple[Component, ...] = ()
    operators: tuple[OperatorPower, ...] = ()
    boundaries: dict[Name, Range | None] = {}
    included: Sentence = ""
    notes: tuple[Sentence, ...] = ()


class Step(Part):
    """A pass through the weights."""

    phase: Name
    tokens: Count
    context: Count
    cycles: Count | None = None
    needed_bytes: Count | None = None
    causes: dict[Name, Count] = {}
    units: dict[Name, dict[Name, Count]] = {}


class CurvePoint(Part):
    """Estimated speed at a context."""

    context: Annotated[int, Field(ge=1, lt=1 << 40)]
    tokens_per_s: Annotated[float, Field(gt=0, lt=1e12, allow_inf_nan=False)]


class CurveError(Part):
    """How far estimates were from RTL."""

    mean: Figure
    worst: Figure
    points: Count
    source: Name = ""


class Curve(Part):
    """Estimated speed against context."""

    batch: Count
    points: Annotated[tuple[CurvePoint, ...], Field(max_length=200)]
    error: CurveError


class Simulator(Part):
    """The simulation itself."""

    backend: Name
    version: Name = ""
    wall_s: Figure
    cycles: Count | None = None
    tokens_per_s: Figure | None = None
    cycles_per_s: Figure | None = None


class RunFile(Part):
    """The report of a run.

    Attributes
    ----------
    values
        The JSON as it is, but for characters that no page may have.
    """

    config: Configuration
    model: Name
    interrupted: bool = False
    prompt_tokens: Count
    tokens: Count
    text: Text = ""
    sequences: tuple[Sequence, ...] = ()
    turns: tuple[Turn, ...] = ()
    performance: Performance
    bytes: Bytes | None = None
    memory: Memory | None = None
    operators: tuple[Operator, ...] = ()
    layers: tuple[Layer, ...] = ()
    causes: tuple[Cause, ...] = ()
    elements: dict[Name, dict[Name, Figure]] | None = None
    elements_are: Sentence | None = None
    power: Power | None = None
    simulator: Simulator
    steps: tuple[Step, ...] = ()
    context_curve: Curve | None = None
    pedigree: dict[str, Sentence] = {}
    notes: tuple[Sentence, ...] = ()
    values: dict[str, Any] = {}


def read_run(path: Path) -> RunFile:
    """Read a file that ``rtlm run --json`` has written.

    Raises
    ------
    RtlmError
        If it cannot be read, or is not the report of a run.
    """
    return parse_run(read_values(path, WRITER), str(path))


def parse_run(values: Any, name: str) -> RunFile:
    """Check the report of a run.

    Parameters
    ----------
    values
        As in the JSON.
    name
        What errors call it.

    Raises
    ------
    RtlmError
        If they are something else, or a value is wrong.
    """
    schema = values.get("schema") if isinstance(values, dict) else None
    if schema != SCHEMA:
        other = f", got {shown(schema)}" if schema else ""
        raise RtlmError(f"The schema of {name} must be {SCHEMA}, as rtlm run --json writes it{other}")
    if values.get("estimate"):
        raise RtlmError(
            f"{name} is an estimate (rtlm estimate --json); a report page is made of a run (rtlm run --json)"
        )
    check_version(values, name)
    try:
        values = _clean(values)
        run = RunFile.model_validate({**values, "values": values})
    except ValidationError as error:
        entry = error.errors()[0]
        if entry["type"] == "missing":
            raise RtlmError(f"The report {name} has no {place_of(entry)}; {WRITER}") from None
        raise RtlmError(wrong_value(entry, name)) from None
    if is_board(run.simulator.backend):
        raise RtlmError(
            f"{name} must not be of a run on a board, got {shown(run.simulator.backend)}: its cycles are not "
            f"{MEASURED}, as a report page would say"
        )
    return run
