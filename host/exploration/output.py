"""What a sweep has found: table, JSON and CSV."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TextIO

from rich.table import Table
from rtlm.host.exploration.checks import checked
from rtlm.host.exploration.evaluation import REFUSED
from rtlm.host.exploration.grid import Point, shown_value
from rtlm.host.exploration.metrics import METRICS, RESOURCES
from rtlm.host.exploration.space import AXES, CONFIG, MODEL, WEIGHTS
from rtlm.host.exploration.store import ESTIMATE, SIMULATION, SYNTHESIS
from rtlm.host.exploration.sweep import Evaluated, Outcome, Sweep

SCHEMA = "rtlm-sweep"
SCHEMA_VERSION = 1
ROWS_AT_ONCE = 1000
"""Points whose results a CSV holds in memory."""


def front_table(sweep: Sweep, outcome: Outcome, most: int) -> Table:
    """Return the front as a table: what varies, the objectives, and what is constrained; checks beside the estimates.

    Parameters
    ----------
    sweep, outcome
        What was sought, and found.
    most
        Rows at most.
    """
    varying = [name for name, values in sweep.grid.axes.items() if len(values) > 1]
    metrics = list(dict.fromkeys([*sweep.space.objectives, *sweep.space.constraints]))
    checks = checked(sweep.store, outcome.front)
    table = Table(box=None, pad_edge=False)
    for name in varying:
        table.add_column(
            name.replace(".", "\n"), justify="left" if name in (CONFIG, MODEL, WEIGHTS) else "right", no_wrap=True
        )
    for name in metrics:
        best = sweep.space.objectives.get(name)
        table.add_column(METRICS[name].title + (f"\n{best}" if best else ""), justify="right")
    if checks[SIMULATION]:
        table.add_column("RTL\ncycles", justify="right")
        table.add_column("error", justify="right")
    if checks[SYNTHESIS]:
        table.add_column("LUT by\nyosys", justify="right")
        table.add_column("error", justify="right")
    for each in outcome.front[:most]:
        values = axis_values(each.point)
        row = [shown_value(values[name]) for name in varying]
        row += [METRICS[name].text(each.result["metrics"][name]) for name in metrics]
        if checks[SIMULATION]:
            row += _simulation_cells(checks[SIMULATION].get(each.key))
        if checks[SYNTHESIS]:
            row += _synthesis_cells(checks[SYNTHESIS].get(each.key), each)
        table.add_row(*row)
    return table


def check_lines(sweep: Sweep, outcome: Outcome) -> Iterator[str]:
    """Say in a line each what was checked, and what could not be."""
    for kind, results in checked(sweep.store, outcome.front).items():
        for each in outcome.front:
            result = results.get(each.key)
            if result is None:
                continue
            if REFUSED in result:
                yield f"no {kind} of {each.point}: {result[REFUSED]}"
            elif kind == SIMULATION:
                yield (
                    f"simulated {each.point}: {result['what']}: {result['cycles']:,} cycles in RTL, "
                    f"{result['estimated_cycles']:,.0f} estimated ({result['error']:+.2%})"
                )
            else:
                parts = (
                    f"{METRICS[name].title} {result[name]:,.5g} ({_text(error)})"
                    for name, error in area_errors(each, result).items()
                )
                yield f"synthesised {each.point} for {result['target']}: {', '.join(parts)}"


def to_json(sweep: Sweep, outcome: Outcome) -> dict[str, Any]:
    """Return plain values: the space, what became of its points, and the front with its checks."""
    checks = checked(sweep.store, outcome.front)
    return {
        "schema": SCHEMA,
        "version": SCHEMA_VERSION,
        "evaluator": sweep.version,
        "space": sweep.space.model_dump(mode="json"),
        "points": {
            "proposed": outcome.total,
            "seen": len(outcome.seen),
            "refused": outcome.refused,
            "violated": dict(sorted(outcome.violated.items())),
            "feasible": outcome.feasible,
            "complete": outcome.complete,
        },
        "front": [
            {
                "key": each.key,
                **each.point.to_json(),
                **each.result,
                **{kind: checks[kind][each.key] for kind in checks if each.key in checks[kind]},
            }
            for each in outcome.front
        ],
    }


def write_csv(sweep: Sweep, outcome: Outcome, file: TextIO) -> None:
    """Write all points that were seen, in the order in which they were proposed, with checks where there are any."""
    front = {each.key for each in outcome.front}
    axes = list(sweep.grid.axes)
    errors = ["rtl_cycles", "rtl_error", *(f"yosys_{name}" for name in RESOURCES)]
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["key", *axes, *METRICS, "over", "bound", REFUSED, "feasible", "front", *errors])
    keys = list(outcome.seen)
    for first in range(0, len(keys), ROWS_AT_ONCE):
        some = keys[first : first + ROWS_AT_ONCE]
        results, points = sweep.store.get(ESTIMATE, some), sweep.store.points(some)
        simulated, synthesised = sweep.store.get(SIMULATION, some), sweep.store.get(SYNTHESIS, some)
        for key in some:
            result, values = results[key], axis_values(points[key])
            metrics = result.get("metrics", {})
            rtl, yosys = simulated.get(key, {}), synthesised.get(key, {})
            writer.writerow(
                [
                    key,
                    *(values.get(name, "") for name in axes),
                    *(metrics.get(name) for name in METRICS),
                    " ".join(result.get("over", [])),
                    result.get("bound", ""),
                    result.get(REFUSED, ""),
                    int(outcome.seen[key]),
                    int(key in front),
                    rtl.get("cycles"),
                    rtl.get("error"),
                    *(yosys.get(name) for name in RESOURCES),
                ]
            )


def axis_values(point: Point) -> dict[str, Any]:
    """Return the values of a point by the names of axes."""
    return {**{name: getattr(point, name) for name in AXES}, **dict(point.changes)}


def area_errors(each: Evaluated, synthesised: Mapping[str, Any]) -> dict[str, float | None]:
    """Return for each resource how far the estimate is from synthesis, None where synthesis has none of it."""
    estimated = each.result["metrics"]
    return {
        name: estimated[name] / synthesised[name] - 1 if synthesised[name] and name in estimated else None
        for name in RESOURCES
    }


def _simulation_cells(result: Mapping[str, Any] | None) -> Sequence[str]:
    if result is None or REFUSED in result:
        return "", ""
    return f"{result['cycles']:,}", f"{result['error']:+.2%}"


def _synthesis_cells(result: Mapping[str, Any] | None, each: Evaluated) -> Sequence[str]:
    if result is None or REFUSED in result:
        return "", ""
    return f"{result['lut']:,.0f}", _text(area_errors(each, result)["lut"])


def _text(error: float | None) -> str:
    return "none" if error is None else f"{error:+.1%}"
