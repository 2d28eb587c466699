"""Unit benches: Verilog built for cocotb with Verilator, cached by content, and run."""

from __future__ import annotations

import contextlib
import shlex
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rtlm.gen.common.cache import cache_folder, cached, digest
from rtlm.gen.common.errors import ToolError
from rtlm.gen.common.installation import install_command
from rtlm.gen.common.progress import Stage, no_stage
from rtlm.gen.common.tool_runs import run_logged
from rtlm.hw.common.clock_gate import SIMULATION_MACRO
from rtlm.sim.verilator.find import Verilator, compiler_identity, find_compiler, find_verilator
from rtlm.sim.verilator.ports import BENCH

# Only the ports of the top are visible to cocotb: all signals public would make the simulation several times slower.
_VERILATE = ["--cc", "--exe", "--vpi", "--public-depth", "1", "--prefix", "Vtop", "-o", "simulation", "-O3"]
_VERILATE += ["--x-assign", "fast", "--x-initial", "fast", "--no-timing", "-Wno-fatal", "-Wno-lint", "-CFLAGS", "-O1"]
_VERILATE += [f"-D{SIMULATION_MACRO}"]
_COVERAGE = ["--coverage-line", "--coverage-toggle"]
# Where Python has no shared library the simulation is one, see the file.
_IN_PYTHON = ["-CFLAGS", "-fPIC", "-LDFLAGS", "-shared -Wl,-Bsymbolic", str(BENCH / "in_python.cpp")]
_RUNTIME_SOURCE = "module top(input clk, input d, output reg q); always @(posedge clk) q <= d; endmodule\n"


@dataclass(frozen=True, kw_only=True)
class CocotbBuild:
    """A simulation that cocotb can run.

    Attributes
    ----------
    folder : Path
        Where it lies.
    top : str
        Name of the top module.
    waves, coverage : bool
        What it can write.
    in_python : bool
        Whether it is a library that is loaded into Python's own program, as `has_python_library` said.
    cached : bool
        Whether it was there before.
    """

    folder: Path
    top: str
    waves: bool
    coverage: bool
    in_python: bool
    cached: bool

    @property
    def simulation(self) -> Path:
        """The program, or the library."""
        return self.folder / "simulation"


@dataclass(frozen=True, kw_only=True)
class TestOutcome:
    """What became of one cocotb test.

    Attributes
    ----------
    name : str
        Name of the test in its module.
    failure : str
        Why it failed; empty when it passed.
    seconds : float
        Time it took.
    cycles : int
        Simulated nanoseconds over the benches' clock period of 10 ns.
    """

    __test__ = False  # no pytest class

    name: str
    failure: str
    seconds: float
    cycles: int


@dataclass(frozen=True, kw_only=True)
class CocotbRun:
    """A finished run of a bench.

    Attributes
    ----------
    outcomes : tuple of TestOutcome
        One for each test that ran; none when the simulation itself failed.
    results : Path
        JUnit XML.
    log : Path
        What the simulation said.
    waveform, coverage : Path or None
        VCD file, and Verilator's coverage data.
    """

    outcomes: tuple[TestOutcome, ...]
    results: Path
    log: Path
    waveform: Path | None = None
    coverage: Path | None = None

    @property
    def passed(self) -> bool:
        """Whether there were tests and none failed."""
        return bool(self.outcomes) and not any(outcome.failure for outcome in self.outcomes)

    @property
    def complaint(self) -> str:
        """The first failure, or the end of the log when nothing ran."""
        failures = [f"{outcome.name}: {outcome.failure}" for outcome in self.outcomes if outcome.failure]
        if failures or self.outcomes:
            return "\n".join(failures)
        return "no test ran; the log ends with:\n" + "\n".join(self.log.read_text().splitlines()[-15:])


def build_cocotb(
    verilog: str,
    *,
    top: str,
    waves: bool = False,
    coverage: bool = False,
    jobs: int = 2,
    cache: Path | None = None,
    progress: Stage = no_stage,
) -> CocotbBuild:
    """Build a design for cocotb, or find it in the cache.

    Parameters
    ----------
    verilog : str
        Text of the design.
    top : str
        Name of its top module; cocotb sees the ports of this one only.
    waves, coverage : bool
        Whether the simulation can write a VCD file, and line and toggle coverage. Both cost speed.
    jobs : int
        Compilers that run at once.
    cache : Path, optional
        Instead of the user's cache folder.
    progress : callable, optional
        Called with short texts while it builds.

    Raises
    ------
    ToolError
        When a tool is missing, or the Verilog is not as it must be.
    """
    verilator = find_verilator()
    options = [*_VERILATE, *(["--trace-vcd"] if waves else []), *(_COVERAGE if coverage else [])]
    in_python = not has_python_library()
    options += _IN_PYTHON if in_python else []
    cache = cache or cache_folder("benches")
    identity = (verilator.version, str(verilator.root), compiler_identity(find_compiler()), str(_cocotb_folders()))
    found = True

    def make(folder: Path) -> None:
        nonlocal found
        found = False
        runtime = cached(digest("runtime", options, identity), _make_runtime, cache=cache)
        progress(f"building {top}")
        _build(folder, verilog, top, options, verilator, jobs, sorted(runtime.glob("verilated*.o")))

    def _make_runtime(folder: Path) -> None:
        progress("compiling the Verilator runtime (once)")
        _build(folder, _RUNTIME_SOURCE, "top", options, verilator, jobs)

    folder = cached(digest("cocotb", verilog, top, options, identity), make, cache=cache)
    return CocotbBuild(folder=folder, top=top, waves=waves, coverage=coverage, in_python=in_python, cached=found)


def run_cocotb(
    build: CocotbBuild,
    *,
    module: str,
    folder: Path,
    seed: int,
    environment: Mapping[str, str] | None = None,
    tests: str | None = None,
) -> CocotbRun:
    """Run the tests of a cocotb module on a build.

    Parameters
    ----------
    build : CocotbBuild
        The simulation.
    module : str
        Importable name of the module with the tests.
    folder : Path
        Where results go; made if it does not exist.
    seed : int
        Seed of `random`, and in the variable ``BENCH_SEED``.
    environment : mapping, optional
        Further variables that the module reads.
    tests : str, optional
        Regular expression; only tests whose name it matches run.

    Raises
    ------
    ToolError
        When cocotb is not installed.
    """
    _cocotb_folders()
    from cocotb_tools.runner import get_runner

    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    results, log = folder / "results.xml", folder / "simulation.log"
    results.unlink(missing_ok=True)
    waveform, coverage = folder / "waves.vcd", folder / "coverage.dat"
    arguments = ["--trace-file", str(waveform)] if build.waves else []
    arguments += [f"+verilator+coverage+file+{coverage}"] if build.coverage else []
    runner = get_runner("verilator")
    variables = {**(environment or {}), "BENCH_SEED": str(seed)}
    if build.in_python:  # where cocotb is to look for the functions of Python; they are there already
        variables["LIBPYTHON_LOC"] = str(build.simulation)
    # The results, or that there are none, say what happened.
    with contextlib.suppress(SystemExit, RuntimeError, subprocess.CalledProcessError):
        runner.test(
            hdl_toplevel=build.top,
            hdl_toplevel_lang="verilog",
            test_module=module,
            build_dir=_with_name(build, folder),
            test_dir=folder,
            test_filter=tests,
            seed=seed,
            waves=build.waves,
            test_args=arguments,
            extra_env=variables,
            results_xml=str(results),
            log_file=log,
        )
    return CocotbRun(
        outcomes=read_results(results),
        results=results,
        log=log,
        waveform=waveform if build.waves else None,
        coverage=coverage if build.coverage else None,
    )


def read_results(path: Path) -> tuple[TestOutcome, ...]:
    """Read a results file that cocotb wrote.

    Parameters
    ----------
    path : Path
        The file; one that is missing or cut off holds no outcomes.
    """
    try:
        cases = list(ElementTree.parse(path).iter("testcase"))
    except (OSError, ElementTree.ParseError):
        return ()
    outcomes = []
    for case in cases:
        problems = [element for element in case if element.tag in ("failure", "error")]
        message = problems[0].get("error_msg") or problems[0].get("message") or "it failed" if problems else ""
        values = {each.get("name"): each.get("value") for each in case.iter("property")}
        time_ns = float(values.get("sim_time_duration") or 0)
        outcomes.append(
            TestOutcome(
                name=case.get("name", "?"),
                failure=message.strip(),
                seconds=float(case.get("time") or 0),
                cycles=round(time_ns / CLOCK_PERIOD_NS),
            )
        )
    return tuple(outcomes)


CLOCK_PERIOD_NS = 10
"""Clock period of all benches."""


def _cocotb_folders() -> tuple[Path, Path]:
    """Folders of cocotb's main program for Verilator and of its libraries."""
    try:
        from cocotb_tools import config
    except ImportError as problem:
        raise ToolError(f"Unit benches need cocotb; run: {install_command('test')}.") from problem
    return Path(config.share_dir), Path(config.libs_dir)


def has_python_library() -> bool:
    """Return whether this Python has a shared library, with which cocotb runs Python inside a simulation."""
    import find_libpython

    return find_libpython.find_libpython() is not None


def _with_name(build: CocotbBuild, folder: Path) -> Path:
    """Return a folder in which the simulation has the name that cocotb's runner expects, that of the top module."""
    program = folder / build.top
    program.unlink(missing_ok=True)
    if build.in_python:
        library, python = (shlex.quote(str(path)) for path in (build.simulation, Path(sys.executable).resolve()))
        program.write_text(f'#!/bin/sh\nLD_PRELOAD={library} exec {python} "$@"\n')
        program.chmod(0o755)
    else:
        program.symlink_to(build.simulation)
    return folder


def _build(
    folder: Path,
    verilog: str,
    top: str,
    options: list[str],
    verilator: Verilator,
    jobs: int,
    runtime: Sequence[Path] = (),
) -> None:
    """Verilate and compile; objects of the runtime that are given are not compiled again."""
    share, libraries = _cocotb_folders()
    (folder / "design.v").write_text(verilog)
    link = f"-Wl,-rpath,{libraries} -L{libraries} -lcocotbvpi_verilator"
    main = share / "lib" / "verilator" / "verilator.cpp"
    command = [*verilator.command, *options, "--Mdir", "obj", "--top-module", top, "-LDFLAGS", link]
    environment = dict(verilator.environment)
    run_logged([*command, str(main), "design.v"], folder, "Verilator", environment)
    for path in runtime:
        shutil.copy(path, folder / "obj" / path.name)
    settings = [f"VM_TRACE={int('--trace-vcd' in options)}"]
    # Verilator's makefile runs helpers in Python by the name of its own build machine, which need not exist here.
    settings += [f"PYTHON3={shlex.quote(sys.executable)}"]
    run_logged(["make", "-j", str(jobs), "-C", "obj", "-f", "Vtop.mk", *settings], folder, "make", environment)
    for path in (folder / "obj").glob("verilated*.o"):
        if not runtime:
            shutil.copy(path, folder / path.name)
    (folder / "obj" / "simulation").rename(folder / "simulation")
    shutil.rmtree(folder / "obj")


def main_of_folder(folder: Path, top: str, arguments: Sequence[str]) -> int:
    """Build the Verilog of a generated folder, run the `bench.py` beside it, and return the exit code.

    Parameters
    ----------
    folder : Path
        Has ``<top>.v`` and ``bench.py``; results go to ``bench-results`` in it.
    top : str
        Name of the module.
    arguments : sequence of str
        The seed, if it is not 1.
    """
    seed = int(arguments[0]) if arguments else 1
    build = build_cocotb((folder / f"{top}.v").read_text(), top=top, progress=print)
    run = run_cocotb(build, module="bench", folder=folder / "bench-results", seed=seed)
    print(f"{top}, seed {seed}: {'gates and model agree' if run.passed else run.complaint}")
    return 0 if run.passed else 1
