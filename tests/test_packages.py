"""Source distribution and wheel hold what they should, and the wheel works where there is no source tree.

Nothing is fetched: packages are built by the setuptools of this environment, and the environment into which the wheel
is installed finds everything else where this one has it.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from email.parser import BytesParser
from fnmatch import fnmatch
from pathlib import Path

import pytest
import rtlm.hw
from packaging.metadata import Metadata
from rtlm.gen.common.errors import ENVIRONMENT_ERROR
from rtlm.gen.configuration.load import preset_names

from tests.documents import DOCS, ROOT, shell_commands

IMPORTED = ("hw", "gen", "sim", "host", "constraints")
IGNORED = [line.rstrip("/") for line in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()] + [".git"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
KERNEL = """
from rtlm.hw.hls import SInt, kernel


@kernel
def line(a: SInt(8), x: SInt(8), b: SInt(16)) -> SInt(17):
    return a * x + b
"""
NOT_RUN = {
    "pipx": "is no part of the environment of the tests, and fetches",
    "uv": "the same",
    "pip": "fetches; `Installation` installs the wheel as pip does, without what it depends on",
    "make": "would remove what other tests build; the Makefile has one line for it",
    "rm": "would remove the user's models",
}
"""Programs in docs/installation.md whose commands no test runs, and why."""
BUILD = "import sys; from setuptools import build_meta; build_meta.build_{kind}(sys.argv[1])"


def files_of(folder: Path) -> dict[str, bytes]:
    """Return the files below a folder but for those that git ignores."""
    found = {}
    for path in sorted(folder.rglob("*")):
        place = path.relative_to(folder)
        if path.is_file() and not any(fnmatch(part, pattern) for part in place.parts for pattern in IGNORED):
            found[place.as_posix()] = path.read_bytes()
    return found


def build(kind: str, source: Path, folder: Path) -> Path:
    """Build a package in a copy of a source tree, where setuptools leaves its own files, and return its path."""
    folder.mkdir()
    copy = shutil.copytree(source, folder / "source", ignore=shutil.ignore_patterns(*IGNORED))
    command = [sys.executable, "-c", BUILD.format(kind=kind), str(folder)]
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "_Warning" not in said and "Deprecat" not in said, said
    (package,) = (path for path in folder.iterdir() if path.is_file())
    return package


@pytest.fixture(scope="module")
def sdist(tmp_path_factory) -> Path:
    return build("sdist", ROOT, tmp_path_factory.mktemp("packages") / "sdist")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    return build("wheel", ROOT, tmp_path_factory.mktemp("packages") / "wheel")


def content(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist() if not name.endswith("/")}


def test_wheel_holds_the_packages_and_nothing_else(wheel):
    found = content(wheel)
    packages = {name: data for name, data in found.items() if ".dist-info/" not in name}
    tree = {f"rtlm/{room}/{name}": data for room in IMPORTED for name, data in files_of(ROOT / room).items()}
    assert packages.keys() == tree.keys(), packages.keys() ^ tree.keys()
    assert packages == tree
    # Data files above all: setuptools leaves out without a word what pyproject.toml does not name.
    suffixes = {Path(name).suffix for name in packages}
    assert {".yaml", ".json", ".csv", ".tcl", ".v", ".cpp", ".h", ".xdc", ".lpf", ".sdc"} <= suffixes


def test_metadata_are_those_of_the_project(wheel):
    found = content(wheel)
    folder = f"rtlm-{PROJECT['version']}.dist-info"
    text = found[f"{folder}/METADATA"]
    said = Metadata.from_email(text, validate=True)
    assert (said.name, str(said.version), said.summary) == ("rtlm", PROJECT["version"], PROJECT["description"])
    assert (said.license_expression, said.license_files) == ("Apache-2.0", ["LICENSE"])
    assert said.description_content_type == "text/markdown"
    assert BytesParser().parsebytes(text).get_payload(decode=True).decode() == (ROOT / "README.md").read_text("utf-8")
    assert set(said.provides_extra or ()) == set(PROJECT["optional-dependencies"])
    assert found[f"{folder}/licenses/LICENSE"] == (ROOT / "LICENSE").read_bytes()
    assert b"rtlm = rtlm.host.cli.main:main" in found[f"{folder}/entry_points.txt"]


def test_sdist_is_the_tree_and_makes_the_same_wheel(sdist, wheel, tmp_path):
    with tarfile.open(sdist) as archive:
        # Older Pythons have no filters, newer ones warn where none is named.
        archive.extractall(tmp_path, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
    (top,) = (path for path in tmp_path.iterdir() if path.name.startswith("rtlm-"))
    found = files_of(top)
    assert found.keys() - files_of(ROOT).keys() == {"PKG-INFO", "setup.cfg"}  # setuptools' own
    assert not files_of(ROOT).items() - found.items()
    assert content(build("wheel", top, tmp_path / "wheel")) == content(wheel)


class Installation:
    """A virtual environment with nothing in it but the wheel, which works in a folder of its own.

    It finds the other packages in this environment's folder through a ``.pth`` file. Python follows no further ``.pth``
    files there, so that the source tree, which is installed by such a file, stays out of the way.
    """

    def __init__(self, folder: Path, wheel: Path):
        self.folder, self.bin = folder / "work", folder / "environment" / "bin"
        self.folder.mkdir()
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", self.bin.parent], check=True)
        (packages,) = self.bin.parent.glob("lib/python*/site-packages")
        others = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
        (packages / "others.pth").write_text("\n".join(sorted(others)) + "\n")
        pip = [sys.executable, "-m", "pip", "--python", str(self.bin / "python"), "--disable-pip-version-check", "-q"]
        subprocess.run([*pip, "install", "--no-deps", "--no-index", str(wheel)], check=True)

    def run(self, *command: str, code: int = 0, **environment: str) -> str:
        """Run a program of the environment, and return what it printed."""
        variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        variables |= {"PATH": f"{self.bin}{os.pathsep}{os.environ['PATH']}"} | environment
        program = self.bin / command[0]
        line = [str(program) if program.exists() else command[0], *command[1:]]
        done = subprocess.run(line, cwd=self.folder, env=variables, capture_output=True, text=True)
        assert done.returncode == code, f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        return done.stdout


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Installation:
    return Installation(tmp_path_factory.mktemp("installed"), wheel)


@pytest.mark.slow
def test_the_wheel_is_what_runs(installed):
    code = "import rtlm.hw, rtlm.host; from rtlm.gen.boards.constraints import FOLDER; "
    out = installed.run("python", "-c", code + "print(*rtlm.hw.__path__, *rtlm.host.__path__, FOLDER)")
    assert all(Path(path).is_relative_to(installed.bin.parent) for path in out.split())
    assert str(Path(rtlm.hw.__path__[0]).parent) not in out
    assert installed.run("rtlm", "--version").startswith(f"rtlm {PROJECT['version']}\n")
    listed = installed.run("rtlm", "list")
    assert all(f"\n  {name} " in listed for name in preset_names())
    assert "name: tiny" in installed.run("rtlm", "show", "tiny")
    assert "llama-2-7b" in installed.run("rtlm", "estimate", "--model", "llama-2-7b", "--config", "kv260")


@pytest.mark.slow
def test_commands_of_the_page(installed):
    """Those for a first look and for completion; all others change more than a test may."""
    commands = shell_commands(DOCS / "installation.md")
    first = {command.split()[0] for command in commands}
    assert first == {"rtlm", "eval", *NOT_RUN}, "each command is run, or there is a reason why not"
    for command in commands:
        if command.split()[0] in ("rtlm", "eval") and "| source" not in command:  # which is fish's
            installed.run("bash", "--norc", "-e", "-c", command)


@pytest.mark.slow
def test_doctor_says_what_the_surroundings_lack(installed, tmp_path):
    assert "MISSING" not in installed.run("rtlm", "doctor")
    for tool in ("make", "perl"):
        (tmp_path / tool).symlink_to(shutil.which(tool))
    out = installed.run("rtlm", "doctor", code=ENVIRONMENT_ERROR, PATH=str(tmp_path))
    missing = [line.split(maxsplit=1)[1] for line in out.splitlines() if line.startswith("MISSING")]
    assert len(missing) == 1 and "No C++ compiler was found; on Debian and Ubuntu: apt install g++." in missing[0]
    # What needs no compiler goes on without one.
    assert "name: kv260" in installed.run("rtlm", "show", "kv260", PATH=str(tmp_path))


@pytest.mark.slow
def test_a_model_runs_through_gates(installed, random_model):
    """The user's cache holds the simulator where another test has built it: it is made from the same files."""
    sizes = {"layers": 1, "dim": 64, "hidden_dim": 64, "heads": 2, "kv_heads": 1}
    command = ("rtlm", "run", "--config", "tiny", "--model", str(random_model(**sizes)), "--prompt", "Hi")
    gates = installed.run(*command, "--max-tokens", "2", "--quiet")
    assert gates == installed.run(*command, "--max-tokens", "2", "--quiet", "--backend", "golden")


@pytest.mark.slow
def test_the_native_bench_compiles(installed, tmp_path):
    """From the wheel's own files, into an empty cache."""
    code = "from rtlm.sim.verilator.build import memory_library; print(memory_library())"
    library = Path(installed.run("python", "-c", code, XDG_CACHE_HOME=str(tmp_path)).strip())
    assert library.is_relative_to(tmp_path) and library.stat().st_size > 0


@pytest.mark.slow
def test_rtl_is_generated_and_tested(installed):
    files = installed.run("rtlm", "generate", "accelerator", "--config", "tiny", "-o", "tiny").split()
    assert {"tiny/tiny.v", "tiny/README.md", "tiny/registers.h"} <= set(files)
    assert all((installed.folder / name).is_file() for name in files)
    (installed.folder / "mine.py").write_text(KERNEL)
    assert "mine/bench.py" in installed.run("rtlm", "generate", "kernel", "mine.py:line", "-o", "mine").split()
    assert "1 of 1 benches passed" in installed.run("rtlm", "test", "kernels/depths-gating-off")
