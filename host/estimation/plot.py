"""The plot of docs/estimates.md: the error of each estimate."""

from collections.abc import Sequence
from pathlib import Path

from rtlm.host.estimation.errors import PointError, error_band

SEEN, HELD_OUT = "#0072b2", "#d55e00"
"""Two colours of Okabe and Ito, told apart whatever colours one sees."""


def draw_errors(points: Sequence[PointError], path: Path) -> None:
    """Draw the errors of estimates over the cycles that RTL took.

    Parameters
    ----------
    points
        What was measured and estimated.
    path
        ``.svg`` or ``.png``.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context({"svg.hashsalt": "rtlm", "font.size": 10}):
        figure = Figure(figsize=(8, 4), layout="constrained")
        axes = figure.subplots()
        for held_out, colour, label in ((False, SEEN, "looked at while it was made"), (True, HELD_OUT, "held out")):
            chosen = [each for each in points if each.held_out == held_out]
            if chosen:
                axes.scatter(
                    [each.measured for each in chosen],
                    [100 * each.error for each in chosen],
                    s=42,
                    marker="D" if held_out else "o",
                    facecolors="none" if held_out else colour,
                    edgecolors=colour,
                    label=label,
                )
        band = error_band(list(points))
        axes.axhline(0, color="black", linewidth=0.8)
        axes.set(
            xscale="log",
            xlabel="cycles of the step in RTL",
            ylabel="error of the estimate, %",
            title=f"{band.points} steps: mean {band.mean:.2%}, worst {band.worst:.2%}",
        )
        limit = max(1.0, 115 * band.worst)
        axes.set_ylim(-limit, limit)
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
