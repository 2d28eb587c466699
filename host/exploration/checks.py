"""Checks of a front: points spread over it are simulated or synthesised by workers, and kept in the store."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rtlm.gen.common.progress import Stage
from rtlm.host.exploration.front import costs, spread
from rtlm.host.exploration.store import SIMULATION, SYNTHESIS, Store
from rtlm.host.exploration.survivors import Survivor, simulate_point, synthesise_point
from rtlm.host.exploration.sweep import Evaluated, Sweep

CHECKS: Mapping[str, tuple[str, Callable[[Survivor], str]]] = {
    SIMULATION: ("points simulated", simulate_point),
    SYNTHESIS: ("points synthesised", synthesise_point),
}
"""What is said meanwhile, and what does it, by the kind of result."""


def check(sweep: Sweep, kind: str, front: Sequence[Evaluated], count: int, progress: Stage) -> None:
    """Check points that are spread evenly over a front, but for those whose result is there.

    Parameters
    ----------
    sweep
        Store and workers.
    kind
        ``simulation`` or ``synthesis``.
    front
        The front.
    count
        How many points.
    progress
        Told how far it is.
    """
    what, function = CHECKS[kind]
    apart = [(each.point.work(sweep.space.per), *costs(sweep.space, each.result)) for each in front]
    chosen = [front[position] for position in spread(apart, count)]
    there = sweep.store.get(kind, [each.key for each in chosen])
    tasks = [
        Survivor(key=each.key, point=each.point, values=sweep.grid.values(each.point))
        for each in chosen
        if each.key not in there
    ]
    done = len(there)
    progress(what, done, len(chosen))
    for task, text in sweep.workers.run(function, tasks):
        sweep.store.put(kind, [(task.key, task.point, text)])
        done += 1
        progress(what, done, len(chosen))


def checked(store: Store, front: Sequence[Evaluated]) -> dict[str, dict[str, Mapping[str, Any]]]:
    """Return for each kind what the store holds of a front, by key."""
    return {kind: dict(store.get(kind, [each.key for each in front])) for kind in CHECKS}
