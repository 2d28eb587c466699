"""Which points a sweep looks at: all, random ones, or those that an optimiser proposes in the light of earlier ones.

A method gives points in batches and is told the results of a whole batch before it gives the next. What it proposes so
depends on its seed and on results alone: not on how many workers there are, nor on which is first. That is also how a
sweep goes on after a kill: the method starts again from its seed, and the results it had then are in the store.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from rtlm.gen.common.errors import ConfigError, ToolError
from rtlm.gen.common.installation import install_command
from rtlm.host.exploration.front import costs, violations
from rtlm.host.exploration.grid import Grid, Point
from rtlm.host.exploration.space import CONFIG, MAX_POINTS, MODEL, WEIGHTS, SpaceFile

BATCH_POINTS = 4096
"""Points of a batch where results do not matter; they bound the memory that a sweep takes."""
POPULATION = 50
"""Points of a batch of an optimiser; for NSGA-II a generation."""
EXTRA = "optuna"


class Method(Protocol):
    """Proposes points.

    Attributes
    ----------
    total : int
        Points that it proposes in all.
    """

    total: int

    def batches(self) -> Iterator[Sequence[Point]]:
        """Yield batches of points."""

    def tell(self, results: Sequence[Mapping[str, Any]]) -> None:
        """Take the results of the batch that was given last, in its order."""


def method_of(space: SpaceFile, grid: Grid, source: str) -> Method:
    """Return the method of a space.

    Raises
    ------
    ConfigError
        If the grid has too many points, or an optimiser more than one thing to seek.
    ToolError
        If the method is an optimiser, and Optuna is not installed.
    """
    if space.method == "grid":
        if grid.size > MAX_POINTS:
            advice = "method: random, nsga2 or tpe takes a number of points"
            raise ConfigError(source, [f"a grid must have at most {MAX_POINTS:,} points, got {grid.size:,}; {advice}."])
        return Listed(grid, range(grid.size))
    assert space.points is not None
    if space.method != "random" and (several := [name for name in space.per if len(grid.axes[name]) > 1]):
        name, advice = several[0], f"name one, take method: random, or leave {several[0]} out of per"
        problem = f"method: {space.method} seeks the best points of one {name}, got {len(grid.axes[name])}; {advice}."
        raise ConfigError(source, [problem])
    if space.method == "random":
        count = min(space.points, grid.size)
        return Listed(grid, _sample(grid.size, count, space.seed))
    return Optimiser(space, grid, min(space.points, grid.size))


def _sample(size: int, count: int, seed: int) -> Sequence[int]:
    """Return different random numbers below a size, which may be more than a `range` is long."""
    source = random.Random(seed)
    if size <= 2 * count:
        return source.sample(range(size), count)
    chosen: dict[int, None] = {}
    while len(chosen) < count:
        chosen[source.randrange(size)] = None
    return list(chosen)


class Listed:
    """Points whose numbers are known from the start."""

    def __init__(self, grid: Grid, numbers: Sequence[int]):
        self.total = len(numbers)
        self._grid, self._numbers = grid, numbers

    def batches(self) -> Iterator[Sequence[Point]]:
        """Yield batches of points."""
        for first in range(0, self.total, BATCH_POINTS):
            some = self._numbers[first : first + BATCH_POINTS]
            yield [self._grid.point(self._grid.indices(number)) for number in some]

    def tell(self, results: Sequence[Mapping[str, Any]]) -> None:
        """Do nothing: what comes next is known."""


class Optimiser:
    """Optuna's multi-objective NSGA-II or TPE, asked for a batch at a time.

    A point that was refused counts as failed, one that violates constraints by how much.

    Parameters
    ----------
    space, grid
        What is sought, and where.
    total
        Points to propose; one that is proposed again counts again, and is not computed again.
    """

    def __init__(self, space: SpaceFile, grid: Grid, total: int):
        try:
            import optuna
        except ImportError:
            raise ToolError(f"method = {space.method} needs Optuna: {install_command(EXTRA)}") from None
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.total = total
        self._optuna, self._space, self._grid = optuna, space, grid
        self._names = [name for name, values in grid.axes.items() if len(values) > 1]
        # Numbers have an order that an optimiser can use, names have none.
        self._distributions = {name: self._distribution(name) for name in self._names}
        sampler: Any
        if space.method == "nsga2":
            sampler = optuna.samplers.NSGAIISampler(population_size=min(POPULATION, total), seed=space.seed)
        else:
            sampler = optuna.samplers.TPESampler(n_startup_trials=min(POPULATION, total), seed=space.seed)
        self._study = optuna.create_study(sampler=sampler, directions=["minimize"] * len(space.objectives))
        self._trials: list[Any] = []

    def batches(self) -> Iterator[Sequence[Point]]:
        """Yield batches of points."""
        for first in range(0, self.total, POPULATION):
            count = min(POPULATION, self.total - first)
            self._trials = [self._study.ask(self._distributions) for _ in range(count)]
            yield [self._point(trial.params) for trial in self._trials]

    def tell(self, results: Sequence[Mapping[str, Any]]) -> None:
        """Take the results of the batch, in its order."""
        for trial, result in zip(self._trials, results, strict=True):
            found = violations(self._space, result)
            if "metrics" not in result or any(result["metrics"].get(name) is None for name in self._space.objectives):
                self._study.tell(trial, state=self._optuna.trial.TrialState.FAIL)
                continue
            for name in ("fits", *self._space.constraints):
                trial.set_constraint(name, found.get(name, 0.0))
            self._study.tell(trial, costs(self._space, result))

    def _distribution(self, name: str) -> Any:
        values = self._grid.axes[name]
        if name not in (CONFIG, MODEL, WEIGHTS) and all(isinstance(value, int | float) for value in values):
            return self._optuna.distributions.IntDistribution(0, len(values) - 1)
        return self._optuna.distributions.CategoricalDistribution(range(len(values)))

    def _point(self, params: Mapping[str, int]) -> Point:
        return self._grid.point([params.get(name, 0) for name in self._grid.axes])
