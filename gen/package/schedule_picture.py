"""Picture of a kernel's schedule: operators by cycles, one beat's way through the pipelines."""

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rtlm.hw.hls.schedule import Activity, Schedule

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_ROWS = 120
"""Operators that are drawn, one a row; with many lanes the first ones show what the others do."""


def schedule_svg(name: str, schedule: Schedule) -> str:
    """Draw a schedule.

    Parameters
    ----------
    name
        The kernel's.
    schedule
        Its schedule.

    Returns
    -------
    str
        An SVG file; the same schedule gives the same text.
    """
    from rtlm.gen.common.plot_style import plot_file

    shown = schedule.activities[:MOST_ROWS]
    file = io.StringIO()
    with plot_file(file, (9, 1.4 + 0.2 * len(shown))) as figure:
        figure.set_layout_engine("constrained")
        _draw(figure, name, schedule, shown)
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines()) + "\n"


def _draw(figure: "Figure", name: str, schedule: Schedule, shown: Sequence[Activity]) -> None:
    from matplotlib.ticker import MaxNLocator
    from rtlm.gen.common.plot_style import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION, YELLOW

    colours = (BLUE, SKY, GREEN, YELLOW, VERMILION, PURPLE, ORANGE, GREY)
    rows: dict[tuple[int, str, int], int] = {}
    kinds = {operator: colours[n % len(colours)] for n, operator in enumerate(dict.fromkeys(a.operator for a in shown))}
    begins = [sum(schedule.phase_latencies[:phase]) for phase in range(len(schedule.phase_latencies))]
    axes = figure.subplots()
    labels = []
    for number, activity in enumerate(shown):
        key = (activity.phase, activity.operator, activity.unit if activity.unit >= 0 else -1 - number)
        if key not in rows:
            rows[key] = len(rows)
            labels.append(activity.operator + (f" (unit {activity.unit})" if activity.unit >= 0 else ""))
        start = begins[activity.phase] + activity.first
        axes.broken_barh(
            [(start, activity.last - activity.first + 1)],
            (rows[key] - 0.4, 0.8),
            facecolors=kinds[activity.operator],
            edgecolor="white",
            linewidth=0.5,
        )
    for begin in begins[1:]:
        axes.axvline(begin, color=GREY, linewidth=0.8, linestyle=":")
    axes.set_yticks(range(len(labels)), labels)
    axes.tick_params(labelsize=8)
    axes.set_ylim(max(1, len(labels)) - 0.5, -0.5)
    axes.set_xlim(0, max(1, sum(schedule.phase_latencies)))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("cycles since the beat (behind a dotted line: since the end of its packet)")
    left = len(schedule.activities) - len(shown)
    axes.set_title(
        f"{name}: a beat every {schedule.initiation_interval} cycle{'s' * (schedule.initiation_interval > 1)}, "
        f"latency {schedule.latency}" + (f"; {left} more operators" if left else ""),
        loc="left",
    )
