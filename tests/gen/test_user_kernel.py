"""A user's own kernel: docs/hls.md's walk-throughs through `rtlm generate kernel`, and what goes wrong."""

import json
import pathlib
import re
import subprocess
import sys

import pytest
from rtlm.gen.common.errors import GenerateError
from rtlm.gen.package.user_kernel import kernel_package, load_kernel
from rtlm.gen.rtl.units import KernelParams
from rtlm.host.cli import main as cli

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "hls.md"
MOST_LINES = 14


def walk_through(name):
    """The lines of the page that define a kernel."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return next(block for block in blocks if f"def {name}(" in block)


def bench(folder, seed=3):
    done = subprocess.run([sys.executable, "bench.py", str(seed)], cwd=folder, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("name", "options"), [("gelu", ["--lanes", "2"]), ("soft_cap", ["--clock-mhz", "150"])])
def test_page_to_gates(name, options, tmp_path, capsys):
    text = walk_through(name)
    assert len(text.splitlines()) <= MOST_LINES
    source = tmp_path / "mine.py"
    source.write_text(text)
    out = tmp_path / "out"
    assert cli.run_command(["generate", "kernel", f"{source}:{name}", *options, "-o", str(out)]) == cli.OK
    said = capsys.readouterr().out
    manifest = json.loads((out / "manifest.json").read_text())
    assert f"| latency | {manifest['cost']['latency_cycles']} cycles |" in said
    assert "F32 recip" in said
    source.unlink()  # the folder stands for itself
    code, said = bench(out)
    assert code == 0, said
    assert f"{name}, seed 3: gates and model agree" in said


@pytest.mark.slow
def test_bench_turns_red(tmp_path):
    """The model, not the gates, is changed: the same difference."""
    source = tmp_path / "mine.py"
    source.write_text(walk_through("gelu"))
    package, _ = kernel_package(f"{source}:gelu", KernelParams(lanes=2), clock_mhz=300, technology="generic")
    package.write(tmp_path / "out")
    changed = (tmp_path / "out" / "mine.py").read_text().replace("0.044715", "0.044716")
    (tmp_path / "out" / "mine.py").write_text(changed)
    code, said = bench(tmp_path / "out")
    assert code == 1
    assert "the model says" in said


@pytest.mark.slow
def test_reduction_with_a_length(tmp_path):
    source = tmp_path / "mine.py"
    imports = "from rtlm.hw.hls import F32, kernel\n"
    source.write_text(imports + walk_through("share"))
    text = source.read_text().partition("unit = ")[0]
    source.write_text(text)
    params = KernelParams(lanes=2, max_length=8)
    package, cost = kernel_package(f"{source}:share", params, clock_mhz=300, technology="generic")
    package.write(tmp_path / "out")
    assert cost["latency_cycles"] > 0
    code, said = bench(tmp_path / "out")
    assert code == 0, said
    with pytest.raises(GenerateError, match="give max_length"):
        kernel_package(f"{source}:share", KernelParams(), clock_mhz=300, technology="generic")


@pytest.mark.parametrize(
    ("source", "part"),
    [
        ("mine.py", "names no kernel: it is written path/to/file.py:function"),
        ("none.py:gelu", "There is no file none.py"),
        ("no.such.module:gelu", "There is no module no.such.module"),
        ("mine.py:gelo", "its kernels are good; did you mean"),
        ("mine.py:plain", "plain in mine.py is no kernel; put @kernel"),
        ("syntax.py:x", "syntax.py, line 2: SyntaxError"),
        ("raises.py:x", "raises.py, line 1: ZeroDivisionError: division by zero."),
        ("mixed.py:mixed", "bring both to one type"),
        ("imports.py:x", "there is no module no_such_package"),
        ("untyped.py:f", "needs a type annotation"),
    ],
)
def test_what_is_wrong_is_one_sentence(source, part, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    head = "from rtlm.hw.hls import BF16, F32, kernel\n"
    good = "@kernel\ndef good(x: F32) -> F32:\n    return x\n"
    files = {
        "mine.py": head + good.replace("good", "gelu").replace("gelu", "good") + "def plain(x):\n    return x\n",
        "syntax.py": "x = 1\ny = (\n",
        "raises.py": "x = 1 / 0\n",
        "mixed.py": head + "@kernel\ndef mixed(x: F32, y: BF16) -> F32:\n    return x * y\n",
        "imports.py": "import no_such_package\n",
        "untyped.py": head + "@kernel\ndef f(x) -> F32:\n    return x\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    if "gelo" in source:
        part = part.partition(";")[0]
    assert cli.run_command(["generate", "kernel", source, "-o", "out", "-q"]) == cli.USER_ERROR
    said = capsys.readouterr().err
    assert part in said
    assert "Traceback" not in said
    assert len(said.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_kernel_of_a_module_loads():
    assert load_kernel("rtlm.hw.kernels:swiglu").name == "swiglu"
