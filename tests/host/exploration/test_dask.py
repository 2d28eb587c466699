"""Sweeps on a Dask cluster of this machine: processes that its command line starts, one of which is killed."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from rtlm.gen.common.errors import ToolError
from rtlm.host.exploration.dask_workers import DaskWorkers

from tests.documents import ROOT
from tests.host.exploration import toy
from tests.host.exploration.test_sweep import POINTS, contents, run

pytest.importorskip("distributed", reason="Dask is optional")
pytestmark = [
    pytest.mark.slow,
    # Tornado's event loop ends with the process, and with it sockets that it holds.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
PATIENCE = 120


def start(*arguments, folder):
    environment = os.environ | {toy.FOLDER: str(folder), "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    command = [sys.executable, "-m", "dask", *arguments]
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.fixture
def cluster(tmp_path):
    """A scheduler and two workers: address, workers by process id."""
    file = tmp_path / "scheduler.json"
    plain = ("--dashboard-address", ":0")
    scheduler = start(
        "scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(file), *plain, folder=tmp_path
    )
    one = ("worker", "--scheduler-file", str(file), "--no-nanny", "--nthreads", "1", *plain)
    workers = [start(*one, "--host", "127.0.0.1", folder=tmp_path) for _ in range(2)]

    def address():
        # There is a moment in which the file is there and empty.
        text = file.read_text() if file.exists() else ""
        return json.loads(text)["address"] if text.endswith("}") else ""

    ended = time.monotonic() + PATIENCE
    try:
        while not address():
            assert scheduler.poll() is None and time.monotonic() < ended
            time.sleep(0.1)
        yield address(), workers
    finally:
        for process in (*workers, scheduler):
            process.kill()
            process.wait()


def all_there(address, count):
    import distributed

    with distributed.Client(address, set_as_default=False) as client:
        client.wait_for_workers(count, timeout=PATIENCE)


def test_a_cluster_gives_the_same_bytes_though_a_worker_is_killed(cluster, tmp_path):
    address, processes = cluster
    all_there(address, 2)
    workers = DaskWorkers(address)
    assert workers.count == 2

    computed = tmp_path / "computed"
    sweep, outcome = toy.sweep_of(tmp_path / "a.sqlite", workers, evaluate=toy.count_chunk)
    killed = []

    def progress(name, done=0, total=0):
        if done >= POINTS // 4 and not killed:
            processes[0].send_signal(signal.SIGKILL)
            killed.append(done)

    with sweep.store:
        sweep.run(outcome, limit=None, progress=progress)
    assert killed and killed[0] < POINTS
    assert outcome.complete and outcome.computed == POINTS
    ended = time.monotonic() + PATIENCE
    while workers.deaths == 0:
        assert time.monotonic() < ended
        time.sleep(0.1)
    assert (workers.deaths, workers.count) == (1, 1)
    workers.close()
    assert not computed.exists()
    run(tmp_path / "local.sqlite")
    assert contents(tmp_path / "a.sqlite") == contents(tmp_path / "local.sqlite")


def test_a_task_that_kills_every_worker_is_given_up(cluster, tmp_path, monkeypatch):
    address, _ = cluster
    all_there(address, 2)
    monkeypatch.setattr("rtlm.host.exploration.dask_workers.LONELY_SECONDS", 2)
    workers = DaskWorkers(address)
    with pytest.raises(ToolError, match="had no worker for 2 s; every result before is stored"):
        run(tmp_path / "a.sqlite", workers, evaluate=toy.die_always)
    workers.close()


def test_a_scheduler_that_does_not_answer_is_a_sentence(monkeypatch):
    monkeypatch.setattr("rtlm.host.exploration.dask_workers.CONNECT_SECONDS", 1)
    for address in ("tcp://127.0.0.1:1", "nonsense"):
        with pytest.raises(ToolError, match=f"the scheduler {address} does not answer"):
            DaskWorkers(address)
