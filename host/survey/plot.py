"""The survey's scatter: watts against tokens a second, with lines of equal tokens a joule."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from matplotlib.transforms import Bbox
from rtlm.gen.common.plot_style import BLUE, GREEN, GREY, GRID, PURPLE, SKY, VERMILION, YELLOW, plot_file
from rtlm.host.plots.labels import Boxes, Layout
from rtlm.host.survey.point import Point
from rtlm.host.survey.row import Kind, Platform

SIZE_INCHES = (10.0, 7.0)
MARGINS = {"left": 0.095, "right": 0.985, "bottom": 0.075, "top": 0.985}
"""Edges of the plot as shares of the figure."""

STYLES = {
    Platform.CPU: ("o", BLUE),
    Platform.GPU: ("s", GREEN),
    Platform.FPGA: ("^", VERMILION),
    Platform.ASIC: ("D", PURPLE),
    Platform.PIM: ("v", SKY),
}
"""Shape and colour of each platform; none is told by its colour alone."""

OUR_COLOUR = "black"
OUR_FACE = YELLOW
OUR_MARKER = "*"
LABEL_LENGTH = 36
Corner = Literal["upper left", "lower right", "upper right", "lower left"]
FEW_TICKS = 4
"""Numbers on the axis of power where there is little room."""
CORNERS: tuple[Corner, ...] = get_args(Corner)
"""Places of the legend, tried in this order."""

LEGEND_ROOM = (1, 4, 16, 64, 256)
"""Factors by which the plot grows upwards until the legend covers no point."""

LEGEND_PADDING = 8.0
"""Pixels that points keep from the legend."""
ISO_PLACES = 48
"""Places on a line of equal tokens/J where its value may stand."""

RUN = (Kind.MEASURED, Kind.VENDOR)
"""Kinds of figures that hardware gave; points of the others are hollow."""


def draw(points: Sequence[Point], path: Path) -> None:
    """Draw the points that have a power.

    Parameters
    ----------
    points
        What is compared.
    path
        File to write, as SVG or PNG by its ending.
    """
    with plot_file(path, SIZE_INCHES) as figure:
        draw_on(figure, points)


def draw_on(figure: Figure, points: Sequence[Point], *, narrow: bool = False) -> None:
    """Draw the points that have a power on a figure.

    Parameters
    ----------
    figure
        On which.
    points
        What is compared.
    narrow
        Whether there is little room: the legend is then below the plot, and only ours are labelled.
    """
    if narrow:
        figure.set_layout_engine("constrained")
    axes = figure.subplots(gridspec_kw=None if narrow else MARGINS)
    known = [point for point in points if point.power_w is not None]
    _frame(axes, known)
    if narrow:
        axes.set(xlabel="power in W", ylabel="tokens/s")
        axes.xaxis.set_major_locator(LogLocator(numticks=FEW_TICKS))
        axes.xaxis.set_minor_locator(NullLocator())
    _mark_published(axes, [point for point in known if not point.ours])
    for point in known:
        if point.ours:
            _mark_ours(axes, point)
    if narrow:
        figure.legend(handles=_entries(known), loc="outside lower left", frameon=False)
        figure.draw_without_rendering()  # settles the layout, which labels need
    else:
        _legend(axes, known)
    layout = Layout(axes, [_span(point) for point in known])
    for point in _notable(known):
        if point.ours or not narrow:
            text = "rtlm" if narrow else _label(point)
            layout.label(_place(point), text, important=point.ours)
    _iso_lines(axes, layout)


def _frame(axes: Axes, points: Sequence[Point]) -> None:
    """Set scales and limits: whole powers of two around the points, with room for labels."""
    for set_scale, set_limits, values in (
        (axes.set_xscale, axes.set_xlim, [edge for point in points for edge in _band(point)]),
        (axes.set_yscale, axes.set_ylim, [point.tokens_per_s for point in points]),
    ):
        set_scale("log")
        low, high = (min(values), max(values)) if values else (1.0, 100.0)
        set_limits(low / 1.8, high * 2.2)
    axes.set_xlabel("power in W (what the watts are of differs: see the table)")
    axes.set_ylabel("decoding speed in tokens/s")
    plain = FuncFormatter(lambda value, _: f"{value:,g}")
    axes.xaxis.set_major_formatter(plain)
    axes.yaxis.set_major_formatter(plain)
    axes.grid(visible=True, which="major", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)


def _place(point: Point) -> tuple[float, float]:
    return point.power_w or 0.0, point.tokens_per_s


def _span(point: Point) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the corners of a point with its error bars."""
    (left, right), error = _band(point), point.tokens_per_s * (point.error or 0.0)
    return (left, point.tokens_per_s - error), (right, point.tokens_per_s + error)


def _band(point: Point) -> tuple[float, float]:
    """Return the ends of a point's power."""
    power = point.power_w or 0.0
    return point.power_low_w or power, point.power_high_w or power


def _iso_lines(axes: Axes, layout: Layout) -> None:
    """Draw a line for each power of ten of tokens/J that crosses the plot, with its value where there is room."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    for exponent in np.arange(np.floor(np.log10(bottom / right)), np.ceil(np.log10(top / left)) + 1):
        per_joule = 10.0**exponent
        start, end = max(left, bottom / per_joule), min(right, top / per_joule)
        if end <= start:
            continue
        axes.plot([start, end], [start * per_joule, end * per_joule], color="#c9c9c9", linewidth=0.9, zorder=1)
        places = np.geomspace(end * 0.97, start, ISO_PLACES)[:-1]
        layout.along(
            [(at, at * per_joule) for at in places], f"{per_joule:{',.0f' if per_joule >= 1 else 'g'}} tokens/J", GREY
        )


def _mark_published(axes: Axes, points: Sequence[Point]) -> None:
    """Draw published points: a shape for each platform, hollow where no hardware ran, with a black edge for a batch."""
    looks = defaultdict(list)
    for point in points:
        looks[point.platform, point.kind in RUN, point.batch > 1].append(_place(point))
    for (platform, ran, batch), places in looks.items():
        marker, colour = STYLES[platform]
        axes.plot(
            *zip(*places, strict=True),
            marker,
            color=colour,
            markerfacecolor=colour if ran else "white",
            markeredgecolor="black" if batch else colour,
            markeredgewidth=1.3,
            markersize=6.5,
            alpha=0.85,
            zorder=4 if batch else 3,
            linestyle="none",
        )


def _mark_ours(axes: Axes, point: Point) -> None:
    """Draw one of our points with the band of its power and the error of its speed."""
    x, y = _place(point)
    low, high = _band(point)
    axes.errorbar(
        x,
        y,
        xerr=[[x - low], [high - x]],
        yerr=y * point.error if point.error else None,
        fmt=OUR_MARKER,
        markersize=17,
        color=OUR_COLOUR,
        markerfacecolor=OUR_FACE,
        markeredgewidth=1.2,
        elinewidth=1.4,
        capsize=3,
        zorder=6,
    )


def _entries(points: Sequence[Point]) -> list[Line2D]:
    """Return what explains the shapes, filling and edges that occur."""

    def entry(label: str, marker: str, face: str, edge: str, size: float = 7.0) -> Line2D:
        return Line2D([], [], linestyle="none", marker=marker, color=edge, markerfacecolor=face, label=label, ms=size)

    foreign = [point for point in points if not point.ours]
    entries = [
        entry(f"{platform.value} ({count})", marker, colour, colour)
        for platform, (marker, colour) in STYLES.items()
        if (count := sum(point.platform == platform for point in foreign))
    ]
    if any(point.kind not in RUN for point in foreign):
        entries.append(entry("hollow: simulated, derived or unstated", "o", "white", GREY))
    if any(point.batch > 1 for point in foreign):
        entries.append(entry("black edge: batch above 1", "o", GREY, "black"))
    if any(point.ours for point in points):
        entries.append(entry("rtlm, with the band of its power", OUR_MARKER, OUR_FACE, OUR_COLOUR, 13))
    return entries


def _legend(axes: Axes, points: Sequence[Point]) -> None:
    """Explain what occurs, in a corner of the plot."""
    entries = _entries(points)
    bottom, top = axes.get_ylim()
    for room, corner in product(LEGEND_ROOM, CORNERS):
        axes.set_ylim(bottom, top * room)
        spans = Boxes([Bbox([axes.transData.transform(edge) for edge in _span(point)]) for point in points])
        legend = axes.legend(handles=entries, framealpha=1.0, edgecolor="#d0d0d0", loc=corner)
        if not spans.overlap([legend.get_window_extent().padded(LEGEND_PADDING)]):
            return


def _notable(points: Sequence[Point]) -> list[Point]:
    """Return what gets a label if there is room, the most important first.

    Ours, the FPGAs that ran, of each platform the most efficient, the fastest and the most frugal, and products.
    """
    foreign = [point for point in points if not point.ours]
    named = [point for point in points if point.ours]
    named += (point for point in foreign if point.platform == Platform.FPGA and point.kind in RUN)
    for platform in Platform:
        own = [point for point in foreign if point.platform == platform]
        if own:
            named += (
                max(own, key=lambda point: point.tokens_per_j or 0.0),
                max(own, key=lambda point: point.tokens_per_s),
                min(own, key=lambda point: point.power_w or 0.0),
            )
    named += (point for point in foreign if point.kind == Kind.VENDOR)
    return list(dict.fromkeys(named))


def _label(point: Point) -> str:
    """Return a short name: up to the first comma, and what ours is."""
    name, chip = point.work.partition(",")[0], point.chip.partition(",")[0]
    if point.ours:
        batch = f", batch {point.batch}" if point.batch > 1 else ""
        return f"{name}, {_shortened(point.model.removesuffix('.gguf'))}{batch}\n{point.kind}"
    return _shortened(name if chip == "unstated" else f"{name} ({chip})")


def _shortened(name: str) -> str:
    """Return a name that is no longer than a label may be."""
    return name if len(name) <= LABEL_LENGTH else f"{name[: LABEL_LENGTH - 1]}\N{HORIZONTAL ELLIPSIS}"
