"""Functional coverage: of all combinations that a bench is meant to make, which ones it made.

The cocotb side of a bench declares crosses of values and records what it drives; `rtlm.sim.verilator.coverage` adds
up files.
"""

import itertools
import json
from collections.abc import Iterable
from pathlib import Path

POINTS_FILE = "points.json"
"""Name of the file in a bench's folder."""


class Points:
    """Points of one run of a bench, kept in a file that is always up to date.

    Parameters
    ----------
    folder
        Where the file goes; one of an earlier run is replaced.
    """

    def __init__(self, folder: Path):
        self._path = folder / POINTS_FILE
        self._crosses: dict[str, dict[str, int]] = {}
        self._save()

    def cross(self, name: str, *axes: Iterable[object]) -> None:
        """Declare a cross: every combination of one value from each axis is a point.

        Parameters
        ----------
        name
            What is crossed, such as ``"format x lanes"``.
        axes
            Possible values of each axis; their texts name them.
        """
        self._crosses[name] = {_label(values): 0 for values in itertools.product(*axes)}
        self._save()

    def hit(self, name: str, *values: object) -> None:
        """Record a point.

        Parameters
        ----------
        name
            The cross.
        values
            One of each axis.

        Raises
        ------
        ValueError
            If it was not declared: then what is possible is more than the bench says.
        """
        points, label = self._crosses[name], _label(values)
        if label not in points:
            raise ValueError(f"{label!r} is not a point of {name!r}; there are {', '.join(points)}.")
        points[label] += 1
        if points[label] == 1:
            self._save()

    def _save(self) -> None:
        self._path.write_text(json.dumps(self._crosses))


def extent(value: int, most: int, *, least: int = 1) -> str:
    """Name a length by where it lies: ``"least"``, ``"between"`` or ``"most"``.

    Parameters
    ----------
    value
        The length.
    most, least
        Largest and smallest that are possible.
    """
    return "least" if value == least else "most" if value == most else "between"


EXTENTS = ("least", "between", "most")
"""What `extent` gives."""


def _label(values: Iterable[object]) -> str:
    return ", ".join(map(str, values))
