"""Reports as input: the JSON that `rtlm run` and `rtlm estimate` write, checked before anything is made of it."""

from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from rtlm.gen.common.errors import RtlmError
from rtlm.gen.configuration.load import default_values
from rtlm.gen.configuration.schema import Configuration
from rtlm.gen.configuration.validate import validate
from rtlm.host.estimation.result import ErrorBand
from rtlm.host.reports.measurements import DECODE, PREFILL
from rtlm.host.reports.report import SCHEMA
from rtlm.host.reports.stored import check_version, read_values, wrong_value

Count = Annotated[int, Field(ge=0, lt=1 << 63)]
Cycles = Annotated[float, Field(ge=0, lt=1e18, allow_inf_nan=False)]
Share = Annotated[float, Field(gt=0, le=1)]


class _Part(BaseModel):
    """A part of a report; what a dissection does not need is passed over."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class OperatorRecord(_Part):
    """An operator in one step or several."""

    name: Annotated[str, Field(max_length=40)]
    cycles: Cycles
    count: Count
    bytes: Count
    macs: Count


class StepRecord(_Part):
    """A step of a run, or all steps of a kind of an estimate."""

    phase: str
    tokens: Count
    steps: Count = 1
    operators: tuple[OperatorRecord, ...]


class OperatorEnergy(_Part):
    """Energy of an operator for a token, of chip and memory."""

    name: Annotated[str, Field(max_length=40)]
    j_per_token: Annotated[float, Field(ge=0, lt=1e9, allow_inf_nan=False)]


class _Energies(_Part):
    operators: tuple[OperatorEnergy, ...] = ()


class _Speed(_Part):
    stream_ceiling: Share
    batch: Annotated[int, Field(ge=1)]
    context: Count


class ReportFile(_Part):
    """What a dissection reads of a report."""

    model: str
    config: dict[str, Any]
    performance: _Speed
    steps: tuple[StepRecord, ...]
    estimate: bool = False
    error_band: ErrorBand | None = None
    power: _Energies | None = None
    prefill_power: _Energies | None = None
    notes: tuple[str, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _steps_of_an_estimate(cls, values: Any) -> Any:
        """Give an estimate, which has its two stages as sums, the steps that a run has."""
        if not isinstance(values, dict) or not values.get("estimate") or "steps" in values:
            return values
        performance, prefill = values.get("performance"), values.get("prefill")
        tokens = performance.get("batch") if isinstance(performance, dict) else None
        decode = {"phase": DECODE, "tokens": tokens, "operators": values.get("operators")}
        steps = [decode] if not isinstance(prefill, dict) else [{**prefill, "phase": PREFILL}, decode]
        return {**values, "steps": steps}

    def energies(self, phase: str) -> dict[str, float]:
        """Return the estimated joules of each operator for a token of a stage; none where the report has none."""
        found = self.prefill_power if phase == PREFILL else self.power
        return {each.name: each.j_per_token for each in found.operators} if found else {}

    def configuration(self) -> Configuration:
        """Return the accelerator's configuration."""
        values = {name: value for name, value in self.config.items() if name != "hash"}
        return validate(values, default_values(), "the report's configuration")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a file.

        Raises
        ------
        RtlmError
            If it cannot be read or is not a report with steps by operator.
        """
        return cls.parse(read_values(path, "rtlm run --json and rtlm estimate --json write it"), str(path))

    @classmethod
    def parse(cls, values: Any, name: str) -> Self:
        """Check plain values.

        Parameters
        ----------
        values
            As in the JSON.
        name
            What errors call it.

        Raises
        ------
        RtlmError
            If they are not a report with steps by operator.
        """
        if not isinstance(values, dict) or values.get("schema") != SCHEMA:
            raise RtlmError(f"{name} is not a report: its schema must be {SCHEMA}, as rtlm run --json writes it")
        check_version(values, name)
        try:
            report = cls.model_validate(values)
        except ValidationError as error:
            raise RtlmError(_sentence(error, values, name)) from None
        if not any(operator.cycles for step in report.steps for operator in step.operators):
            raise RtlmError(_no_cycles(name))
        return report


def _sentence(error: ValidationError, values: dict[str, Any], name: str) -> str:
    """Say what is wrong with the first value that is."""
    entry = error.errors()[0]
    place = ".".join(str(part) for part in entry["loc"])
    if place == "performance.stream_ceiling" and entry["input"] is None:
        return _no_cycles(name)
    if entry["loc"][0] == "steps" and entry["loc"][-1] in ("operators", "count", "bytes", "macs"):
        return f"The report {name} has no work by operator ({place}): make it anew with rtlm run --json"
    return wrong_value(entry, name)


def _no_cycles(name: str) -> str:
    return (
        f"The report {name} has no cycles by operator: the golden model counts none; "
        "run with --backend verilator or estimate"
    )
