"""Which points meet the constraints, and which of these no other point beats in every objective."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rtlm.host.exploration.evaluation import REFUSED
from rtlm.host.exploration.space import SpaceFile


def violations(space: SpaceFile, result: Mapping[str, Any]) -> dict[str, float]:
    """Return what a result violates, and by how much of the bound; empty for one that meets all constraints.

    A result that was refused violates everything; a metric that is not known violates its bounds.
    """
    if REFUSED in result:
        return {REFUSED: 1.0}
    found: dict[str, float] = {}
    if space.fits and result["over"]:
        found["fits"] = float(len(result["over"]))
    for name, bounds in space.constraints.items():
        value = result["metrics"].get(name)
        if value is None:
            found[name] = 1.0
            continue
        if bounds.at_least is not None and value < bounds.at_least:
            found[name] = (bounds.at_least - value) / (bounds.at_least or 1.0)
        if bounds.at_most is not None and value > bounds.at_most:
            found[name] = (value - bounds.at_most) / (bounds.at_most or 1.0)
    for name in space.objectives:
        if result["metrics"].get(name) is None:
            found[name] = 1.0
    return found


def costs(space: SpaceFile, result: Mapping[str, Any]) -> list[float]:
    """Return what is to be minimised: the objectives, those to be maximised with their sign changed."""
    metrics = result["metrics"]
    return [-metrics[name] if best == "max" else metrics[name] for name, best in space.objectives.items()]


def pareto(points: Sequence[Sequence[float]]) -> list[int]:
    """Return the indices of the points that no other dominates, the one with the least first coordinate first.

    A point dominates another if it is nowhere greater and somewhere less; equal points all stay.

    Parameters
    ----------
    points
        What is to be minimised.
    """
    if not points:
        return []
    values: NDArray[np.float64] = np.asarray(points, np.float64)
    # In lexicographic order no point is dominated by a later one.
    order = np.lexsort(values.T[::-1])
    front: NDArray[np.float64] = np.empty((0, values.shape[1]))
    kept: list[int] = []
    for index in order:
        value = values[index]
        if len(front):
            no_worse = np.all(front <= value, axis=1)
            if np.any(no_worse & np.any(front < value, axis=1)):
                continue
        front = np.vstack([front, value])
        kept.append(int(index))
    return kept


def spread(front: Sequence[Hashable], count: int) -> list[int]:
    """Return up to so many positions of a front, evenly spread: the first, the last, and between.

    Points that are equal count once, as their first.

    Parameters
    ----------
    front
        What tells points apart, in the order of the front: the objectives.
    count
        How many are wanted.
    """
    first: dict[Hashable, int] = {}
    for position, values in enumerate(front):
        first.setdefault(values, position)
    different = list(first.values())
    if count >= len(different):
        return different
    if count == 1:
        return different[:1]
    return [different[round(n * (len(different) - 1) / (count - 1))] for n in range(count)]
