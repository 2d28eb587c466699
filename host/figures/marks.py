"""Marked parts of pages, filled from results files.

``<!--= decode.steps[0].cycles | thousands -->1,598,230<!--/-->`` is a Jinja2 expression and its value; a mark whose
comment has several lines is a template, such as the rows of a table, and what it makes stands below it. Each results
file is known by its name as its values, and so are the files of `OTHERS`.
"""

import datetime
import difflib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined, TemplateError
from rtlm.host.figures.results import ROOT, FiguresError, Results, load_results

OTHERS = {
    "rtl_cycles": "host/estimation/rtl_cycles.json",
    "error_band": "host/estimation/error_band.json",
    "calibration": "host/power/calibration.json",
    "static_timing": "benchmarks/data/static_timing.json",
    "llamacpp_texts": "benchmarks/data/llamacpp_texts.json",
}
"""Results that programs read too, by the name that pages have for them; all keep a format of their own."""

MARK = re.compile(r"(?P<head><!--=(?P<template>.*?)-->)(?P<text>.*?)(?P<end><!--/-->)", re.DOTALL)
PAGES = ("*.md", "docs/*.md")


def marked_pages(root: Path = ROOT) -> list[Path]:
    """Return the pages that have marks."""
    return [
        path
        for pattern in PAGES
        for path in sorted(root.glob(pattern))
        if MARK.search(path.read_text(encoding="utf-8"))
    ]


def filled(page: str, results: Mapping[str, Results]) -> str:
    """Return a page with the text of every mark made anew.

    Raises
    ------
    FiguresError
        If a mark names what is not there, or is no template.
    """
    environment = Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False)
    environment.filters |= FILTERS
    environment.globals |= {name: json.loads((ROOT / path).read_text(encoding="utf-8")) for name, path in OTHERS.items()}
    environment.globals |= {name: each.values for name, each in results.items()}
    environment.globals |= {
        "command": lambda name: f"`{results[name].command}`",
        "day": lambda name: day(results[name].date),
        "origin": lambda name: f"`{results[name].command}`, {day(results[name].date)}",
    }

    def fill(mark: re.Match[str]) -> str:
        template = mark["template"].strip()
        block = "\n" in mark["template"]
        try:
            text = environment.from_string(template if block else f"{{{{ {template} }}}}").render()
        except (TemplateError, TypeError, ValueError, LookupError) as error:
            raise FiguresError(f"The mark {template.splitlines()[0]} cannot be filled: {error}") from None
        return f"{mark['head']}\n\n{text.strip()}\n\n{mark['end']}" if block else mark["head"] + text + mark["end"]

    return MARK.sub(fill, page)


def fill_pages(root: Path = ROOT) -> list[Path]:
    """Fill the marks of all pages, and return those pages."""
    results = load_results()
    pages = marked_pages(root)
    for path in pages:
        path.write_text(filled(path.read_text(encoding="utf-8"), results), encoding="utf-8")
    return pages


def disagreements(path: Path, results: Mapping[str, Results]) -> list[str]:
    """Return the lines of a page that its results would change, as a difference."""
    page = path.read_text(encoding="utf-8")
    lines = difflib.unified_diff(page.splitlines(), filled(page, results).splitlines(), path.name, "results", n=0, lineterm="")
    return list(lines)


def day(date: datetime.date) -> str:
    """Write a date: 29 November 2026."""
    return f"{date.day} {date:%B %Y}"


def thousands(value: float, digits: int = 0) -> str:
    """Write a number with commas: 1,598,230."""
    return f"{value:,.{digits}f}"


def percent(value: float, digits: int = 2) -> str:
    """Write a ratio: 94.62 %."""
    return f"{value:.{digits}%}".replace("%", " %")


def change(value: float, digits: int = 2) -> str:
    """Write a relative change with its sign: +0.29 %."""
    return percent(value, digits).replace("-", "\u2212") if value < 0 else f"+{percent(value, digits)}"


def span(values: Any, digits: int = 0, factor: float = 1) -> str:
    """Write the smallest and the largest of some values: 187 to 188, or the one that they are after rounding."""
    ends = [f"{factor * value:,.{digits}f}" for value in (min(values), max(values))]
    return " to ".join(dict.fromkeys(ends))


FILTERS = {
    "thousands": thousands,
    "fixed": lambda value, digits: f"{value:.{digits}f}",
    "percent": percent,
    "change": change,
    "span": span,
}
"""How marks write numbers."""
