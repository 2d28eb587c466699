"""What a row of the table may hold: a published figure with its source and what kind of figure it is."""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationInfo, field_validator
from rtlm.gen.configuration.fields import Choice, Real, Whole, refuse

TEXT_LENGTH = 300
MAX_METHODS = 6
FORMULA = ("=", "+", "-", "@")
"""With these a cell is a formula in a spreadsheet, which would run where our CSV is opened."""


class Platform(StrEnum):
    """Where a model runs, as the survey (arXiv 2410.04466) divides the field."""

    CPU = "CPU"
    GPU = "GPU"
    FPGA = "FPGA"
    ASIC = "ASIC"
    PIM = "PIM/NDP"


class Method(StrEnum):
    """How a design gets faster, as the survey divides the methods."""

    QUANTISATION = "quantisation"
    SPARSITY = "sparsity"
    FAST_DECODING = "fast decoding"
    OPERATORS = "operator optimisation"
    HETEROGENEOUS = "heterogeneous cooperation"
    HOMOGENEOUS = "homogeneous cooperation"
    NONE = "none"


class Kind(StrEnum):
    """How the speed was found."""

    MEASURED = "measured"
    SIMULATED = "simulated"
    VENDOR = "vendor"
    DERIVED = "derived"
    UNSTATED = "unstated"


class Boundary(StrEnum):
    """What the watts are of; `TDP` is a rating and no reading."""

    CHIP = "chip"
    BOARD = "board"
    PLUG = "plug"
    TDP = "tdp"
    UNKNOWN = "unknown"


def _number(cell: Any) -> Any:
    """Return the number that a cell holds, or the cell for the field to refuse."""
    try:
        return float(cell)
    except (TypeError, ValueError, OverflowError):
        return cell


def _empty_is_none(cell: Any) -> Any:
    return None if cell == "" else cell


def _text(cell: str) -> str:
    cell = cell.strip()
    if not 1 <= len(cell) <= TEXT_LENGTH or not cell.isprintable() or cell.startswith(FORMULA):
        raise refuse(f"1 to {TEXT_LENGTH} printable characters, the first none of {' '.join(FORMULA)}", None)
    return cell


def _identifier(cell: str) -> str:
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,58}[a-z0-9])?", cell):
        raise refuse("1 to 60 lower-case letters, digits and hyphens", None)
    return cell


def _methods(cell: str) -> tuple[Method, ...]:
    names = [name.strip() for name in cell.split(";", MAX_METHODS)]
    if len(names) > MAX_METHODS or len(set(names)) < len(names) or not {*names} <= {*Method}:
        raise refuse(f"one or more of {', '.join(Method)}, with semicolons between them", None)
    return tuple(Method(name) for name in names)


Text = Annotated[str, AfterValidator(_text)]
MaybeText = Annotated[Text | None, BeforeValidator(_empty_is_none)]


class Row(BaseModel):
    """A published figure; the fields are the columns of the table."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    id: Annotated[str, AfterValidator(_identifier)]
    """Name of the row, which no other row has."""
    work: Text
    """Who or what it is."""
    platform: Annotated[str, Choice(tuple(Platform)), AfterValidator(Platform)]
    """Where the model runs."""
    chip: Text
    """Chip or board, with its memory where that is known."""
    year: Annotated[int, Whole(low=2010, high=2100), BeforeValidator(_number)]
    """Year of publication."""
    model: Text
    """The model; ``7B class`` where only that is known."""
    parameters_b: Annotated[float | None, Real(low=1e-3, high=1e5), BeforeValidator(_number)]
    """Parameters of the model in billions; may be empty."""
    batch: Annotated[int, Whole(low=1, high=100_000), BeforeValidator(_number)]
    """Sequences that decode together."""
    context: Annotated[int | None, Whole(low=1, high=10_000_000), BeforeValidator(_number)]
    """Positions at the end; may be empty."""
    format: MaybeText
    """Number formats of weights, activations and KV cache; may be empty."""
    method: Annotated[tuple[Method, ...], BeforeValidator(_methods)]
    """What makes it fast."""
    tokens_per_s: Annotated[float, Real(low=1e-3, high=1e6), BeforeValidator(_number)]
    """Tokens a second of all sequences together."""
    power_w: Annotated[float | None, Real(low=1e-3, high=1e6, unit="W"), BeforeValidator(_number)]
    """Power in watt; may be empty."""
    power_boundary: Annotated[str | None, Choice(tuple(Boundary)), BeforeValidator(_empty_is_none)]
    """What the watts are of; empty where there are none."""
    kind: Annotated[str, Choice(tuple(Kind)), AfterValidator(Kind)]
    """How the speed was found."""
    source: Text
    """Where the figure is published, and where in it."""
    note: MaybeText
    """What the reader has to know; may be empty."""

    @field_validator("parameters_b", "context", "power_w", "power_boundary", mode="wrap")
    @classmethod
    def _may_be_empty(cls, cell: Any, check: Any) -> Any:
        return None if cell == "" else check(cell)

    @field_validator("power_boundary", mode="after")
    @classmethod
    def _goes_with_power(cls, boundary: str | None, info: ValidationInfo) -> Boundary | None:
        power: Mapping[str, Any] = info.data
        if "power_w" in power and (power["power_w"] is None) != (boundary is None):
            wanted = "empty where power_w is" if boundary else f"one of {', '.join(Boundary)} where power_w is given"
            raise refuse(wanted, None)
        return Boundary(boundary) if boundary else None


COLUMNS = tuple(Row.model_fields)
"""Columns of the table, in order."""
