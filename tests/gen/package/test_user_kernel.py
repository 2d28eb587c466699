"""A user's own kernel: docs/hls.md's walk-throughs through `rtlm generate kernel`, and what goes wrong."""

import json
import re
import shutil
import subprocess
import sys
import types

import pytest
from rtlm.gen.common.errors import GenerateError
from rtlm.gen.package.user_kernel import kernel_package, load_kernel
from rtlm.gen.rtl.units import KernelParams
from rtlm.host.cli import main as cli

from tests.documents import python_blocks

MOST_LINES = 14


def walk_through(name):
    """The lines of the page that define a kernel."""
    return next(block for block in python_blocks("hls.md") if f"def {name}(" in block)


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


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("gemv", KernelParams(lanes=4, ii=2)),
        ("qmatmul", KernelParams(chain=True)),
        ("prefix_sum", KernelParams(lanes=3)),
        ("matmul", KernelParams(lanes=4, partition=("a=cyclic",))),
        ("conv2d", KernelParams(lanes=2, ii=2, partition=("taps=complete",))),
    ],
)
def test_memories_and_directives(name, params, tmp_path):
    """Kernels of the library in Verilator: memories that are loaded beside the beats, loops, and an interval."""
    package, cost = kernel_package(f"rtlm.hw.kernels.library:{name}", params, clock_mhz=200, technology="generic")
    package.write(tmp_path / "out")
    assert cost["initiation_interval"] == (params.ii or 1)
    assert (tmp_path / "out" / "schedule.svg").read_text().startswith("<?xml")
    code, said = bench(tmp_path / "out")
    assert code == 0, said


REGION = """from rtlm.hw.hls import (
    Ram, SInt, Stream, UInt, constant, index, join, kernel, load, narrow, pair, region, repeat, scan, split, stream_max,
    stream_sum, widen, wrap,
)

@kernel
def running(x: SInt(8)) -> SInt(8):
    return scan(lambda state, x: wrap(state * 3 + x, SInt(8)), constant(0, SInt(8)), x)

@kernel
def total(x: SInt(8)) -> SInt(16):
    return stream_sum(x, SInt(16))

@region
def in_turn(x: Stream[SInt(8)], y: Stream[SInt(8)]) -> tuple[Stream[SInt(8), SInt(8)], Stream[SInt(16)]]:
    a, b = split(x, 2, packets=True)
    return pair(join(running(a), running(b), packets=True), y), total(x)

@kernel
def below(x: SInt(8), y: SInt(8)) -> SInt(9):
    return x - y

@kernel
def largest(x: SInt(8)) -> SInt(8):
    return stream_max(x)

@kernel
def row(w: SInt(9), x: Ram[SInt(9), 64]) -> SInt(32):
    return stream_sum(w * x[index(UInt(6))], SInt(32))

@region
def tile(x: Stream[SInt(8)], v: Stream[SInt(8)]) -> tuple[Stream[SInt(32)], Stream[SInt(9)]]:
    w = below(x, repeat(largest(x), x))
    return row(w, load(below(v, 3), 4)), repeat(narrow(widen(w, 2)), 2, packets=True)
"""


@pytest.mark.slow
def test_regions(tmp_path):
    """Several inputs and outputs, in Verilator; a bench against another model turns red."""
    source = tmp_path / "mine.py"
    source.write_text(REGION)
    params = KernelParams(max_length=8)
    package, cost = kernel_package(f"{source}:in_turn", params, clock_mhz=300, technology="generic")
    package.write(tmp_path / "out")
    assert cost["initiation_interval"] == 1
    assert cost["region"]["interval"] == 1 and isinstance(cost["region"]["fifos"], list)
    assert "load_region" in package.texts["README.md"] and "schedule.svg" not in package.texts
    code, said = bench(tmp_path / "out")
    assert code == 0, said
    package, _ = kernel_package(f"{source}:tile", KernelParams(max_length=64), clock_mhz=300, technology="generic")
    package.write(tmp_path / "tile")
    code, said = bench(tmp_path / "tile")
    assert code == 0, said
    source.write_text(REGION.replace("state * 3", "state * 5"))
    shutil.copy(source, tmp_path / "out")
    code, said = bench(tmp_path / "out")
    assert code == 1
    assert "the model says" in said
    with pytest.raises(GenerateError, match="give max_length, the longest packet of an input"):
        kernel_package(f"{source}:in_turn", KernelParams(), clock_mhz=300, technology="generic")
    with pytest.raises(GenerateError, match="lanes must be 1, got 2"):
        kernel_package(f"{source}:in_turn", KernelParams(lanes=2, max_length=8), clock_mhz=300, technology="generic")
    with pytest.raises(GenerateError, match="in_turn is a region; load_region loads it"):
        load_kernel(f"{source}:in_turn")


def test_loops_are_in_the_manifest(tmp_path):
    package, cost = kernel_package(
        "rtlm.hw.kernels.library:matmul", KernelParams(lanes=4), clock_mhz=200, technology="generic"
    )
    assert [(each["bound"], each["lanes"], each["packet"]) for each in package.manifest["cost"]["loops"]] == [
        ("rows", 1, False),
        ("columns", 1, False),
        ("inner", 4, True),
    ]
    assert cost["trip"] == "rows * columns * ceil(inner / 4)"
    assert "inner iterations, 4 iterations a beat, a packet" in package.texts["README.md"]
    with pytest.raises(GenerateError, match="matmul has loops: its longest packet is theirs, not max_length"):
        kernel_package(
            "rtlm.hw.kernels.library:matmul", KernelParams(max_length=4), clock_mhz=200, technology="generic"
        )


ERRORS = """from rtlm.hw.hls import F32, UInt, kernel, stream_argmax, stream_sum, to_float, to_int

@kernel
def nothing(x: F32) -> F32:
    x = x + 1

@kernel
def large(x: F32) -> F32:
    return x * 1e300

@kernel
def winner(x: F32, i: UInt(8)) -> F32:
    return stream_argmax(x, i)

@kernel
def square(x: F32) -> F32:
    return x ** 2

@kernel
def unknown(x: F32) -> F32:
    return x + y

@kernel
def long(x: F32) -> F32:
    return x + to_float(stream_sum(to_int(x, 8), UInt(8)))
"""


@pytest.mark.parametrize(
    ("source", "part"),
    [
        ("mine.py", "names no kernel: it is written path/to/file.py:function"),
        ("none.py:gelu", "There is no file none.py"),
        ("no.such.module:gelu", "There is no module no.such.module"),
        ("mine.py:gelo", "its kernels are good; did you mean"),
        ("mine.py:plain", "plain in mine.py is not a kernel; put @kernel"),
        ("syntax.py:x", "syntax.py:2: SyntaxError"),
        ("raises.py:x", "raises.py:1: ZeroDivisionError: division by zero."),
        ("mixed.py:mixed", "bring both to one type"),
        ("imports.py:x", "there is no module no_such_package"),
        ("untyped.py:f", "untyped.py:3: Argument x of kernel f needs a type annotation"),
        ("errors.py:nothing", "errors.py:5: Kernel nothing returns nothing: it ends with return"),
        ("errors.py:large", "errors.py:9: The constant 1e+300 is out of the range of F32"),
        ("errors.py:winner", "errors.py:13: Kernel winner returns 2 values (F32, UInt(8)) but is annotated with F32."),
        ("errors.py:square", "errors.py:17: Kernels have no **; write x * x for a square, sqrt(x)"),
        ("errors.py:unknown", "errors.py:21: NameError: name 'y' is not defined."),
        ("errors.py:long", "errors.py:long: Kernel long uses elements again after a reduction: give max_length"),
        ("const.py:const", "const.py:2: Kernel const has no arguments: a pipeline needs at least one"),
        ("relative.py:x", "relative.py:1: ImportError: a kernel's file is not part of a package"),
        ("inner.py:x", "broken.py:3: ZeroDivisionError"),
        ("inner_syntax.py:x", "syntax.py:2: SyntaxError"),
        ("below.py:f", "only files beside it are handed over"),
        ("types.py:good", "types.py cannot be handed over: the bench imports a module types; rename the file."),
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
        "untyped.py": head + "\n@kernel\ndef f(x) -> F32:\n    return x\n",
        "errors.py": ERRORS,
        "const.py": head + "@kernel\ndef const() -> F32:\n    return 1.0\n",
        "relative.py": "from . import mine\n",
        "inner.py": "import broken\n",
        "inner_syntax.py": "import syntax\n",
        "broken.py": "\n\nx = 1 / 0\n",
        "below.py": head + "from lib.ops import one\n@kernel\ndef f(x: F32) -> F32:\n    return one * x\n",
        "lib/ops.py": "one = 1\n",
        "types.py": head + good,
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    if "gelo" in source:
        part = part.partition(";")[0]
    assert cli.run_command(["generate", "kernel", source, "-o", "out", "-q"]) == cli.USER_ERROR
    said = capsys.readouterr().err
    assert part in said
    assert "Traceback" not in said
    assert len(said.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def named(name, argument="x"):
    head = "from rtlm.hw.hls import UInt, kernel\n\n@kernel\n"
    return f"{head}def {name}({argument}: UInt(8)) -> UInt(8):\n    return {argument}\n"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("always", "always is a keyword of SystemVerilog and cannot be that of the module; rename the function."),
        ("logic", "a keyword of SystemVerilog"),
        ("entity", "a keyword of VHDL"),
        ("Signal", "a keyword of VHDL"),
        ("clk", "the name of a port"),
        ("rst", "the name of a port"),
        ("o__valid", "the name of a port"),
        ("größe", "letters a to z, digits and _ are allowed"),
    ],
)
def test_names_that_no_module_can_have(name, why, tmp_path):
    source = tmp_path / "mine.py"
    source.write_text(named(name))
    with pytest.raises(GenerateError, match=re.escape(why)):
        kernel_package(f"{source}:{name}", KernelParams(), clock_mhz=100, technology="generic")


def test_names_of_arguments(tmp_path):
    """A keyword gets an underscore in the template; what is no name in SystemVerilog is refused."""
    source = tmp_path / "mine.py"
    source.write_text(named("same", "endmodule"))
    package, _ = kernel_package(f"{source}:same", KernelParams(), clock_mhz=100, technology="generic")
    assert "endmodule_;" in package.texts["same_example.sv"]
    source.write_text(named("same", "größe"))
    with pytest.raises(GenerateError, match="letters a to z"):
        kernel_package(f"{source}:same", KernelParams(), clock_mhz=100, technology="generic")


def siblings(folder, addend):
    """A kernel's file that imports one beside it, which imports a third."""
    folder.mkdir()
    (folder / "mine.py").write_text(
        "from rtlm.hw.hls import UInt, kernel\nfrom helper import plus\n\n"
        "@kernel\ndef f(x: UInt(8)) -> UInt(9):\n    return plus(x)\n"
    )
    (folder / "helper.py").write_text("import numbers_of_mine\n\ndef plus(x):\n    return x + numbers_of_mine.ADDEND\n")
    (folder / "numbers_of_mine.py").write_text(f"ADDEND = {addend}\n")
    (folder / "unused.py").write_text("1 / 0\n")
    return folder / "mine.py"


def test_files_beside_the_kernel_are_imported_and_handed_over(tmp_path):
    source = siblings(tmp_path / "here", 3)
    package, _ = kernel_package(f"{source}:f", KernelParams(), clock_mhz=100, technology="generic")
    package.write(tmp_path / "out")
    shutil.rmtree(tmp_path / "here")  # the folder stands for itself
    assert {path.name for path in (tmp_path / "out").glob("*.py")} == {
        "mine.py",
        "helper.py",
        "numbers_of_mine.py",
        "bench.py",
    }
    assert "| `helper.py` | the kernel, or what its file imports |" in package.texts["README.md"]
    code, said = bench(tmp_path / "out")
    assert code == 0, said


def test_each_folder_has_its_own_siblings(tmp_path, monkeypatch):
    """Also where a module of that name was imported before; and nothing of it stays."""
    theirs = types.ModuleType("helper")
    monkeypatch.setitem(sys.modules, "helper", theirs)
    path = list(sys.path)
    for addend in (1, 2):
        source = siblings(tmp_path / str(addend), addend)
        assert load_kernel(f"{source}:f").model(5) == 5 + addend
    assert sys.modules["helper"] is theirs
    assert "numbers_of_mine" not in sys.modules
    assert sys.path == path


def test_kernel_of_a_module_loads():
    assert load_kernel("rtlm.hw.kernels:swiglu").name == "swiglu"
