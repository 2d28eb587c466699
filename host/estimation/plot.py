"""The plot of docs/estimates.md: the error of each estimate."""

from collections.abc import Sequence
from pathlib import Path

from rtlm.host.estimation.errors import PointError, error_band


def draw_errors(points: Sequence[PointError], path: Path) -> None:
    """Draw the errors of estimates over the cycles that RTL took.

    Parameters
    ----------
    points
        What was measured and estimated.
    path
        ``.svg`` or ``.png``.
    """
    from rtlm.gen.common.plot_style import BLUE, VERMILION, plot_file

    band = error_band(points)
    limit = max(1.0, 115 * band.worst)
    with plot_file(path, (8, 4)) as figure:
        figure.set_layout_engine("constrained")
        axes = figure.subplots()
        for held_out, colour, label in ((False, BLUE, "looked at while it was made"), (True, VERMILION, "held out")):
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
        axes.axhline(0, color="black", linewidth=0.8)
        axes.set(
            xscale="log",
            xlabel="cycles of the step in RTL",
            ylabel="error of the estimate, %",
            ylim=(-limit, limit),
            title=f"{band.points} steps: mean {band.mean:.2%}, worst {band.worst:.2%}",
        )
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
