"""The comparison as CSV and JSON."""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from typing import Any

from rtlm.host.survey.point import Point
from rtlm.host.survey.ranges import by_method, by_platform
from rtlm.host.survey.row import COLUMNS, FORMULA
from rtlm.host.survey.selection import Selection
from rtlm.host.survey.table import notes

SCHEMA = "rtlm.comparison"
SCHEMA_VERSION = 1

OWN_COLUMNS = ("tokens_per_j", "ours", "power_low_w", "power_high_w", "power_method", "error")
"""What the CSV has behind the columns of the table."""


def dumps_json(points: Sequence[Point], selection: Selection) -> str:
    """Return the comparison as JSON text (docs/comparison.md)."""
    values: dict[str, Any] = {
        "schema": SCHEMA,
        "version": SCHEMA_VERSION,
        "points": [point.to_json() for point in points],
        "by_platform": [group.to_json() for group in by_platform(points)],
        "by_method": [group.to_json() for group in by_method(points)],
        "notes": list(notes(points, selection)),
    }
    return json.dumps(values, indent=2, ensure_ascii=False) + "\n"


def dumps_csv(points: Iterable[Point]) -> str:
    """Return the points as CSV text: the columns of the table, and what follows from them."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow((*COLUMNS, *OWN_COLUMNS))
    for point in points:
        values = {"method": "; ".join(point.methods)}
        names = (*COLUMNS, *OWN_COLUMNS)
        writer.writerow(_cell(values[name] if name in values else getattr(point, name)) for name in names)
    return text.getvalue()


def _cell(value: Any) -> str:
    """Write a value; a name from a report that a spreadsheet would take for a formula gets an apostrophe."""
    if isinstance(value, str) and value.startswith(FORMULA):
        return f"'{value}"
    return "" if value is None else str(value)
