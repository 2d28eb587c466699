"""From Verilog to a shared library with the bench inside, cached by content."""

from __future__ import annotations

import ctypes
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from rtlm.gen.common.cache import cache_folder, cached, digest
from rtlm.gen.common.errors import ToolError
from rtlm.gen.common.progress import Stage, no_stage
from rtlm.gen.common.tool_runs import run_logged
from rtlm.hw.common.clock_gate import SIMULATION_MACRO
from rtlm.sim.verilator.find import (
    FST_SENTENCE,
    Verilator,
    can_write_fst,
    compiler_identity,
    find_compiler,
    find_verilator,
)
from rtlm.sim.verilator.observed import timeline_config, verilator_config
from rtlm.sim.verilator.ports import BENCH, bench_config, read_ports

TOP = "accelerator"
WAVEFORMS = ("fst", "vcd")
"""Kinds of waveform, each also the suffix of its files: FST is small, VCD needs nothing to be installed."""
TIMELINE = "timeline"
"""Kind of trace that is recorded in memory, see `rtlm.sim.timeline`."""
TRACES = (None, *WAVEFORMS, "saif", TIMELINE)


# Assertions off and two-state start-up: nothing in the generated design depends on X. Lint that Amaranth's Verilog
# triggers everywhere is off; other warnings go to the log.
_VERILATE = ["--cc", "-O3", "--x-assign", "fast", "--x-initial", "fast", "--no-assert", "--no-timing", "-Wno-fatal"]
_VERILATE += ["-Wno-CASEINCOMPLETE", "-Wno-WIDTHEXPAND", "-Wno-WIDTHTRUNC"]
# The generated design may stop clocks for the sake of speed.
_VERILATE += [f"-D{SIMULATION_MACRO}"]
# Few and large files: a compiler needs half a second to begin with one.
_VERILATE += ["--output-split", "20000", "--output-split-cfuncs", "1000", "--output-split-ctrace", "1000"]
_COMMON = ["-std=c++20", "-fPIC", "-march=native", "-DVL_TIME_CONTEXT", "-fno-strict-aliasing", "-Wno-unused"]
# Nothing outside replaces the library's functions: calls between them need no table, which makes them 9 % faster.
_COMMON += ["-fno-semantic-interposition", "-fno-plt"]
_LINK = ["-Wl,-Bsymbolic", "-pthread", "-latomic"]
_FAST = ["-O3"]
_SLOW = ["-O1"]  # code that runs seldom: constructors, initial blocks, traces
# Profile-guided optimisation: a first build counts how often branches are taken, the second is laid out by that.
_COUNT = ["-fprofile-generate", "-fprofile-update=single", "-DBENCH_PROFILE"]
_GUIDED = ["-fprofile-use", "-fprofile-partial-training", "-Wno-missing-profile"]
_RUNTIME = {
    None: ("verilated.cpp", "verilated_threads.cpp"),
    "fst": ("verilated.cpp", "verilated_threads.cpp", "verilated_fst_c.cpp"),
    "vcd": ("verilated.cpp", "verilated_threads.cpp", "verilated_vcd_c.cpp"),
    "saif": ("verilated.cpp", "verilated_threads.cpp", "verilated_saif_c.cpp"),
    TIMELINE: ("verilated.cpp", "verilated_threads.cpp"),
}


@dataclass(frozen=True)
class Build:
    """A finished build.

    Attributes
    ----------
    library : Path
        The shared library.
    key : str
        Hash of everything it depends on.
    trace : str or None
        "fst", "vcd", "saif", "timeline" or None.
    """

    library: Path
    key: str
    trace: str | None = None


@dataclass
class _Compiler:
    """Compiles several files at once and keeps a log."""

    folder: Path
    progress: Stage
    jobs: int = 2
    path: str = field(default_factory=find_compiler)

    def run(self, command: Sequence[str], what: str, environment: dict[str, str] | None = None) -> None:
        run_logged(command, self.folder, what, environment)

    def objects(self, sources: list[tuple[Path, list[str]]]) -> list[Path]:
        done = 0

        def one(source: Path, flags: list[str]) -> Path:
            nonlocal done
            target = self.folder / (source.stem + ".o")
            self.run([self.path, *flags, "-c", str(source), "-o", str(target)], f"Compiling {source.name}")
            done += 1
            self.progress(f"compiled {done} of {len(sources)} files")
            return target

        biggest_first = sorted(sources, key=lambda item: -item[0].stat().st_size)
        return self.parallel(lambda item: one(*item), biggest_first)

    def parallel(self, action: Callable, items: Sequence) -> list:
        pool = ThreadPoolExecutor(self.jobs)
        try:
            return list(pool.map(action, items))
        finally:
            pool.shutdown(cancel_futures=True)

    def link(self, objects: Sequence[Path], target: Path, flags: Sequence[str] = ()) -> None:
        command = [self.path, "-shared", *map(str, objects), "-o", str(target), *_LINK, *flags]
        if self.path.endswith("clang++"):
            command.remove("-latomic")
        self.run(command, "Linking")


def _bench_sources() -> list[tuple[str, bytes]]:
    return [(path.name, path.read_bytes()) for path in sorted(BENCH.iterdir()) if path.suffix in (".h", ".cpp")]


def memory_library(*, cache: Path | None = None) -> Path:
    """Return the library with the DRAM model alone, for stream measurements; it compiles in seconds.

    Parameters
    ----------
    cache : Path, optional
        Instead of the user's cache folder.
    """
    compiler = find_compiler()
    key = digest("memory", compiler_identity(compiler), _bench_sources())

    def make(folder: Path) -> None:
        tool = _Compiler(folder, no_stage, path=compiler)
        source = BENCH / "stream.cpp"
        flags = ["-std=c++17", "-O3", "-march=native", "-fPIC", "-shared"]
        tool.run([compiler, *flags, str(source), "-o", "memory.so"], f"Compiling {source.name}")

    return cached(key, make, cache=cache or cache_folder("sim")) / "memory.so"


def build_model(
    verilog: str,
    *,
    top: str = TOP,
    trace: str | None = None,
    train: Callable[[Build], None] | None = None,
    jobs: int = 2,
    cache: Path | None = None,
    progress: Stage = no_stage,
) -> Build:
    """Build a design with the bench into a shared library, or find it in the cache.

    Parameters
    ----------
    verilog : str
        Text of the design, with a module `top` that has the ports of an accelerator.
    top : str
        Name of the top module.
    trace : {None, "fst", "vcd", "saif", "timeline"}
        Kind of trace that `AcceleratorModel.trace_start` can write, or ``timeline``: what `rtlm.sim.timeline.Recorder`
        records, of an accelerator.
    train : callable, optional
        Simulates what is typical with the build that it is given. The compiler then optimises for the branches that
        were taken, which doubles the time to build. Needs g++.
    jobs : int
        Compilers that run at once.
    cache : Path, optional
        Instead of the user's cache folder.
    progress : callable, optional
        Called with short texts while it builds.

    Raises
    ------
    ToolError
        When a tool is missing, or the Verilog or a port is not as it must be.
    """
    if trace not in TRACES:
        raise ValueError(f"trace must be None, 'fst', 'vcd', 'saif' or 'timeline', got {trace!r}.")
    verilator, compiler = find_verilator(), find_compiler()
    if trace == "fst" and not can_write_fst():
        raise ToolError(FST_SENTENCE)
    identity = (verilator.version, str(verilator.root), compiler_identity(compiler), _COMMON, _FAST, _SLOW, _LINK)
    if train and compiler.endswith("clang++"):
        raise ToolError("A simulator that is optimised by a profile needs g++; on Debian and Ubuntu: apt install g++.")
    profile = (_COUNT, _GUIDED) if train else ()
    readable = verilator_config(top) if trace == TIMELINE else ""
    key = digest("model", verilog, top, trace, identity, _VERILATE, _bench_sources(), *profile, readable)

    def make(folder: Path) -> None:
        tool = _Compiler(folder, progress, jobs, compiler)
        _verilate(tool, verilog, top, trace, verilator)
        runtime = _runtime_objects(verilator, compiler, identity, trace, jobs, cache, progress)
        model = _ModelCompiler(tool, trace, verilator, runtime)
        if train:
            progress("compiling a build that counts branches")
            counting = Build(model.compile("counting.so", _COUNT), key, trace)
            progress("counting branches")
            train(counting)
            ctypes.CDLL(str(counting.library)).rtlm_write_profile()
            counting.library.unlink()
        model.compile("model.so", _GUIDED if train else [])
        model.clear()

    folder = cached(
        key,
        make,
        cache=cache or cache_folder("sim"),
        waiting=lambda: progress("waiting for another process that builds this"),
    )
    return Build(folder / "model.so", key, trace)


def _runtime_objects(
    verilator: Verilator,
    compiler: str,
    identity: tuple,
    trace: str | None,
    jobs: int,
    cache: Path | None,
    progress: Stage,
) -> list[Path]:
    """Verilator's own objects, which dominate small builds: compiled once for a set of flags."""

    def make(folder: Path) -> None:
        progress("compiling the Verilator runtime (once)")
        include = verilator.root / "include"
        flags = [*_COMMON, *_FAST, f"-I{include}", f"-I{include / 'vltstd'}", *_trace_flags(trace)]
        tool = _Compiler(folder, no_stage, jobs, compiler)
        tool.objects([(include / name, flags) for name in _RUNTIME[trace]])

    folder = cached(digest("runtime", identity, trace), make, cache=cache or cache_folder("sim"))
    return sorted(folder.glob("*.o"))


def _trace_flags(trace: str | None) -> list[str]:
    flags = ["-DVM_COVERAGE=0", "-DVM_SC=0", "-DVM_TIMING=0"]
    if trace is None:
        return [*flags, "-DVM_TRACE=0"]
    if trace == TIMELINE:
        return [*flags, "-DVM_TRACE=0", "-DBENCH_TIMELINE"]
    # Without NDEBUG the SAIF writer ends the process by an assertion when the disk is full.
    return [*flags, "-DVM_TRACE=1", f"-DVM_TRACE_{trace.upper()}=1", f"-DBENCH_TRACE_{trace.upper()}", "-DNDEBUG"]


def _verilate(tool: _Compiler, verilog: str, top: str, trace: str | None, verilator: Verilator) -> None:
    (tool.folder / "design.v").write_text(verilog)
    tool.progress("Verilating")
    options = [*_VERILATE, "--top-module", top, "--prefix", "Vbench", "--Mdir", "obj"]
    if trace == TIMELINE:
        (tool.folder / "readable.vlt").write_text(verilator_config(top))
        options += ["readable.vlt"]
    elif trace:
        options += [f"--trace-{trace}"]
    tool.run([*verilator.command, *options, "design.v"], "Verilator", dict(verilator.environment))
    generated = tool.folder / "obj"
    if trace == TIMELINE:
        root = (generated / "Vbench___024root.h").read_text()
        (generated / "timeline_config.h").write_text(timeline_config(root, top))
    ports = read_ports((generated / "Vbench.h").read_text())
    (generated / "bench_config.h").write_text(bench_config(ports))


class _ModelCompiler:
    """Compiles what Verilator wrote and the bench."""

    def __init__(self, tool: _Compiler, trace: str | None, verilator: Verilator, runtime: list[Path]):
        self._tool, self._trace, self._runtime = tool, trace, runtime
        self._generated = tool.folder / "obj"
        include = verilator.root / "include"
        self._flags = [*_COMMON, *_trace_flags(trace), f"-I{self._generated}", f"-I{include}"]
        self._flags += [f"-I{include / 'vltstd'}"]
        self._seldom: list[Path] | None = None

    def compile(self, name: str, profile: list[str]) -> Path:
        """Return a library; what runs often is compiled with the flags of a profile, what runs seldom once."""
        fast_flags = [*self._flags, *profile, *_FAST]
        self._tool.progress("compiling the common header")
        # What runs once or, like traces, in short windows is not worth the compiler's time.
        sources = sorted(self._generated.glob("*.cpp"))
        seldom = [each for each in sources if any(part in each.stem for part in ("__Slow", "__Syms", "__Trace"))]
        fast = self._with_header(Path(name).stem, fast_flags)
        often = [(BENCH / "bench.cpp", fast_flags), *((each, fast) for each in sources if each not in seldom)]
        if self._seldom is None:
            slow = self._with_header("seldom", [*self._flags, *_SLOW])
            objects = self._tool.objects([*often, *((each, slow) for each in seldom)])
            stems = {each.stem for each in seldom}
            self._seldom = [each for each in objects if each.stem in stems]
        else:
            objects = [*self._tool.objects(often), *self._seldom]
        self._tool.progress("linking")
        flags = ["-llz4", "-lz"] if self._trace == "fst" else []
        library = self._tool.folder / name
        self._tool.link([*objects, *self._runtime], library, [*profile, *flags])
        return library

    def _with_header(self, name: str, flags: list[str]) -> list[str]:
        """Return flags with a precompiled header, which fits one set of flags only."""
        header = self._generated / "Vbench__pch.h"
        copy = self._generated / f"header-{name}" / header.name
        copy.parent.mkdir()
        copy.write_text(f'#include "{header}"\n')
        command = [self._tool.path, *flags, "-x", "c++-header", str(copy), "-o", f"{copy}.gch"]
        self._tool.run(command, "Compiling the common header")
        return [*flags, "-include", str(copy)]

    def clear(self) -> None:
        """Remove everything but the libraries."""
        for path in [*self._tool.folder.glob("*.o"), *self._tool.folder.glob("*.gcda")]:
            path.unlink()
        shutil.rmtree(self._generated)
