"""Reads what runs of benches leave behind: Verilator's coverage data, and the points that benches recorded."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

KINDS = {"v_line": "line", "v_branch": "branch", "v_toggle": "toggle", "v_expr": "expression"}
_ENTRY = re.compile(r"^C '(.*)' (\d+)$")
_WRITERS = "$auto$verilog_backend"
"""In the name of a signal that yosys' Verilog writer puts into every process, so that it runs once at the start.

It never changes: ``if (...) begin end`` on it is a branch that no design reaches.
"""


@dataclass(frozen=True, kw_only=True)
class Covered:
    """Points of one kind, in one module or added up.

    Attributes
    ----------
    hit, total : int
        Points that were reached at least once, and all of them. A toggle point is one direction of one bit.
    """

    hit: int
    total: int

    @property
    def percent(self) -> float:
        """Share that was reached."""
        return 100 * self.hit / self.total if self.total else 100.0


def read_coverage(paths: Iterable[Path], design: Path | None = None) -> dict[tuple[str, str], Covered]:
    """Add up coverage files of one design.

    Parameters
    ----------
    paths : iterable of Path
        Files that simulations wrote.
    design : Path, optional
        The Verilog they were built from: what yosys' writer added to it is left out.

    Returns
    -------
    dict
        From (module, kind) to what was covered; kinds are "line", "branch" and "toggle".
    """
    counts: dict[tuple[str, str, str], int] = {}
    added = _added_lines(design) if design else set()
    for path in paths:
        for kind, module, line, point, count in _entries(path):
            if line in added:
                continue
            counts[kind, module, point] = counts.get((kind, module, point), 0) + count
    result: dict[tuple[str, str], Covered] = {}
    for (kind, module, _), count in counts.items():
        known = result.get((module, kind), Covered(hit=0, total=0))
        result[module, kind] = Covered(hit=known.hit + (count > 0), total=known.total + 1)
    return result


def total(coverage: dict[tuple[str, str], Covered], kind: str) -> Covered:
    """Add up one kind over all modules.

    Parameters
    ----------
    coverage : dict
        From `read_coverage`.
    kind : str
        "line", "branch" or "toggle".
    """
    chosen = [covered for (_, each), covered in coverage.items() if each == kind]
    return Covered(hit=sum(each.hit for each in chosen), total=sum(each.total for each in chosen))


def add(*parts: Covered) -> Covered:
    """Add up points of different designs.

    Parameters
    ----------
    parts : Covered
        One of each.
    """
    return Covered(hit=sum(part.hit for part in parts), total=sum(part.total for part in parts))


def missed_lines(coverage: Path, design: Path) -> list[str]:
    """Return every line and branch that was not reached, with its text: ``line 12, branch then, module: source``.

    Parameters
    ----------
    coverage : Path
        File that a simulation wrote.
    design : Path
        The Verilog it was built from.
    """
    text, added = design.read_text().splitlines(), _added_lines(design)
    missed = set()
    for kind, module, line, point, count in _entries(coverage):
        if kind in ("line", "branch") and not count and line not in added:
            outcome = _fields(point).get("o", "").removeprefix("cond_")
            missed.add((line, f"{kind} {outcome}".strip(), module))
    return [f"line {line}, {what}, {module}: {text[line - 1].strip()}" for line, what, module in sorted(missed)]


def read_points(paths: Iterable[Path]) -> dict[str, dict[str, int]]:
    """Add up functional coverage, as `rtlm.sim.unit_benches.points` writes it, over runs and sets of parameters.

    Parameters
    ----------
    paths : iterable of Path
        Files; those that do not exist are left out.

    Returns
    -------
    dict
        From the name of a cross to how often each of its points was made.
    """
    return add_points(json.loads(path.read_text()) for path in paths if path.exists())


def add_points(parts: Iterable[dict[str, dict[str, int]]]) -> dict[str, dict[str, int]]:
    """Add up functional coverage of several runs, each as `read_points` gives it."""
    result: dict[str, dict[str, int]] = {}
    for part in parts:
        for cross, points in part.items():
            known = result.setdefault(cross, {})
            for point, count in points.items():
                known[point] = known.get(point, 0) + count
    return result


def _entries(path: Path) -> Iterator[tuple[str, str, int, str, int]]:
    """Return kind, module, line, identity and count of each point in a file."""
    with path.open(errors="replace") as file:
        for text in file:
            if match := _ENTRY.match(text):
                fields = _fields(match[1])
                page, _, module = fields.get("page", "").partition("/")
                yield KINDS.get(page, page), module or "?", int(fields.get("l", 0)), match[1], int(match[2])


def _added_lines(design: Path) -> set[int]:
    """Return the numbers of the lines that yosys' writer added."""
    return {number for number, text in enumerate(design.read_text().splitlines(), 1) if _WRITERS in text}


def _fields(point: str) -> dict[str, str]:
    return dict(part.partition("\x02")[::2] for part in point.split("\x01") if part)
