"""Coverage of benches, unit by unit: for the terminal and for JSON."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rtlm.sim.benches.points import POINTS_FILE
from rtlm.sim.coverage import Covered, add, missed_lines, read_coverage, read_points, total

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


def by_unit(records: Iterable[dict[str, Any]], folder: Path) -> dict[str, Any]:
    """Add up the benches of each unit.

    RTL is summed over the sets of parameters, each of which is a design of its own. A point counts as made if any set
    made it.

    Parameters
    ----------
    records
        Of each bench: its name ``bench``, and ``coverage`` from `of_bench`.
    folder
        Where each bench has its results.
    """
    units: dict[str, Any] = {}
    for record in records:
        unit = units.setdefault(record["bench"].partition("/")[0], {"rtl": {}, "benches": []})
        unit["benches"].append(record["bench"])
        for kind, each in record["coverage"].get("rtl", {}).items():
            known = unit["rtl"].get(kind, {"hit": 0, "total": 0})
            unit["rtl"][kind] = {key: known[key] + each[key] for key in known}
    for unit in units.values():
        points = read_points(folder / bench / POINTS_FILE for bench in unit.pop("benches"))
        unit["points"] = {
            cross: {
                "hit": sum(count > 0 for count in counts.values()),
                "total": len(counts),
                "missed": [point for point, count in counts.items() if not count],
            }
            for cross, counts in points.items()
        }
    return units


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
