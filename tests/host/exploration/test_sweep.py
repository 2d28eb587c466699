"""Sweeps of a space whose results are plain arithmetic: methods, resumption, deaths of workers, kill -9."""

import contextlib
import itertools
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rtlm.gen.common.errors import ConfigError, RtlmError, ToolError
from rtlm.gen.common.progress import no_stage
from rtlm.host.exploration.dask_workers import DaskWorkers
from rtlm.host.exploration.local_workers import MOST_DEATHS, LocalWorkers
from rtlm.host.exploration.proposals import method_of
from rtlm.host.exploration.space import parse_space

from tests.documents import ROOT
from tests.host.exploration import toy

POINTS = 60
METHODS = [
    {"method": "random", "points": 25},
    {"method": "nsga2", "points": 120},
    {"method": "tpe", "points": 60},
]


def run(path, workers=None, limit=None, **options):
    """Run a sweep to its end and return what it found."""
    sweep, outcome = toy.sweep_of(path, workers or toy.InProcess(), **options)
    with sweep.store:
        sweep.run(outcome, limit=limit, progress=no_stage)
    return outcome


def contents(path):
    """Return everything that a store holds, in one order."""
    with sqlite3.connect(path) as database:
        rows = [database.execute(f"SELECT * FROM {name} ORDER BY 1").fetchall() for name in ("point", "result")]
    database.close()
    return rows


def test_a_grid_is_computed_once(tmp_path):
    first = run(tmp_path / "a.sqlite")
    assert (len(first.seen), first.computed, first.stored, first.complete) == (POINTS, POINTS, 0, True)
    assert first.refused == 20 and first.refusal == "matmul.lanes = 128 is too many."
    assert first.violated == {"fits": 2}
    assert first.feasible == POINTS - 20 - 2
    again = run(tmp_path / "a.sqlite")
    assert (again.computed, again.stored) == (0, POINTS)
    assert again.front == first.front and again.seen == first.seen and again.objectives == first.objectives
    speeds = [each.result["metrics"]["tokens_per_s"] for each in first.front]
    assert speeds == sorted(speeds, reverse=True)
    assert {each.point.context for each in first.front} == {128}


def test_points_compete_with_those_of_the_same_work(tmp_path):
    together, apart = run(tmp_path / "a.sqlite"), run(tmp_path / "a.sqlite", per=["model", "context"])
    contexts = [each.point.context for each in apart.front]
    assert contexts == [128] * 9 + [512] * 9
    assert apart.front[:9] == together.front
    alone = run(tmp_path / "a.sqlite", contexts=[512])
    assert [each.key for each in apart.front[9:]] == [each.key for each in alone.front]


def test_a_limit_is_of_what_is_computed_and_the_next_run_goes_on(tmp_path):
    path = tmp_path / "a.sqlite"
    runs = [run(path, limit=25) for _ in range(3)]
    assert [(each.computed, each.stored, each.complete) for each in runs] == [
        (25, 0, False),
        (25, 25, False),
        (10, 50, True),
    ]
    assert run(tmp_path / "b.sqlite").front == runs[-1].front
    assert contents(path) == contents(tmp_path / "b.sqlite")


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method["method"])
def test_methods_repeat_themselves_and_go_on(tmp_path, method):
    whole = run(tmp_path / "a.sqlite", **method)
    assert whole.complete and 0 < len(whole.seen) == whole.computed <= whole.total == min(method["points"], POINTS)
    # TPE's startup and every generation of NSGA-II is a batch; the limit ends within one.
    parts = [run(tmp_path / "b.sqlite", limit=7, **method) for _ in range(len(whole.seen) // 7 + 1)]
    assert parts[-1].complete
    assert sum(part.computed for part in parts) == whole.computed
    assert parts[-1].front == whole.front and list(parts[-1].seen) == list(whole.seen)
    assert contents(tmp_path / "a.sqlite") == contents(tmp_path / "b.sqlite")
    other = run(tmp_path / "c.sqlite", seed=2, **method)
    assert list(other.seen) != list(whole.seen)


def test_an_optimiser_finds_the_front_of_a_large_space_with_few_points(tmp_path):
    large = {
        "set": toy.SPACE["set"]
        | {
            "memory.outstanding": [1, 2, 4, 8],
            "memory.prefetch_kib": [64, 128, 256, 512],
            "vector.lanes": [2, 4, 8],
            "attention.group": {"from": 1, "to": 15},
        }
    }
    best = {each.result["metrics"]["tokens_per_s"] for each in run(tmp_path / "a.sqlite").front}
    found = run(tmp_path / "b.sqlite", method="nsga2", points=600, **large)
    assert found.total == 600 and len(found.seen) > 300
    # Of the nine speeds on the front, seven with 600 of 43,200 points; the fastest among them.
    reached = {each.result["metrics"]["tokens_per_s"] for each in found.front}
    assert max(best) in reached and len(best & reached) >= 6


def test_too_large_a_grid_is_refused(tmp_path):
    space = parse_space(
        toy.SPACE | {"contexts": {"from": 1, "to": 1000}, "batches": [1, 2, 3, 4, 5, 6, 7, 8]}, "s.yaml"
    )

    class Large:
        size = 10**7 + 1

    with pytest.raises(ConfigError, match="a grid must have at most 10,000,000 points, got 10,000,001; method: random"):
        method_of(space, Large(), "s.yaml")


def test_random_points_are_different_ones_of_however_large_a_space():
    class Large:
        size = 10**30

        def indices(self, number):
            return number

        def point(self, indices):
            return indices

    space = parse_space(toy.SPACE | {"method": "random", "points": 5000}, "s.yaml")
    batches = list(method_of(space, Large(), "s.yaml").batches())
    numbers = list(itertools.chain(*batches))
    assert len(set(numbers)) == 5000 and max(map(len, batches)) == 4096


@pytest.mark.slow
def test_processes_compute_the_same_bytes(tmp_path):
    run(tmp_path / "a.sqlite")
    workers = LocalWorkers(2)
    outcome = run(tmp_path / "b.sqlite", workers)
    workers.close()
    assert outcome.computed == POINTS and workers.deaths == 0
    assert contents(tmp_path / "a.sqlite") == contents(tmp_path / "b.sqlite")


@pytest.mark.slow
def test_points_of_a_worker_that_dies_are_computed_by_others(tmp_path, monkeypatch):
    monkeypatch.setenv(toy.FOLDER, str(tmp_path))
    workers = LocalWorkers(2)
    outcome = run(tmp_path / "b.sqlite", workers, evaluate=toy.die_once)
    workers.close()
    assert (tmp_path / "died").exists() and workers.deaths == 1
    assert outcome.complete and outcome.computed == POINTS
    run(tmp_path / "a.sqlite")
    assert contents(tmp_path / "a.sqlite") == contents(tmp_path / "b.sqlite")


@pytest.mark.slow
def test_workers_that_always_die_are_a_sentence(tmp_path):
    workers = LocalWorkers(2)
    with pytest.raises(ToolError, match=f"{MOST_DEATHS} worker processes died one after the other"):
        run(tmp_path / "a.sqlite", workers, evaluate=toy.die_always)
    workers.close()
    with sqlite3.connect(tmp_path / "a.sqlite") as database:
        (stored,) = database.execute("SELECT count(*) FROM result").fetchone()
    database.close()
    assert 0 < stored < POINTS


@pytest.mark.slow
def test_what_a_worker_raises_ends_the_sweep(tmp_path):
    workers = LocalWorkers(1)
    with pytest.raises(RtlmError, match=r"a worker has rtlm 0\.0"):
        run(tmp_path / "a.sqlite", workers, evaluate=toy.fail)
    workers.close()


def start_toy(path, folder, evaluate="count_chunk"):
    command = [sys.executable, "-m", "tests.host.exploration.toy", str(path), evaluate]
    environment = os.environ | {toy.FOLDER: str(folder), "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )


def children(process):
    """Return the processes that a process has started; a minimal machine has no ps."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parent = stat.read_text().rpartition(")")[2].split()[1]
            if int(parent) == process.pid:
                found.append(int(stat.parent.name))
    return found


def runs(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def all_ended(pids, patience=20):
    ended = time.monotonic() + patience
    while any(runs(pid) for pid in pids) and time.monotonic() < ended:
        time.sleep(0.1)
    return not any(runs(pid) for pid in pids)


def program_of(folder):
    """Wait until a worker has started its program."""
    path = folder / "program"
    while not (path.exists() and path.read_text()):
        time.sleep(0.1)
    return int(path.read_text())


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=["interrupted", "killed"])
def test_what_a_worker_starts_ends_with_the_sweep(tmp_path, how):
    process = start_toy(tmp_path / "a.sqlite", tmp_path, "start_program")
    program = program_of(tmp_path)
    assert runs(program)
    process.send_signal(how)
    process.communicate()
    assert all_ended([program])


@pytest.mark.slow
def test_kill_9_loses_nothing_and_nothing_is_computed_twice(tmp_path):
    path, folder = tmp_path / "a.sqlite", tmp_path / "computed"
    folder.mkdir()
    process = start_toy(path, folder)
    for line in process.stdout:
        if int(line) >= 10:
            break
    workers = children(process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert workers and all_ended(workers)  # workers end with their parent, even with one that is killed

    with sqlite3.connect(path) as database:
        stored = {key for (key,) in database.execute("SELECT key FROM result")}
    database.close()
    assert 10 <= len(stored) < POINTS
    before = {entry.name: entry.read_text() for entry in folder.iterdir()}
    again = start_toy(path, folder)
    again.communicate()
    assert again.returncode == 0
    after = {entry.name: entry.read_text() for entry in folder.iterdir()}
    assert len(after) == POINTS
    # What had been stored was not computed again; what was on its way was.
    assert all(after[key] == before[key] == "x" for key in stored)
    run(tmp_path / "whole.sqlite")
    assert contents(path) == contents(tmp_path / "whole.sqlite")


def test_no_dask_or_no_scheduler_is_a_sentence(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "distributed", None)
        with pytest.raises(ToolError, match=r"--scheduler needs Dask: pip install .*\[dask\]"):
            DaskWorkers("tcp://127.0.0.1:1")


def test_no_optuna_is_a_sentence(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ToolError, match=r"method = tpe needs Optuna: pip install .*\[optuna\]"):
        toy.sweep_of(tmp_path / "a.sqlite", toy.InProcess(), method="tpe", points=5)
