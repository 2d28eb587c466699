"""A sweep: a method proposes points, workers compute those that have no result, and each result is stored at once."""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rtlm.gen.common.progress import Stage
from rtlm.host.exploration.evaluation import REFUSED, Chunk, chunks
from rtlm.host.exploration.front import costs, pareto, violations
from rtlm.host.exploration.grid import Grid, Point
from rtlm.host.exploration.proposals import Method
from rtlm.host.exploration.space import SpaceFile
from rtlm.host.exploration.store import ESTIMATE, Store
from rtlm.host.exploration.workers import Workers

MOST_POINTS_OF_A_CHUNK = 16
CHUNKS_OF_A_WORKER = 4
"""Chunks that each worker gets of a batch, at least: one that is late holds up little."""


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """A point with its result.

    Parameters
    ----------
    key
        What the store has it under.
    point
        The point.
    result
        From `rtlm.host.exploration.evaluation.evaluate`.
    """

    key: str
    point: Point
    result: Mapping[str, Any]


@dataclass(kw_only=True)
class Outcome:
    """What a sweep has found so far; of a point that is not on the front little is kept here, for there may be many.

    Parameters
    ----------
    total
        Points that the method proposes in all.
    seen
        For each key whether the point meets the constraints, in the order in which points were proposed.
    objectives
        For each of these the objectives, None where there are no figures.
    front
        Points that meet the constraints and that no other dominates of those with the same work (`SpaceFile.per`), one
        work after the other, each ordered by the first objective.
    computed, stored
        Points that this run computed, and that the store had.
    refused, refusal
        How many points have no figures, and why the first has none.
    violated
        How many points violate which constraint.
    complete
        Whether every point was looked at.
    seconds
        Time of this run.
    """

    total: int
    seen: dict[str, bool] = field(default_factory=dict)
    objectives: list[tuple[float, ...] | None] = field(default_factory=list)
    front: list[Evaluated] = field(default_factory=list)
    computed: int = 0
    stored: int = 0
    refused: int = 0
    refusal: str = ""
    violated: Counter[str] = field(default_factory=Counter)
    complete: bool = False
    seconds: float = 0.0

    @property
    def feasible(self) -> int:
        """How many points meet the constraints."""
        return sum(self.seen.values())

    def add(self, space: SpaceFile, found: Sequence[Evaluated]) -> None:
        """Take points that were not seen before."""
        feasible = []
        for each in found:
            broken = violations(space, each.result)
            self.seen[each.key] = not broken
            if REFUSED in each.result:
                self.refused += 1
                self.refusal = self.refusal or each.result[REFUSED]
                self.objectives.append(None)
                continue
            values = [each.result["metrics"][name] for name in space.objectives]
            self.objectives.append(None if None in values else tuple(values))
            self.violated.update(broken.keys())
            if not broken:
                feasible.append(each)
        rivals: dict[tuple[Any, ...], list[Evaluated]] = {}
        for each in (*self.front, *feasible):
            rivals.setdefault(each.point.work(space.per), []).append(each)
        self.front = [
            some[index] for some in rivals.values() for index in pareto([costs(space, each.result) for each in some])
        ]


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """What a sweep needs.

    Parameters
    ----------
    space, grid, method
        What the file says.
    store
        Where results are kept.
    workers
        Who computes.
    version
        What evaluates points; results of another version are not taken.
    evaluate
        Called by workers with a `Chunk`; returns the result of each of its points as JSON, by key.
    """

    space: SpaceFile
    grid: Grid
    method: Method
    store: Store
    workers: Workers
    version: str
    evaluate: Callable[[Chunk], dict[str, str]]

    def run(self, outcome: Outcome, *, limit: int | None, progress: Stage) -> None:
        """Fill an outcome, which holds what was found even if this ends in an exception.

        Parameters
        ----------
        outcome
            To be filled.
        limit
            Points to compute at most; the next run goes on.
        progress
            Told how far it is.
        """
        started = time.monotonic()
        done = 0
        try:
            for batch in self.method.batches():
                keys = [self.grid.key(point, self.version) for point in batch]
                point_of = dict(zip(keys, batch, strict=True))
                results = self.store.get(ESTIMATE, list(point_of))
                unseen = [key for key in point_of if key not in outcome.seen]
                outcome.stored += sum(key in results for key in unseen)
                fresh = [key for key in point_of if key not in results]
                allowed = fresh if limit is None else fresh[: max(0, limit - outcome.computed)]
                progress("points", done + len(results), self.method.total)
                try:
                    for some in self._compute({key: point_of[key] for key in allowed}):
                        results |= some
                        outcome.computed += len(some)
                        progress("points", done + len(results), self.method.total)
                finally:
                    # In the order in which they were proposed, whoever was first.
                    found = [key for key in unseen if key in results]
                    outcome.add(self.space, [Evaluated(key=k, point=point_of[k], result=results[k]) for k in found])
                if len(allowed) < len(fresh):
                    return
                done += len(batch)
                self.method.tell([results[key] for key in keys])
            outcome.complete = True
        finally:
            outcome.seconds = time.monotonic() - started

    def _compute(self, points: Mapping[str, Point]) -> Iterator[dict[str, dict[str, Any]]]:
        """Yield results by key as they come, each stored."""
        size = len(points) // (CHUNKS_OF_A_WORKER * self.workers.count)
        tasks = chunks(self.version, self.grid.bases, points, min(max(1, size), MOST_POINTS_OF_A_CHUNK))
        for chunk, texts in self.workers.run(self.evaluate, tasks):
            self.store.put(ESTIMATE, [(key, chunk.points[key], text) for key, text in texts.items()])
            yield {key: json.loads(text) for key, text in texts.items()}
