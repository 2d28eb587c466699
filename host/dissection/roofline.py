"""The roofline: what each operator reaches, under what memory and arrays allow (S. Williams et al., 2009)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from rtlm.gen.common.plot_style import BLUE, GREEN, GREY, GRID, ORANGE, PURPLE, VERMILION, plot_file
from rtlm.host.dissection.micro import ATTENTION_ARRAY, Dissection, Machine, OperatorRow, Stage
from rtlm.host.plots.labels import Layout

PANEL_INCHES = (6.4, 5.6)

STYLES = {
    "qkv": ("o", BLUE),
    "qk^t": ("s", ORANGE),
    "pv": ("D", VERMILION),
    "wo": ("v", GREEN),
    "mlp": ("^", PURPLE),
    "lm_head": ("P", "black"),
}
"""Shape and colour of each operator that multiplies; none is told by its colour alone."""

STREAM: Any = {"linestyle": "-", "color": "black", "linewidth": 1.8}
PEAK: Any = {"linestyle": (0, (1, 1.5)), "color": GREY, "linewidth": 1.3}
ARRAY: Any = {"linestyle": "--", "color": GREY, "linewidth": 1.1}

SMALLEST, LARGEST = 5.0, 19.0
"""Points (of 1/72 inch) across the marker of an operator without cycles, and of one with all of them."""

CLUSTER_PIXELS = 24.0
"""Distance below which operators share a label."""

GIGA = 1e9


def draw(dissection: Dissection, path: Path) -> None:
    """Draw a panel for each stage.

    Parameters
    ----------
    dissection
        What is shown.
    path
        File to write, as SVG or PNG by its ending.
    """
    width, height = PANEL_INCHES
    with plot_file(path, (width * len(dissection.stages), height)) as figure:
        figure.suptitle(
            f"{dissection.model} on {dissection.config.name}, batch {dissection.batch}, context {dissection.context}: "
            f"cycles {dissection.kind}",
            fontsize=11.5,
        )
        draw_on(figure, dissection)


def draw_on(figure: Figure, dissection: Dissection, *, stacked: bool = False, brief: bool = False) -> None:
    """Draw a panel for each stage on a figure.

    Parameters
    ----------
    figure
        On which.
    dissection
        What is shown.
    stacked
        Whether the panels are one below the other, and the legend below them a column.
    brief
        Whether panels are called by their stage alone, and the legend has no title.
    """
    stages, machine = dissection.stages, dissection.machine
    figure.set_layout_engine("constrained")
    grid = (len(stages), 1) if stacked else (1, len(stages))
    panels = list(figure.subplots(*grid, sharex=True, sharey=True, squeeze=False).flat)
    x_limits, y_limits = _limits([row for stage in stages for row in points(stage)], machine)
    for axes, stage in zip(panels, stages, strict=True):
        axes.set(xscale="log", yscale="log", xlim=x_limits, ylim=y_limits)
        axes.set_title(stage.name if brief else _title(stage), loc="left", fontsize=10)
        _frame(axes)
        for row in points(stage):
            _mark(axes, row, stage.cycles, machine)
        if stacked or axes is panels[0]:
            axes.set_ylabel("achieved GMAC/s")
    _legend(figure, stages, machine, stacked=stacked, brief=brief)
    figure.draw_without_rendering()  # settles the layout, which labels need
    for axes, stage in zip(panels, stages, strict=True):
        places = [_place(row, machine) for row in points(stage)]
        layout = Layout(axes, [(place, place) for place in places], ground="white" if stacked else None)
        _roofs(axes, layout, machine, named=not stacked)
        for rows in _clusters(axes, points(stage), machine):
            text = "\n".join(f"{row.name} {share_of_roof(row, machine):.1%}" for row in rows)
            layout.label(_place(rows[0], machine), text, important=True)


def points(stage: Stage) -> list[OperatorRow]:
    """Return the operators that move bytes and multiply, which a roofline can show, the longest first."""
    rows = [row for row in stage.operators if row.name in STYLES and row.work.macs and row.work.bytes]
    return sorted(rows, key=lambda row: -row.cycles)


def _place(row: OperatorRow, machine: Machine) -> tuple[float, float]:
    """Return multiply-accumulates for each byte, and in a second, in thousands of millions."""
    return row.work.macs / row.work.bytes, row.work.macs * machine.clock_hz / row.cycles / GIGA


def share_of_roof(row: OperatorRow, machine: Machine) -> float:
    """Return what an operator reaches of what a linear stream and its array allow it."""
    intensity, reached = _place(row, machine)
    array = machine.attention_macs if row.name in ATTENTION_ARRAY else machine.nibble_macs
    return reached * GIGA / min(array, intensity * machine.stream_bytes)


def _clusters(axes: Axes, rows: Sequence[OperatorRow], machine: Machine) -> list[list[OperatorRow]]:
    """Group operators that lie so close together that each cannot have a label of its own."""
    clusters: list[list[OperatorRow]] = []
    for row in rows:
        here = axes.transData.transform(_place(row, machine))
        for cluster in clusters:
            there = axes.transData.transform(_place(cluster[0], machine))
            if np.hypot(*(here - there)) < CLUSTER_PIXELS:
                cluster.append(row)
                break
        else:
            clusters.append([row])
    return clusters


def _limits(rows: Sequence[OperatorRow], machine: Machine) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return limits around all points and the place where the roofs meet."""
    places = [_place(row, machine) for row in rows]
    roof = max(machine.nibble_macs, machine.attention_macs)
    xs = [x for x, _ in places] + [roof / machine.stream_bytes]
    ys = [y for _, y in places] + [roof / GIGA]
    return (min(xs) / 2, max(xs) * 6), (min(ys) / 3, max(ys) * 1.6)


def _title(stage: Stage) -> str:
    """Say what the panel shows, and which part of the time it does not."""
    shown = sum(row.cycles for row in points(stage)) / stage.cycles
    tokens = f"{stage.tokens:,} token{'s' if stage.tokens != 1 else ''}"
    return f"{stage.name}, {tokens}: operators with {shown:.1%} of the cycles"


def _frame(axes: Axes) -> None:
    axes.set_xlabel("arithmetic intensity in MAC/byte")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
        axis.set_minor_locator(NullLocator())
    axes.grid(visible=True, which="major", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)


def _mark(axes: Axes, row: OperatorRow, of: float, machine: Machine) -> None:
    """Draw one operator; its area grows with its part of the cycles."""
    marker, colour = STYLES[row.name]
    size = SMALLEST + (LARGEST - SMALLEST) * (row.cycles / of) ** 0.5
    axes.plot(
        *_place(row, machine),
        marker,
        color=colour,
        markersize=size,
        markeredgecolor="white",
        markeredgewidth=0.8,
        linestyle="none",
        zorder=5,
    )


def _legend(figure: Figure, stages: Sequence[Stage], machine: Machine, *, stacked: bool, brief: bool) -> None:
    """Explain lines and markers."""
    arrays = sorted((machine.nibble_macs, machine.byte_macs, machine.attention_macs))
    peaks = ", ".join(f"{macs / GIGA:,.3g}" for macs in arrays)
    shown = {row.name for stage in stages for row in points(stage)}
    entries = [
        Line2D([], [], label=f"memory, linear stream: {machine.stream_bytes / GIGA:,.1f} GB/s", **STREAM),
        Line2D([], [], label=f"memory, data sheet: {machine.peak_bytes / GIGA:,.1f} GB/s", **PEAK),
        Line2D([], [], label=f"peak of an array: {peaks} GMAC/s" if stacked else "peak of an array", **ARRAY),
        *(
            Line2D([], [], linestyle="none", marker=marker, color=colour, label=name)
            for name, (marker, colour) in STYLES.items()
            if name in shown
        ),
    ]
    title = "percentages are of the solid roof or of the array's, whichever is lower; area grows with the cycles"
    columns = 1 if stacked else 3 if brief or len(stages) == 1 else len(entries)
    figure.legend(
        handles=entries, loc="outside lower center", ncols=columns, frameon=False, title=None if brief else title
    )


def _roofs(axes: Axes, layout: Layout, machine: Machine, *, named: bool) -> None:
    """Draw what memory allows up to the highest peak of an array, and each array's peak, if wanted with its name."""
    left, right = axes.get_xlim()
    top = max(machine.nibble_macs, machine.attention_macs)
    for bytes_per_s, style in ((machine.stream_bytes, STREAM), (machine.peak_bytes, PEAK)):
        end, slope = top / bytes_per_s, bytes_per_s / GIGA
        axes.plot([left, end], [left * slope, end * slope], zorder=2, **style)
        layout.avoid((left, left * slope), (end, end * slope))
    for macs, text in (
        (machine.nibble_macs, "matrix array, 4-bit"),
        (machine.byte_macs, "matrix array, 8-bit"),
        (machine.attention_macs, "attention's array"),
    ):
        start, peak = macs / machine.stream_bytes, macs / GIGA
        axes.plot([start, right], [peak, peak], zorder=2, **ARRAY)
        if named:
            layout.along([(at, peak) for at in np.geomspace(right * 0.97, start, 10)], f"{text}: {peak:,.1f}", GREY)
        layout.avoid((start, peak), (right, peak))
