"""What a point of a sweep costs beside its estimate: proposing, handing out, storing; in processes and with Dask.

Usage: ``python benchmarks/sweep_cost.py [--points 20000]``. A function that does nothing evaluates points, in two
workers. Costs are seconds of processor time of all processes, which do not depend on what else the machine does; a
run with no points at all is subtracted.
"""

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import psutil
from rtlm.gen.common.progress import no_stage
from rtlm.host.exploration import sweep as sweeps
from rtlm.host.exploration.dask_workers import DaskWorkers
from rtlm.host.exploration.evaluation import Chunk
from rtlm.host.exploration.grid import Grid
from rtlm.host.exploration.local_workers import LocalWorkers
from rtlm.host.exploration.proposals import method_of
from rtlm.host.exploration.space import parse_space
from rtlm.host.exploration.store import Store
from rtlm.host.exploration.workers import Workers

WORKERS = 2
SPACE: dict[str, Any] = {
    "models": ["smollm2-135m"],
    "set": {
        "matmul.lanes": [32, 64, 128, 256, 512],
        "memory.prefetch_kib": [32, 64, 128, 256, 512, 1024, 2048, 4096],
        "memory.outstanding": {"from": 1, "to": 64},
        "clock_mhz": {"from": 100, "to": 300},
    },
    "objectives": {"tokens_per_s": "max", "lut": "min"},
    "method": "random",
}
RESULT = '{"bound":"memory","metrics":{"lut":50000.0,"tokens_per_s":%d.0},"over":[]}'


def nothing(chunk: Chunk) -> dict[str, str]:
    """Return a result for each point without looking at it."""
    return {key: RESULT % number for number, key in enumerate(chunk.points)}


class InProcess:
    """No workers: what the sweep itself costs."""

    count, deaths = WORKERS, 0

    def run(self, function: Callable[[Any], Any], tasks: Any) -> Iterator[tuple[Any, Any]]:
        """Compute here."""
        for task in tasks:
            yield task, function(task)

    def close(self) -> None:
        """Do nothing."""


@contextmanager
def dask_cluster(folder: Path) -> Iterator[tuple[str, Callable[[], float]]]:
    """Start a scheduler and workers; yield its address, and what tells their processor time."""
    file = folder / "scheduler.json"
    plain = ["--dashboard-address", ":0", "--host", "127.0.0.1"]
    dask = [sys.executable, "-m", "dask"]
    commands = [[*dask, "scheduler", "--port", "0", "--scheduler-file", str(file), *plain]]
    commands += [[*dask, "worker", "--scheduler-file", str(file), "--no-nanny", "--nthreads", "1", *plain]] * WORKERS
    processes = [subprocess.Popen(command, stderr=subprocess.DEVNULL) for command in commands]
    try:
        import json

        import distributed

        while not file.exists():
            time.sleep(0.1)
        address = json.loads(file.read_text())["address"]
        with distributed.Client(address, set_as_default=False) as client:
            client.wait_for_workers(WORKERS)
        yield address, lambda: sum(sum(psutil.Process(each.pid).cpu_times()[:2]) for each in processes)
    finally:
        for process in processes:
            process.kill()
            process.wait()


def own_seconds() -> float:
    """Return the processor time of this process and of those of its children that have ended."""
    return sum(
        use.ru_utime + use.ru_stime for use in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def run(workers: Workers, points: int) -> None:
    """Sweep over so many points."""
    space = parse_space(SPACE | {"points": points}, "benchmark")
    grid = Grid.of(space, "benchmark")
    method = method_of(space, grid, "benchmark")
    with tempfile.TemporaryDirectory() as folder, Store(Path(folder) / "a.sqlite") as store:
        sweep = sweeps.Sweep(
            space=space, grid=grid, method=method, store=store, workers=workers, version="", evaluate=nothing
        )
        sweep.run(sweeps.Outcome(total=method.total), limit=None, progress=no_stage)
    workers.close()


def cost(make: Callable[[], Workers], points: int, others: Callable[[], float] = lambda: 0.0) -> float:
    """Return processor seconds of a point, without those of a sweep over two."""
    spent = []
    for number in (2, points):
        before = own_seconds() + others()
        run(make(), number)
        spent.append(own_seconds() + others() - before)
    return (spent[1] - spent[0]) / (points - 2)


@click.command()
@click.option("--points", default=20_000, show_default=True, help="Points of a sweep.")
def main(points: int) -> None:
    """Print what a point costs, by who computes it and how many points a task has."""
    print("workers              points of a task  processor time of a point")
    for most in (1, sweeps.MOST_POINTS_OF_A_CHUNK):
        sweeps.MOST_POINTS_OF_A_CHUNK = most
        rows = {"none": cost(InProcess, points), "processes": cost(lambda: LocalWorkers(WORKERS), points)}
        with tempfile.TemporaryDirectory() as folder, dask_cluster(Path(folder)) as (address, others):
            rows["Dask"] = cost(lambda: DaskWorkers(address), points, others)
        for name, seconds in rows.items():
            print(f"{name:21}{most:16}  {1e3 * seconds:22.3f} ms", flush=True)


if __name__ == "__main__":
    main()
