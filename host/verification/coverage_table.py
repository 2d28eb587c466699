"""Coverage of benches, unit by unit: for the terminal and for JSON."""

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rtlm.sim.verilator.coverage import Covered, add, add_points, missed_lines, read_coverage, read_points, total

KINDS = ("line", "branch", "toggle")
MOST_MISSED = 6
"""Points that were missed and are printed for a cross; JSON has all of them."""


def of_bench(coverage: Path | None, points: Path, design: Path) -> dict[str, Any]:
    """Read what a run has covered, and leave ``missed.txt`` with the lines that it has not.

    Parameters
    ----------
    coverage
        Verilator's data; None or missing if it was not counted.
    points
        The run's functional coverage.
    design
        The Verilog.

    Returns
    -------
    dict
        ``rtl``: from a kind to hit and total, if it was counted. ``points``: from a cross to its points and counts.
    """
    record: dict[str, Any] = {"points": read_points([points])}
    if coverage is not None and coverage.exists():
        counted = read_coverage([coverage], design)
        sums = {kind: total(counted, kind) for kind in KINDS}
        record["rtl"] = {kind: {"hit": each.hit, "total": each.total} for kind, each in sums.items()}
        coverage.with_name("missed.txt").write_text("\n".join([*missed_lines(coverage, design), ""]))
    return record


def by_unit(records: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Add up the benches of each unit.

    RTL is summed over the sets of parameters, each of which is a design of its own. A point counts as made if any set
    made it.

    Parameters
    ----------
    records
        Of each bench: its name ``bench``, and ``coverage`` from `of_bench`.
    """
    units: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        units.setdefault(record["bench"].partition("/")[0], []).append(record["coverage"])
    return {
        unit: {
            "rtl": _add_rtl([each["rtl"] for each in found if "rtl" in each]),
            "points": {
                cross: {
                    "hit": sum(count > 0 for count in counts.values()),
                    "total": len(counts),
                    "missed": [point for point, count in counts.items() if not count],
                }
                for cross, counts in add_points(each["points"] for each in found).items()
            },
        }
        for unit, found in units.items()
    }


def _add_rtl(parts: list[dict[str, dict[str, int]]]) -> dict[str, dict[str, int]]:
    """Add up each kind over designs; nothing if it was counted in none."""
    return {kind: asdict(add(*(Covered(**part[kind]) for part in parts))) for kind in KINDS if parts}


def lines(units: dict[str, Any]) -> list[str]:
    """Write coverage by unit down as text.

    Parameters
    ----------
    units
        From `by_unit`.
    """
    text = []
    for unit, each in units.items():
        rtl = ", ".join(f"{kind} {_share(each['rtl'][kind])}" for kind in KINDS if kind in each["rtl"])
        text.append(f"{unit}: {rtl or 'RTL not counted'}")
        for cross, points in each["points"].items():
            text.append(f"  {points['hit']:5} of {points['total']:5}  {cross}")
            shown, more = points["missed"][:MOST_MISSED], len(points["missed"]) - MOST_MISSED
            text += [f"                  never: {point}" for point in shown]
            text += [f"                  and {more} more"] if more > 0 else []
    rtl_units = [each["rtl"] for each in units.values() if each["rtl"]]
    if len(rtl_units) > 1:
        sums = {kind: add(*(Covered(**rtl[kind]) for rtl in rtl_units)) for kind in KINDS}
        text.append("all: " + ", ".join(f"{kind} {each.percent:.1f} %" for kind, each in sums.items()))
    return text


def _share(counts: dict[str, int]) -> str:
    covered = Covered(**counts)
    return f"{covered.percent:.1f} % ({covered.hit} of {covered.total})"
