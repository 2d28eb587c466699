"""An evaluator that takes no time and whose answers are plain arithmetic, for workers of every kind; and its spaces."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from rtlm.gen.common.errors import RtlmError
from rtlm.host.exploration.evaluation import Chunk, as_json
from rtlm.host.exploration.grid import Grid, changed
from rtlm.host.exploration.local_workers import LocalWorkers
from rtlm.host.exploration.proposals import method_of
from rtlm.host.exploration.space import parse_space
from rtlm.host.exploration.store import Store
from rtlm.host.exploration.sweep import Outcome, Sweep

VERSION = "toy"
FOLDER = "RTLM_TOY"
"""Variable that names a folder: `count_chunk` notes there what it computed."""


def evaluate_chunk(chunk: Chunk) -> dict[str, str]:
    """Two objectives that contradict each other, and one refused value."""
    return {key: as_json(_result(changed(chunk.bases[p.config], p.changes), p)) for key, p in chunk.points.items()}


def _result(values, point):
    lanes, ports = values["matmul"]["lanes"], values["memory"]["ports"]
    if lanes > 64 * ports:
        return {"refused": f"matmul.lanes = {lanes} is too many."}
    speed = lanes * ports / (1 + point.context / 1024)
    metrics = {"tokens_per_s": speed, "lut": 1000 * lanes + 300 * ports, "power_w": lanes / 32}
    return {"metrics": metrics, "over": ["lut"] if lanes > 512 else [], "bound": "memory"}


def count_chunk(chunk: Chunk) -> dict[str, str]:
    """Note each point that is computed, slowly."""
    for key in chunk.points:
        with (Path(os.environ[FOLDER]) / key).open("a") as file:
            file.write("x")
        time.sleep(0.02)
    return evaluate_chunk(chunk)


def die_once(chunk: Chunk) -> dict[str, str]:
    """Kill the process that gets the first point, once."""
    flag = Path(os.environ[FOLDER]) / "died"
    try:
        flag.touch(exist_ok=False)
    except FileExistsError:
        return evaluate_chunk(chunk)
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def die_always(chunk: Chunk) -> dict[str, str]:
    """Kill every process that gets 512 lanes."""
    if any(dict(point.changes)["matmul.lanes"] == 512 for point in chunk.points.values()):
        os.kill(os.getpid(), signal.SIGKILL)
    return evaluate_chunk(chunk)


def start_program(chunk: Chunk) -> dict[str, str]:
    """Start a program that takes long, as simulation and synthesis do."""
    command = "import os, pathlib, sys, time; pathlib.Path(sys.argv[1]).write_text(str(os.getpid())); time.sleep(600)"
    subprocess.run([sys.executable, "-c", command, str(Path(os.environ[FOLDER]) / "program")])
    return evaluate_chunk(chunk)


def fail(chunk: Chunk) -> dict[str, str]:
    """Raise what a worker with another version raises."""
    raise RtlmError("a worker has rtlm 0.0, but the sweep was started by 0.1")


SPACE = {
    "models": ["smollm2-135m"],
    "configs": ["tiny"],
    "contexts": [128, 512],
    "set": {"matmul.lanes": [32, 64, 128, 256, 512, 1024], "memory.ports": [1, 2, 4, 8, 16]},
    "objectives": {"tokens_per_s": "max", "lut": "min"},
    "per": [],
}


def sweep_of(path: Path, workers, *, evaluate=evaluate_chunk, **changes) -> tuple[Sweep, Outcome]:
    """Return a sweep of the space, with its store open, and an empty outcome."""
    space = parse_space(SPACE | changes, "toy.yaml")
    grid = Grid.of(space, "toy.yaml")
    method = method_of(space, grid, "toy.yaml")
    sweep = Sweep(
        space=space, grid=grid, method=method, store=Store(path), workers=workers, version=VERSION, evaluate=evaluate
    )
    return sweep, Outcome(total=method.total)


class InProcess:
    """Workers that are no processes."""

    count, deaths = 2, 0

    def run(self, function, tasks):
        for task in tasks:
            yield task, function(task)

    def close(self):
        pass


def main(path: str, evaluate: str) -> None:
    """Run a sweep of the whole space on two processes, to be killed."""
    workers = LocalWorkers(2)
    sweep, outcome = sweep_of(Path(path), workers, evaluate=globals()[evaluate])
    try:
        sweep.run(outcome, limit=None, progress=lambda name, done=0, total=0: print(done, flush=True))
    finally:
        workers.close()
        sweep.store.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
