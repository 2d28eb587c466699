"""Texts in a plot that overlap neither each other nor the points."""

from collections.abc import Sequence
from itertools import product
from typing import Any

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


class Boxes:
    """Rectangles of pixels, of which a new one may overlap none.

    Parameters
    ----------
    boxes
        The first of them.
    """

    def __init__(self, boxes: Sequence[Bbox]):
        self._extents = _extents(boxes)

    def add(self, boxes: Sequence[Bbox]) -> None:
        """Take further rectangles."""
        self._extents = np.concatenate([self._extents, _extents(boxes)])

    def overlap(self, boxes: Sequence[Bbox]) -> bool:
        """Return whether any of some rectangles overlaps any of these."""
        x0, y0, x1, y1 = self._extents.T
        left, bottom, right, top = _extents(boxes).T[:, :, np.newaxis]
        return bool(((left < x1) & (x0 < right) & (bottom < y1) & (y0 < top)).any())


def _extents(boxes: Sequence[Bbox]) -> np.ndarray:
    return np.array([box.extents for box in boxes], dtype=np.float64).reshape(-1, 4)


class Layout:
    """The places of a plot that are taken.

    Parameters
    ----------
    axes
        The plot, with its final limits and legend.
    spans
        Lower left and upper right corner of each marker with its error bars: two places, equal where it has none.
    ground
        Colour behind labels, where lines may cross them because there is little room; None for none.
    """

    def __init__(
        self,
        axes: Axes,
        spans: Sequence[tuple[tuple[float, float], tuple[float, float]]],
        *,
        ground: str | None = None,
    ):
        self._axes = axes
        self._box = {"facecolor": ground, "edgecolor": "none", "pad": 0.8} if ground else None
        self._scale = axes.get_figure(root=True).dpi / POINTS_A_INCH  # type: ignore[union-attr]
        pixels = [(*self._pixel(low), *self._pixel(high)) for low, high in spans]
        self._taken = Boxes([Bbox.from_extents(*corners).padded(POINT_HALF * self._scale) for corners in pixels])
        self._texts = Boxes([])
        self._frame = axes.get_window_extent()
        if legend := axes.get_legend():
            self._texts.add([legend.get_window_extent()])
            self._taken.add([legend.get_window_extent()])

    def label(self, point: tuple[float, float], text: str, *, important: bool = False) -> bool:
        """Write a label at the nearest free place, with a line to its point.

        Parameters
        ----------
        point
            Abscissa and ordinate of the marker.
        text
            What to write.
        important
            Whether it is bold, and may be far away, or over points, where there is no place near by.

        Returns
        -------
        bool
            Whether there was a free place.
        """
        style: Any = {"fontsize": FONT_SIZE, "fontweight": "bold" if important else "normal"}
        size = self._size(text, **style)
        distances = FAR_DISTANCES if important else DISTANCES
        passes = (False, True) if important else (False,)
        for over_points, distance, direction in product(passes, distances, DIRECTIONS):
            if self._label_at(point, text, size, (distance, *direction), style, over_points):
                return True
        return False

    def _label_at(
        self,
        point: tuple[float, float],
        text: str,
        size: tuple[float, float],
        place: tuple[float, float, float],
        style: Any,
        over_points: bool,
    ) -> bool:
        """Write a label at a distance and in a direction from its point, if that place is free."""
        distance, across, up = place
        width, height = size
        x, y = self._pixel(point)
        dx, dy = distance * self._scale * across, distance * self._scale * up
        left = x + dx - (0 if dx > 0 else width)
        beside = abs(up) < abs(across)
        bottom = y + dy - (height / 2 if beside else 0 if dy > 0 else height)
        leader = self._leader((x, y), (left if dx > 0 else left + width, y + dy))
        box = Bbox.from_bounds(left, bottom, width, height)
        if not self.claim(box, leader=leader, over_points=over_points):
            return False
        self._axes.annotate(
            text,
            point,
            xytext=((left - x) / self._scale, (bottom - y) / self._scale),
            textcoords="offset points",
            ha="left",
            va="bottom",
            arrowprops={
                **{"arrowstyle": "-", "color": "#5a5a5a", "linewidth": 0.7, "shrinkA": 0, "shrinkB": 3},
                "relpos": (0.0 if dx > 0 else 1.0, 0.5 if beside else 0.0 if dy > 0 else 1.0),
            },
            zorder=7,
            bbox=self._box,
            **style,
        )
        return True

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
        angle = np.arctan2(y1 - y0, x1 - x0)
        width, height = self._size(text, fontsize=FONT_SIZE)
        for above, point in ((above, point) for above in (True, False) for point in points):
            x, y = self._pixel(point)
            # A chain of squares covers the slanted text, whose own box would be far larger.
            side = height / 2 if above else -height / 2
            centres = (
                (x - along * np.cos(angle) - side * np.sin(angle), y - along * np.sin(angle) + side * np.cos(angle))
                for along in np.arange(height / 2, width + height / 2, height / 2)
            )
            if not self.claim(*(Bbox.from_bounds(*centre, 0.0, 0.0).padded(height / 2) for centre in centres)):
                continue
            self._axes.text(
                *point,
                text,
                color=color,
                fontsize=FONT_SIZE,
                rotation=float(np.degrees(angle)),
                rotation_mode="anchor",
                ha="right",
                va="bottom" if above else "top",
            )
            return True
        return False

    def avoid(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Keep texts clear of a line between two places."""
        self._taken.add(self._leader(self._pixel(start), self._pixel(end)))

    def claim(self, *boxes: Bbox, leader: Sequence[Bbox] = (), over_points: bool = False) -> bool:
        """Take the places of a text if they are free and within the plot.

        Parameters
        ----------
        boxes
            The places in pixels.
        leader
            Places of the line to the text's point, which may cross points and other lines, but no text.
        over_points
            Whether the text may, too.
        """
        padded = [box.padded(PADDING * self._scale) for box in boxes]
        frame = self._frame
        if not all(
            frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1 for box in boxes
        ):
            return False
        if (self._texts if over_points else self._taken).overlap(padded) or self._texts.overlap(leader):
            return False
        self._texts.add(padded)
        self._taken.add([*padded, *leader])
        return True

    def _leader(self, start: tuple[float, float], end: tuple[float, float]) -> list[Bbox]:
        """Return the line between two pixels as small boxes."""
        (x0, y0), (x1, y1) = start, end
        steps = np.linspace(0.0, 1.0, LEADER_PARTS + 1)[1:]
        return [Bbox.from_bounds(x0 + (x1 - x0) * at, y0 + (y1 - y0) * at, 1.0, 1.0) for at in steps]

    def _pixel(self, point: tuple[float, float]) -> tuple[float, float]:
        x, y = self._axes.transData.transform(point)
        return float(x), float(y)

    def _size(self, text: str, **style: Any) -> tuple[float, float]:
        """Return width and height of a text in pixels."""
        written: Text = self._axes.text(0.5, 0.5, text, transform=self._axes.transAxes, **style)
        box = written.get_window_extent()
        written.remove()
        return box.width, box.height
