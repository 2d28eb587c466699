"""Reads the coverage data that Verilator's simulations write."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

KINDS = {"v_line": "line", "v_branch": "branch", "v_toggle": "toggle", "v_expr": "expression"}
_ENTRY = re.compile(r"^C '(.*)' (\d+)$")


@dataclass(frozen=True, kw_only=True)
class Covered:
    """Points of one kind in one module.

    Attributes
    ----------
    hit, total : int
        Points that were reached at least once, and all of them. A toggle point is one bit, both directions.
    """

    hit: int
    total: int

    @property
    def percent(self) -> float:
        """Share that was reached."""
        return 100 * self.hit / self.total if self.total else 100.0


def read_coverage(paths: Iterable[Path]) -> dict[tuple[str, str], Covered]:
    """Add up coverage files of one design.

    Parameters
    ----------
    paths : iterable of Path
        Files that simulations wrote.

    Returns
    -------
    dict
        From (module, kind) to what was covered; kinds are "line", "branch" and "toggle".
    """
    counts: dict[tuple[str, str, str], int] = {}
    for path in paths:
        for text in path.read_text(errors="replace").splitlines():
            if not (match := _ENTRY.match(text)):
                continue
            fields = dict(part.partition("\x02")[::2] for part in match[1].split("\x01") if part)
            page, _, module = fields.get("page", "").partition("/")
            point = (KINDS.get(page, page), module or "?", match[1])
            counts[point] = counts.get(point, 0) + int(match[2])
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
