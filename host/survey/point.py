"""A point of the comparison: a published design or one of ours."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rtlm.host.survey.row import Method, Platform, Row


@dataclass(frozen=True, kw_only=True)
class Point:
    """Speed and power of a design with one model.

    Parameters
    ----------
    id, work, platform, chip, year, model, parameters_b, batch, context, format, source, note
        As of `Row`; what is not known is None.
    methods
        What makes it fast.
    tokens_per_s
        Tokens a second, all sequences together.
    power_w, power_boundary
        Watts, and what they are of; None where they are not known.
    kind
        How the speed was found.
    ours
        Whether rtlm generated it.
    power_low_w, power_high_w, power_method
        Band of the power and how it was found, for ours.
    error
        Largest relative error of the speed, for an estimate of ours.
    """

    id: str
    work: str
    platform: Platform
    chip: str
    year: int | None
    model: str
    parameters_b: float | None
    batch: int
    context: int | None
    format: str | None
    methods: tuple[Method, ...]
    tokens_per_s: float
    power_w: float | None
    power_boundary: str | None
    kind: str
    source: str
    note: str | None
    ours: bool = False
    power_low_w: float | None = None
    power_high_w: float | None = None
    power_method: str | None = None
    error: float | None = None

    @classmethod
    def from_row(cls, row: Row) -> "Point":
        """Return a published row as a point."""
        values = dict(row)
        return cls(**{name: value for name, value in values.items() if name != "method"}, methods=row.method)

    @property
    def tokens_per_j(self) -> float | None:
        """Tokens for a joule."""
        return self.tokens_per_s / self.power_w if self.power_w else None

    def to_json(self) -> Mapping[str, Any]:
        """Return the point as plain values, speed and power under the keys of a report (docs/report.md)."""
        return {
            "id": self.id,
            "ours": self.ours,
            "work": self.work,
            "platform": self.platform.value,
            "chip": self.chip,
            "year": self.year,
            "model": self.model,
            "parameters_b": self.parameters_b,
            "format": self.format,
            "methods": [method.value for method in self.methods],
            "performance": {"tokens_per_s": self.tokens_per_s, "batch": self.batch, "context": self.context},
            "error_band": self.error,
            "power": None
            if self.power_w is None
            else {
                "total_w": self.power_w,
                "low_w": self.power_low_w,
                "high_w": self.power_high_w,
                "tokens_per_j": self.tokens_per_j,
                "boundary": self.power_boundary,
                "method": self.power_method,
            },
            "kind": self.kind,
            "source": self.source,
            "note": self.note,
        }
