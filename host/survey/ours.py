"""Our designs as points, from the reports that `rtlm run` and `rtlm estimate` write."""

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeGuard

from rtlm.gen.configuration.load import load_config
from rtlm.host.estimation.estimate import EstimateRequest, estimate
from rtlm.host.models.paper import open_model
from rtlm.host.reports.report import SCHEMA
from rtlm.host.survey.load import SurveyError
from rtlm.host.survey.point import Point
from rtlm.host.survey.row import Method, Platform

MAX_REPORT_BYTES = 64 << 20
NAME_LENGTH = 100
ASIC_BOARD = "asic"
"""Value of ``board`` in the configuration of a standard-cell design; every other is an FPGA."""

SIMULATED = "RTL-simulated"
BOUNDARY = "module"
"""Chip and memory: what the watts of our reports are of."""
WORST = ("worst", "max", "high")
"""Keys of an ``error_band`` under which the largest error stands."""
BILLION = {"b": 1.0, "m": 1e-3}
SIZE = re.compile(r"(?<![a-z0-9.])(\d{1,4}(?:\.\d{1,3})?)([bm])(?![a-z0-9])", re.IGNORECASE)
"""Size of a model as its name says it: 135M, 1.1b."""


SHIPPED = ("kv260", "u250", "u280")
"""Presets that a comparison shows where it is given no reports."""
SHIPPED_MODEL = "llama-2-7b"
SHIPPED_BATCHES = (1, 8)


def shipped_reports() -> tuple[Mapping[str, Any], ...]:
    """Return estimates of the presets with a model of the size that the ranges are of, alone and in a batch."""
    model = open_model(SHIPPED_MODEL)
    return tuple(
        estimate(
            EstimateRequest(config=load_config(preset, [f"matmul.columns={batch}"]), model=model, batch=batch)
        ).to_json()
        for batch in SHIPPED_BATCHES
        for preset in SHIPPED
    )


def read_report(path: Path) -> Mapping[str, Any]:
    """Read a report.

    Parameters
    ----------
    path
        File that ``--json`` wrote.

    Raises
    ------
    SurveyError
        If it cannot be read or is no report of a decoding.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_REPORT_BYTES + 1)
    except OSError as error:
        raise SurveyError(f"{path} cannot be read: {error.strerror}") from None
    if len(content) > MAX_REPORT_BYTES:
        raise SurveyError(f"{path} must have at most {MAX_REPORT_BYTES:,} bytes, got more")
    try:
        report = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise SurveyError(f"{path} must be JSON that rtlm run --json writes, got {type(error).__name__}") from None
    if not isinstance(report, dict) or not isinstance(report.get("performance"), dict):
        raise SurveyError(f"{path} must be a report that rtlm run --json writes (schema {SCHEMA}), got other JSON")
    try:
        our_points([report])
    except SurveyError as error:
        raise SurveyError(f"{path}: {error}") from None
    return report


def our_points(reports: Iterable[Mapping[str, Any]]) -> tuple[Point, ...]:
    """Return reports as points, each with what it is: simulated, or estimated with an error.

    Parameters
    ----------
    reports
        As of docs/report.md; one with an ``error_band`` is an estimate.

    Raises
    ------
    SurveyError
        If a report has no speed, or a figure in it is none.
    """
    return tuple(_point(report, number) for number, report in enumerate(reports, 1))


def _point(report: Mapping[str, Any], number: int) -> Point:
    config = _section(report, "config")
    performance = _section(report, "performance")
    power = _section(report, "power")
    memory = _section(report, "memory")
    error = None if report.get("error_band") is None else _error(report["error_band"])
    name, model = _name(config.get("name")), _name(report.get("model"))
    board = _name(config.get("board"), "none")
    methods = (Method.QUANTISATION, *((Method.FAST_DECODING,) if performance.get("speculation") else ()))
    return Point(
        id=f"ours-{number}",
        work=f"rtlm {name}",
        platform=Platform.ASIC if board == ASIC_BOARD else Platform.FPGA,
        chip=", ".join(part for part in (board, _name(memory.get("name"), "none")) if part != "none") or "any",
        year=None,
        model=model,
        parameters_b=_parameters_b(model),
        batch=int(_figure(performance, "performance.batch", 1)),
        context=int(_figure(performance, "performance.context", 1)),
        format=None,
        methods=methods,
        tokens_per_s=_figure(performance, "performance.tokens_per_s"),
        power_w=_figure(power, "power.total_w") if power else None,
        power_boundary=BOUNDARY if power else None,
        kind=SIMULATED if error is None else f"estimated \N{PLUS-MINUS SIGN} {error:.1%}",
        source=f"report of configuration {_name(config.get('hash'), name)}",
        note=" ".join(_notes(report, memory)) or None,
        ours=True,
        power_low_w=_figure(power, "power.low_w") if power else None,
        power_high_w=_figure(power, "power.high_w") if power else None,
        power_method=_power_method(report) if power else None,
        error=error,
    )


def _notes(report: Mapping[str, Any], memory: Mapping[str, Any]) -> Iterator[str]:
    """Say what qualifies the figures of a report."""
    if memory.get("ideal"):
        yield "The memory was ideal: no forecast."
    if memory.get("fits") is False:
        yield "The model does not fit the memory: the speed is that of as fast a memory that is larger."
    if report.get("interrupted"):
        yield "The run was interrupted."
    if isinstance(band := report.get("error_band"), dict) and band.get("points") == 0:
        yield "The error is not validated: no RTL stands behind it."


def _section(report: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return a part of a report; an empty one where there is none."""
    part = report.get(name) or {}
    if not isinstance(part, dict):
        raise SurveyError(f"{name} must be a mapping, got {type(part).__name__}")
    return part


def _name(value: Any, missing: str = "unnamed") -> str:
    """Return a name of a report as one printable line of bounded length."""
    return "".join(letter if letter.isprintable() else "?" for letter in str(value or missing)[:NAME_LENGTH])


def _figure(section: Mapping[str, Any], path: str, low: float = 0.0) -> float:
    """Return a number of a report."""
    value = section.get(path.rpartition(".")[2])
    if not _is_number(value) or value < low or value == 0:
        allowed = f"a number of at least {low:g}" if low else "a number above 0"
        raise SurveyError(f"{path} must be {allowed}, got {json.dumps(value)[:40]}")
    return float(value)


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _error(band: Any) -> float:
    """Return the largest relative error that an estimate states: the number, or the first of `WORST` in a mapping."""
    value = next((band[name] for name in WORST if name in band), None) if isinstance(band, dict) else band
    if not _is_number(value):
        raise SurveyError(
            f"error_band must be a relative error, or a mapping with {' or '.join(WORST)}, got {json.dumps(band)[:60]}"
        )
    return abs(value)


def _power_method(report: Mapping[str, Any]) -> str:
    return "estimated, toggles counted" if report.get("activity") else "estimated, shipped toggle rates"


def _parameters_b(model: str) -> float | None:
    """Return the billions of parameters that a model's name tells; None where it tells none."""
    found = SIZE.search(model.replace("_", "-"))
    return round(float(found[1]) * BILLION[found[2].lower()], 6) if found else None
