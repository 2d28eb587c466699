"""The examples of docs/examples/ run as their page says, and those that compare notice a fault."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import matplotlib
import pytest

from tests.documents import DOCS, run_notebook, shell_commands

EXAMPLES = DOCS / "examples"
NOTEBOOK = EXAMPLES / "lanes.ipynb"
NOT_RUN = {"jupyter lab docs/examples/lanes.ipynb": "opens a browser; test_notebook runs the cells"}
"""Commands of the page that no test runs, and why."""
COMMANDS = [command for command in shell_commands(EXAMPLES / "README.md") if command not in NOT_RUN]
BIN = Path(sys.executable).parent


def run(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(shlex.split(command), cwd=folder, env=environment, capture_output=True, text=True)


def changed(example: str, old: str, new: str, folder: Path) -> Path:
    """Copy an example with one change, and return its folder."""
    source, copy = EXAMPLES / example, folder / "changed"
    copy.mkdir()
    text = ""
    for path in source.glob("*.py"):
        text += path.read_text(encoding="utf-8")
        (copy / path.name).write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    assert text.count(old) == 1
    return copy


def test_page_has_a_command_for_each_example():
    text = "\n".join([*COMMANDS, *NOT_RUN])
    scripts = {path.parent.name for path in EXAMPLES.glob("*/*.py")}
    assert all(f"docs/examples/{name}/" in text for name in scripts)
    assert all(path.name in text for path in EXAMPLES.glob("*.ipynb"))
    assert not NOT_RUN.keys() - set(shell_commands(EXAMPLES / "README.md"))


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_command(command, tmp_path):
    """In a folder that has docs/ of the repository; what is written stays in it."""
    (tmp_path / "docs").symlink_to(DOCS)
    done = run(command, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "NumPy" in done.stdout and not done.stderr


@pytest.mark.slow
def test_soc_notices_a_fault(tmp_path):
    """The two results of a beat in the wrong order."""
    folder = changed("soc", "word_select(second,", "word_select(~second,", tmp_path)
    done = run("python soc.py", folder)
    assert done.returncode == 1 and "AssertionError: the bits differ from the model's" in done.stderr


@pytest.mark.slow
def test_bench_notices_a_fault(tmp_path):
    """Another function than the gates': the gates are those of the example, which need not be built again."""
    folder = changed("relu_gemv", "results > 0,", "results < 0,", tmp_path)
    done = run("python bench.py", folder)
    assert done.returncode == 1 and "; NumPy says " in done.stdout


@pytest.mark.slow
def test_notebook(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(BIN), prepend=os.pathsep)
    matplotlib.use("agg")
    names = run_notebook(NOTEBOOK)
    assert names["enough"] == {150.0: 128, 300.0: 128}
    assert len(names["points"]) == 8 and (tmp_path / "lanes.svg").stat().st_size > 5000
    assert "At 300 MHz these use 95 %" in (EXAMPLES / "README.md").read_text(encoding="utf-8")
    (enough,) = (p for p in names["points"] if (p["clock_mhz"], p["lanes"]) == (300.0, 128))
    assert round(enough["bandwidth"], 2) == 0.95
    names["plt"].close("all")


def test_notebook_is_stored_without_outputs():
    stored = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    cells = [cell for cell in stored["cells"] if cell["cell_type"] == "code"]
    assert stored["nbformat"] == 4 and cells
    assert not any(cell["outputs"] or cell["execution_count"] for cell in cells)
    assert not any(line.startswith(("%", "!")) for cell in cells for line in cell["source"])
