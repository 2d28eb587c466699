"""A sweep as a picture: every point by two objectives, the front, and what was measured of it in RTL."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rtlm.gen.common.plot_style import GRID, SKY, VERMILION, plot_file
from rtlm.host.exploration.checks import checked
from rtlm.host.exploration.evaluation import REFUSED
from rtlm.host.exploration.metrics import METRICS
from rtlm.host.exploration.store import SIMULATION
from rtlm.host.exploration.sweep import Outcome, Sweep

SIZE_INCHES = (8.0, 5.0)
OTHERS, FEASIBLE, FRONT, RTL = "#bbbbbb", SKY, VERMILION, "black"
WIDE = 30.0
"""Largest quotient of two values of a linear axis; beyond, it is logarithmic."""


def draw(sweep: Sweep, outcome: Outcome, path: Path) -> None:
    """Draw the first objective over the second.

    Parameters
    ----------
    sweep, outcome
        What was sought, with two objectives at least, and found.
    path
        SVG or PNG; the same points give the same bytes of an SVG.
    """
    up, across = list(sweep.space.objectives)[:2]
    known = [
        (values[1], values[0], feasible)
        for values, feasible in zip(outcome.objectives, outcome.seen.values(), strict=True)
        if values is not None
    ]
    with plot_file(path, SIZE_INCHES) as figure:
        figure.set_layout_engine("constrained")
        axes = figure.add_subplot()
        for feasible, colour, what in ((False, OTHERS, "violates constraints"), (True, FEASIBLE, "meets constraints")):
            some = [(x, y) for x, y, each in known if each is feasible]
            if some:
                label = f"{what} ({len(some):,})"
                axes.scatter(_column(some, 0), _column(some, 1), s=9, color=colour, linewidths=0, label=label)
        if outcome.front:
            _draw_front(sweep, outcome, figure, axes)
        simulated = _simulated(sweep, outcome, across)
        if simulated:
            cross: dict[str, Any] = {"color": RTL, "marker": "x", "linewidths": 1.5, "zorder": 5}
            label = f"checked in RTL ({len(simulated)})"
            axes.scatter(_column(simulated, 0), _column(simulated, 1), s=70, label=label, **cross)
        for axis, name in (("x", across), ("y", up)):
            best = sweep.space.objectives[name]
            getattr(axes, f"set_{axis}label")(f"{METRICS[name].title}, {'more' if best == 'max' else 'less'} is better")
            values = [each[0 if axis == "x" else 1] for each in known]
            if values and min(values) > 0 and max(values) > WIDE * min(values):
                getattr(axes, f"set_{axis}scale")("log")
        models = ", ".join(sweep.space.models[:3]) + (" …" if len(sweep.space.models) > 3 else "")
        axes.set_title(f"{models} on {', '.join(sweep.space.configs[:3])}: {len(outcome.seen):,} points", loc="left")
        axes.grid(color=GRID)
        axes.set_axisbelow(True)
        if known:
            axes.legend(frameon=True, framealpha=0.9, edgecolor="#dddddd")


def _draw_front(sweep: Sweep, outcome: Outcome, figure: Any, axes: Any) -> None:
    """Draw the front: as a line of two objectives, in the colours of the third where there is one."""
    up, across, *others = sweep.space.objectives
    label = f"Pareto front ({len(outcome.front):,})"
    metrics = [each.result["metrics"] for each in outcome.front]
    if not others:
        ordered = sorted((each[across], each[up]) for each in metrics)
        works = {each.point.work(sweep.space.per) for each in outcome.front}
        # Fronts of several works are no one line.
        line = "-" if len(works) == 1 else ""
        axes.plot(
            _column(ordered, 0), _column(ordered, 1), linestyle=line, linewidth=1, label=label, color=FRONT, marker="o",
            markersize=4,
        )  # fmt: skip
        return
    third = [each[others[0]] for each in metrics]
    style = {"s": 26, "edgecolors": FRONT, "linewidths": 0.8, "cmap": "viridis", "label": label, "zorder": 4}
    drawn = axes.scatter([each[across] for each in metrics], [each[up] for each in metrics], c=third, **style)
    if min(third) < max(third):
        best = "more" if sweep.space.objectives[others[0]] == "max" else "less"
        figure.colorbar(drawn, label=f"{METRICS[others[0]].title} of the front, {best} is better")


def _column(points: Sequence[tuple[float, ...]], number: int) -> list[float]:
    return [point[number] for point in points]


def _simulated(sweep: Sweep, outcome: Outcome, across: str) -> list[tuple[float, float]]:
    """Return the points of the front with the speed that follows from their RTL cycles, where speed is drawn."""
    up = next(iter(sweep.space.objectives))
    found = []
    for key, result in checked(sweep.store, outcome.front)[SIMULATION].items():
        if REFUSED in result:
            continue
        metrics = dict(next(each for each in outcome.front if each.key == key).result["metrics"])
        # The estimate's error, as it was measured on what was simulated, taken off the speed of the whole.
        metrics["tokens_per_s"] *= 1 + result["error"]
        found.append((metrics[across], metrics[up]))
    return found
