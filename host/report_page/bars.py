"""Bars, the plots of parts of a whole."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from rtlm.host.report_page.plot import Plot, gridded

BAR_INCHES = 0.27
FRAME_INCHES = 0.55
LEGEND_INCHES = 0.3
NARROW_LABEL = 18
"""Characters in a line of a label where there is little room."""


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A bar.

    Parameters
    ----------
    label
        Left of it.
    value
        Its length.
    text
        Right of it.
    colour
        Of the bar.
    group
        What the colour means; empty where it means nothing.
    low, high
        Range of the value.
    """

    label: str
    value: float
    text: str
    colour: str
    group: str = ""
    low: float | None = None
    high: float | None = None


def bar_plot(bars: Sequence[Bar], axis: str, *, room: float = 1.14, narrow_room: float = 1.32) -> Plot:
    """Return horizontal bars from the top to the bottom.

    Parameters
    ----------
    bars
        What is drawn.
    axis
        What the lengths are.
    room, narrow_room
        Length of the axis as a multiple of the longest bar: what its text needs behind it.
    """
    groups = len({bar.group for bar in bars if bar.group})
    legend = LEGEND_INCHES * (1 + (groups > 2)) if groups else 0.0
    return Plot(
        draw=lambda figure, narrow: _draw(figure, bars, axis, narrow_room if narrow else room, narrow=narrow),
        height=FRAME_INCHES + legend + BAR_INCHES * len(bars),
    )


def _draw(figure: Figure, bars: Sequence[Bar], axis: str, room: float, *, narrow: bool) -> None:
    axes = gridded(figure, "x")
    places = range(len(bars))
    axes.barh(places, [bar.value for bar in bars], color=[bar.colour for bar in bars], height=0.68)
    longest = max((bar.high or bar.value for bar in bars), default=0.0) or 1.0
    for place, bar in zip(places, bars, strict=True):
        end = bar.value
        if bar.low is not None and bar.high is not None:
            reach = [[max(0.0, bar.value - bar.low)], [max(0.0, bar.high - bar.value)]]
            axes.errorbar(bar.value, place, xerr=reach, fmt="none", color="black", elinewidth=1.1, capsize=2.5)
            end = max(end, bar.high)
        axes.text(end + (0.03 if narrow else 0.012) * longest, place, bar.text, va="center", ha="left")
    labels = [textwrap.fill(bar.label, NARROW_LABEL) if narrow else bar.label for bar in bars]
    axes.set_yticks(places, labels, linespacing=0.95)
    axes.set_ylim(len(bars) - 0.4, -0.6)
    axes.set_xlim(0, room * longest)
    axes.set_xlabel(axis)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,g}")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    groups = {bar.group: bar.colour for bar in bars if bar.group}
    if groups:
        handles = [Patch(color=colour, label=group) for group, colour in groups.items()]
        figure.legend(
            handles=handles,
            loc="outside upper left",
            ncols=2 if narrow else len(handles),
            frameon=False,
            handlelength=1.2,
        )
