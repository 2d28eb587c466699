"""Marked parts of pages, filled from results files.

``<!--= decode.steps[0].cycles | thousands -->1,598,230<!--/-->`` is a Jinja2 expression and its value; a mark whose
comment has several lines is a template, such as the rows of a table, and what it makes stands below it. Each results
file is known by its name as its values, and so are the files of `OTHERS`.
"""

import datetime
import difflib
import json
import re
from collections.abc import Iterable, Mapping
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

MARK = re.compile(r"(?P<head><!--=(?P<template>.*?)-->)(?P<text>(?:(?!<!--=).)*?)(?P<end><!--/-->)", re.DOTALL)
OPENING = "<!--="
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
    if page.count(OPENING) != len(MARK.findall(page)):
        raise FiguresError(
            f"Every {OPENING} of a page must be closed by <!--/--> before the next, got one that is not."
        )
    environment = Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False)
    environment.filters |= FILTERS
    environment.globals |= {
        name: json.loads((ROOT / path).read_text(encoding="utf-8")) for name, path in OTHERS.items()
    }
    environment.globals |= {name: each.values for name, each in results.items()}
    environment.globals |= {
        "command": lambda name: f"`{results[name].command}`",
        "results": results,
        "machine": lambda name: results[name].machine,
        "day": lambda name: day(results[name].date),
        "origin": lambda name: f"`{results[name].command}`, {day(results[name].date)}",
    }

    def fill(mark: re.Match[str]) -> str:
        template = mark["template"].strip()
        block = "\n" in mark["template"]
        if block != (page[: mark.start()].rpartition("\n")[2] == ""):
            raise FiguresError(
                "A mark of one line must not begin a line, where Markdown takes it for HTML, and one of several lines "
                f"must, got {template.splitlines()[0]}."
            )
        try:
            text = environment.from_string(template if block else f"{{{{ {template} }}}}").render()
        except (TemplateError, TypeError, ValueError, LookupError) as error:
            raise FiguresError(f"The mark {template.splitlines()[0]} cannot be filled: {error}") from None
        if block:
            lines = "\n".join(line.rstrip() for line in text.strip().splitlines())
            text = f"\n\n{lines}\n\n"
        return mark["head"] + text + mark["end"]

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
    lines = difflib.unified_diff(
        page.splitlines(), filled(page, results).splitlines(), path.name, "results", n=0, lineterm=""
    )
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


def change_with_error(values: Mapping[str, float], digits: int = 2) -> str:
    """Write the change of a perplexity with its standard error: +0.29 % ± 0.13 %."""
    return f"{change(values['perplexity_change'], digits)} ± {percent(values['perplexity_change_error'], digits)}"


def span(values: Any, digits: int = 0, factor: float = 1) -> str:
    """Write the smallest and the largest of some values: 187 to 188, or the one that they are after rounding."""
    ordered = sorted(values)
    ends = [f"{factor * value:,.{digits}f}" for value in (ordered[0], ordered[-1])]
    return " to ".join(dict.fromkeys(ends))


def dependencies(results: Results) -> str:
    """Write what results depend on: RTL with the beginning of its hash, or source."""
    hardware = [
        f"RTL of `{each.config}`{' with changes' * bool(each.overrides)}: {_short(each.verilog_sha256)}"
        for each in results.rtl
    ]
    return "; ".join(
        dict.fromkeys([*hardware, *([f"source: {_short(results.source.sha256)}"] if results.source else [])])
    )


def _short(hash: str | None) -> str:
    return "not written down" if hash is None else f"`{hash[:12]}`"


def slashed(values: Iterable[float], digits: int | None = None, factor: float = 1) -> str:
    """Write numbers one after the other: 34,433 / 39,435 / 315 / 39.5, or with as many digits as are asked for."""
    return " / ".join(
        elements(value * factor) if digits is None else thousands(value * factor, digits) for value in values
    )


def spread(value: Mapping[str, float], digits: int = 1) -> str:
    """Write an estimate with its range: 4.1 (2.2 to 6.1)."""
    nominal, low, high = (f"{value[key]:.{digits}f}" for key in ("nominal", "low", "high"))
    return f"{nominal} ({low} to {high})"


def total(values: Mapping[str, float], beginning: str = "") -> float:
    """Return the sum of the values whose keys begin with a word."""
    return sum(value for key, value in values.items() if key.startswith(beginning))


def elements(value: float) -> str:
    """Write a number of elements, of which block memories come in halves: 34,433 or 10.5."""
    return thousands(value, 0 if float(value).is_integer() else 1)


FILTERS = {
    "dependencies": dependencies,
    "elements": elements,
    "slashed": slashed,
    "spread": spread,
    "total": total,
    "thousands": thousands,
    "fixed": lambda value, digits: f"{value:.{digits}f}",
    "percent": percent,
    "change": change,
    "change_with_error": change_with_error,
    "span": span,
}
"""How marks write numbers."""
