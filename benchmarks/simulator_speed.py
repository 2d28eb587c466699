"""Speed of the simulator now and at another revision, in pairs: simulated cycles a second of processor time.

Usage: ``python benchmarks/simulator_speed.py REVISION [--config kv260] [--pairs 60]``. Both decode SmolLM2's first
tokens, greedy, each in a process of its own; they take turns of 50,000 cycles, so that what else the machine does meets
both. The quartiles of the pairs' ratios say how far the median is to be trusted.
"""

import io
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import click
from rtlm.gen.common.progress import TerminalProgress
from rtlm.gen.configuration.load import load_config
from rtlm.host.models.download import fetch
from rtlm.host.models.model import LlamaModel
from rtlm.host.runtime.device import ColumnInput
from rtlm.host.runtime.simulation import simulate

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("hw", "gen", "sim", "host", "constraints")
TURN_CYCLES = 50_000
CONTEXT = 512
FIRST_TOKEN = 504
"""The word "The"."""


@click.command()
@click.argument("revision", required=False)
@click.option("--config", default="kv260", show_default=True, help="Preset, which both revisions have.")
@click.option("--pairs", default=60, show_default=True, type=click.IntRange(min=2), help="Pairs of turns.")
@click.option("--turns", is_flag=True, hidden=True, help="Be one of the two.")
def main(revision: str | None, config: str, pairs: int, turns: bool) -> None:
    """Compare this tree's simulator with that of a git revision."""
    if turns:
        take_turns(config)
    if revision is None:
        raise click.UsageError("Name the revision to compare with.")
    with tempfile.TemporaryDirectory() as folder:
        sides = [Side(config, ROOT), Side(config, checkout(revision, Path(folder)))]
        for side in sides:
            side.wait()
        speeds = [[side.turn() for side in sides] for _ in range(pairs)]
        for side in sides:
            side.end()
    for name, side_speeds in zip(("this tree", revision), zip(*speeds, strict=True), strict=True):
        print(f"{name:12} {statistics.median(side_speeds):12,.0f} cycles/s")
    print_ratios([here / there for here, there in speeds])


def print_ratios(ratios: Sequence[float]) -> None:
    """Print the median of the pairs' ratios and their quartiles."""
    low, median, high = statistics.quantiles(ratios, n=4)
    print(f"ratio        {median:.3f}, quartiles {low:.3f} to {high:.3f}, {len(ratios)} pairs")


def checkout(revision: str, folder: Path) -> Path:
    """Return a folder with the packages as they were at a revision."""
    archive = subprocess.run(["git", "archive", revision, *PACKAGES], cwd=ROOT, check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(folder, filter="data")
    return folder


class Side:
    """A process with the packages of one tree, which simulates when it is told to.

    Parameters
    ----------
    config
        Preset.
    tree
        Folder of the packages.
    """

    def __init__(self, config: str, tree: Path):
        self._names = tempfile.TemporaryDirectory()
        packages = Path(self._names.name) / "rtlm"
        packages.mkdir()
        for package in PACKAGES:
            (packages / package).symlink_to(tree / package)
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--turns", "--config", config],
            env={**os.environ, "PYTHONPATH": self._names.name},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def wait(self) -> None:
        """Wait until the simulator is built, and let it reach its speed."""
        self.turn()

    def turn(self) -> float:
        """Return the cycles per second of one turn."""
        assert self._process.stdin and self._process.stdout
        print("turn", file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("One of the two has ended; its complaint stands above.")
        return float(line)

    def end(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        self._names.cleanup()


def take_turns(config: str) -> None:
    """Decode tokens for ever, a turn for each line of the standard input; print each turn's speed."""
    progress = TerminalProgress()
    with simulate(load_config(config, ()), LlamaModel.open(fetch()), context=CONTEXT, progress=progress) as simulation:
        progress.close()
        model = simulation.device.model
        advance = model.advance

        def run() -> None:
            while not model.irq:
                if not sys.stdin.readline():
                    raise SystemExit  # nobody is left to print for
                started = time.thread_time()
                cycles = advance(TURN_CYCLES)
                print(cycles / (time.thread_time() - started), flush=True)

        simulation.device.run = run  # type: ignore[method-assign]
        token, position = FIRST_TOKEN, 0
        while True:
            columns = [ColumnInput(token=token, position=position, history=position, local_first=0, slot=0)]
            token = simulation.engine.step(columns).best[0]
            position += 1


if __name__ == "__main__":
    main()
