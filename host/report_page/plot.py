"""Plots of the page, each drawn twice: for wide pages and for phones."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rtlm.gen.common.plot_style import GRID
from rtlm.host.report_page.inline_svg import inline_svg

WIDE_INCHES, NARROW_INCHES = 8.2, 3.3
"""Widths of a plot: 787 and 317 CSS pixels, the second one for phones."""


@dataclass(frozen=True, kw_only=True)
class Plot:
    """A plot.

    Parameters
    ----------
    draw
        Draws on a figure; told whether it is the narrow one.
    height, narrow_height
        In inches; the second one is that of the wide plot by default.
    """

    draw: Callable[[Figure, bool], None]
    height: float
    narrow_height: float | None = None

    def svg(self, *, name: str, title: str, description: str) -> tuple[Markup, Markup]:
        """Return the plot for wide and for narrow pages; see `inline_svg`."""

        def drawn(width: str, size_inches: tuple[float, float], *, narrow: bool) -> Markup:
            return inline_svg(
                lambda figure: self.draw(figure, narrow),
                size_inches,
                name=f"{name}-{width}",
                title=title,
                description=description,
                css_class=f"plot {width}",
            )

        return (
            drawn("wide", (WIDE_INCHES, self.height), narrow=False),
            drawn("narrow", (NARROW_INCHES, self.narrow_height or self.height), narrow=True),
        )


def gridded(figure: Figure, grid: Literal["both", "x", "y"]) -> Axes:
    """Return axes that fill a figure, with grid lines behind what is drawn on them."""
    figure.set_layout_engine("constrained")
    axes = figure.subplots()
    axes.grid(visible=True, axis=grid, color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    return axes
