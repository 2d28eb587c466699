"""Picture of a kernel's schedule: operators by cycles, one beat's way through the pipelines."""

import io
from typing import TYPE_CHECKING

from rtlm.hw.hls.schedule import Schedule

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_ROWS = 120
"""Operators that are drawn, one a row; with many lanes the first ones show what the others do."""
COLOURS = ("#4477aa", "#66ccee", "#228833", "#ccbb44", "#ee6677", "#aa3377", "#999933", "#888888")
"""Of kinds of operators, in turn (Paul Tol's palette, which colour-blind readers can tell apart)."""


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
    import matplotlib

    with matplotlib.rc_context({"svg.hashsalt": name, "svg.fonttype": "none", "font.size": 8}):
        figure = _figure(name, schedule)
        file = io.StringIO()
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines()) + "\n"


def _figure(name: str, schedule: Schedule) -> "Figure":
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    shown = schedule.activities[:MOST_ROWS]
    rows: dict[tuple[int, str, int], int] = {}
    kinds = {a.operator: COLOURS[n % len(COLOURS)] for n, a in enumerate({a.operator: a for a in shown}.values())}
    begins = [sum(schedule.phase_latencies[:phase]) for phase in range(len(schedule.phase_latencies))]
    figure = Figure(figsize=(9, 1.4 + 0.2 * len(shown)), layout="constrained")
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
        axes.axvline(begin, color="#888888", linewidth=0.8, linestyle=":")
    axes.set_yticks(range(len(labels)), labels)
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
    axes.spines[["top", "right"]].set_visible(False)
    return figure
