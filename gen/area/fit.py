"""Fit of coefficients near 1 to measured amounts, by relative errors."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

CONSTANT = "control"
"""Term that is the same at every point; its coefficient may be any."""
STIFFNESS = (0.0003, 0.001, 0.003, 0.01, 0.03)
"""How strongly a coefficient is held at 1, against relative squared errors; what predicts left-out points best is
taken."""
FEW_POINTS_STIFFNESS = 0.001
"""The same where there are too few points to leave one out."""
SMALLEST = 100
"""Relative errors of smaller amounts count as those of this one."""


def fit_terms(
    rows: Sequence[Mapping[str, float]], measured: Sequence[float], offsets: Sequence[float] | None = None
) -> dict[str, float]:
    """Fit a coefficient to each term: small relative errors, coefficients near 1 where the points do not tell.

    Parameters
    ----------
    rows
        Terms of each point.
    measured
        What was measured.
    offsets
        What is not to be scaled, at each point.
    """
    names = sorted({name for row in rows for name in row})
    x = np.array([[row.get(name, 0.0) for name in names] for row in rows])
    y = np.array(measured, dtype=float)
    weights = 1 / np.maximum(y, SMALLEST)
    x, y = x * weights[:, None], (y - np.array(offsets if offsets is not None else [0.0] * len(y))) * weights
    held = np.array([name != CONSTANT for name in names], dtype=float)

    def left_out(stiffness: float) -> float:
        """Mean squared error of points that the others predict."""
        keeps = (np.arange(len(y)) != i for i in range(len(y)))
        return float(np.mean([(x[~k] @ solve(x[k], y[k], held * stiffness) - y[~k])[0] ** 2 for k in keeps]))

    best = min(STIFFNESS, key=left_out) if len(y) > 2 else FEW_POINTS_STIFFNESS
    return dict(zip(names, solve(x, y, held * best).round(4).tolist(), strict=True))


def solve(x: NDArray[np.float64], y: NDArray[np.float64], stiffness: NDArray[np.float64]) -> NDArray[np.float64]:
    """Minimise ``|x c - y|^2 + sum stiffness (c - 1)^2`` over coefficients that are not negative."""
    active = np.ones(x.shape[1], dtype=bool)
    while True:
        root = np.sqrt(stiffness[active])
        found, *_ = np.linalg.lstsq(np.vstack([x[:, active], np.diag(root)]), np.concatenate([y, root]), rcond=None)
        if (found >= 0).all():
            out = np.zeros(x.shape[1])
            out[active] = found
            return out
        active[np.flatnonzero(active)[found < 0]] = False


def band(pairs: Sequence[tuple[float, float]]) -> tuple[float, float, int]:
    """Return mean and largest relative error of (estimated, measured) pairs, and of how many."""
    errors = [abs(estimated / measured - 1) for estimated, measured in pairs if measured]
    return (sum(errors) / len(errors), max(errors), len(errors)) if errors else (0.0, 0.0, 0)
