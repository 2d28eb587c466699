"""Texts in a plot that overlap neither each other nor the points."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.text import Text
from matplotlib.transforms import Bbox

FONT_SIZE = 8.5
DISTANCES = (8, 14, 22, 32, 44)
"""Points (of 1/72 inch) from a marker to its label, tried from near to far."""

FAR_DISTANCES = (*DISTANCES, 54, 68, 84, 102, 122, 144)
"""The same for a label that must not be left out."""

DIRECTIONS = ((1, 0.4), (-1, 0.4), (1, -0.4), (-1, -0.4), (0.3, 1), (-0.3, 1), (0.3, -1), (-0.3, -1), (1, 1), (-1, -1))
POINT_HALF = 5.5
"""Points on each side of a marker that texts keep clear of."""

PADDING = 1.5
LEADER_PARTS = 24
POINTS_A_INCH = 72.0


class Layout:
    """The places of a plot that are taken.

    Parameters
    ----------
    axes
        The plot, with its final limits and legend.
    spans
        Lower left and upper right corner of each marker with its error bars: two places, equal where it has none.
    """

    def __init__(self, axes: Axes, spans: Sequence[tuple[tuple[float, float], tuple[float, float]]]):
        self._axes = axes
        self._scale = axes.get_figure(root=True).dpi / POINTS_A_INCH  # type: ignore[union-attr]
        pixels = [(*self._pixel(low), *self._pixel(high)) for low, high in spans]
        self._taken = [Bbox.from_extents(*corners).padded(POINT_HALF * self._scale) for corners in pixels]
        self._texts = [legend.get_window_extent()] if (legend := axes.get_legend()) else []
        self._taken += self._texts

    def label(self, point: tuple[float, float], text: str, *, important: bool = False) -> bool:
        """Write a label at the nearest free place, with a line to its point.

        Parameters
        ----------
        point
            Abscissa and ordinate of the marker.
        text
            What to write.
        important
            Whether it is bold, and may be far away where there is no place near by.

        Returns
        -------
        bool
            Whether there was a free place.
        """
        style = {"fontsize": FONT_SIZE, "fontweight": "bold" if important else "normal"}
        width, height = self._size(text, **style)
        x, y = self._pixel(point)
        for distance in FAR_DISTANCES if important else DISTANCES:
            for across, up in DIRECTIONS:
                dx, dy = distance * self._scale * across, distance * self._scale * up
                left = x + dx - (0 if dx > 0 else width)
                bottom = y + dy - (height / 2 if abs(up) < abs(across) else 0 if dy > 0 else height)
                side = (left if dx > 0 else left + width, y + dy)
                if not self.claim(Bbox.from_bounds(left, bottom, width, height), self._leader((x, y), side)):
                    continue
                self._axes.annotate(
                    text,
                    point,
                    xytext=((left - x) / self._scale, (bottom - y) / self._scale),
                    textcoords="offset points",
                    ha="left",
                    va="bottom",
                    arrowprops={
                        **{"arrowstyle": "-", "color": "#5a5a5a", "linewidth": 0.7, "shrinkA": 0, "shrinkB": 3},
                        "relpos": (0.0 if dx > 0 else 1.0, 0.5 if abs(up) < abs(across) else 0.0 if dy > 0 else 1.0),
                    },
                    zorder=7,
                    **style,  # type: ignore[arg-type]
                )
                return True
        return False

    def along(self, points: Sequence[tuple[float, float]], text: str, color: str) -> bool:
        """Write a text on a line at the first of several places that is free.

        Parameters
        ----------
        points
            Places where the text may end, best first; the line goes from the last to the first.
        text, color
            What to write, and its colour.

        Returns
        -------
        bool
            Whether there was a free place.
        """
        (x1, y1), (x0, y0) = self._pixel(points[0]), self._pixel(points[-1])
        angle = float(np.degrees(np.arctan2(y1 - y0, x1 - x0)))
        for point in points:
            written = self._axes.text(
                *point,
                text,
                color=color,
                fontsize=FONT_SIZE,
                rotation=angle,
                rotation_mode="anchor",
                ha="right",
                va="bottom",
            )
            if self.claim(written.get_window_extent()):
                return True
            written.remove()
        return False

    def claim(self, box: Bbox, leader: Sequence[Bbox] = ()) -> bool:
        """Take a place for a text if it is free and within the plot.

        Parameters
        ----------
        box
            The place in pixels.
        leader
            Places of the line to the text's point, which may cross points and other lines, but no text.
        """
        padded = box.padded(PADDING * self._scale)
        frame = self._axes.get_window_extent()
        inside = frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1
        if not inside or padded.count_overlaps(self._taken) or any(part.count_overlaps(self._texts) for part in leader):
            return False
        self._texts.append(padded)
        self._taken += (padded, *leader)
        return True

    def _leader(self, start: tuple[float, float], end: tuple[float, float]) -> list[Bbox]:
        """Return the line between two pixels as small boxes."""
        (x0, y0), (x1, y1) = start, end
        steps = np.linspace(0.0, 1.0, LEADER_PARTS + 1)[1:]
        return [Bbox.from_bounds(x0 + (x1 - x0) * at, y0 + (y1 - y0) * at, 1.0, 1.0) for at in steps]

    def _pixel(self, point: tuple[float, float]) -> tuple[float, float]:
        x, y = self._axes.transData.transform(point)
        return float(x), float(y)

    def _size(self, text: str, **style: object) -> tuple[float, float]:
        """Return width and height of a text in pixels."""
        written: Text = self._axes.text(0.5, 0.5, text, transform=self._axes.transAxes, **style)  # type: ignore[arg-type]
        box = written.get_window_extent()
        written.remove()
        return box.width, box.height
