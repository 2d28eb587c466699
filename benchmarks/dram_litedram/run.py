"""Building the two benches and replaying patterns on them."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

from rtlm.gen.common.cache import cache_folder, cached, digest
from rtlm.gen.common.errors import ToolError
from rtlm.sim.memory.dram import DramStruct
from rtlm.sim.memory.stream import check_fields
from rtlm.sim.verilator.build import BENCH
from rtlm.sim.verilator.find import compiler_identity, find_compiler, find_verilator

from .patterns import Pattern
from .settings import FrontStruct

HERE = Path(__file__).parent
WARM_UP = 16
"""One in so many accesses comes before the measurement."""

_FLAGS = ["-std=c++17", "-O3", "-march=native", "-fPIC", "-Wno-unused"]


class _Request(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int64) for name in ("count", "warm_up", "in_order")]


class Result(ctypes.Structure):
    """`Result` in accesses.h."""

    _fields_ = [(name, ctypes.c_int64) for name in ("beats", "cycles", "errors", "checked")]

    @property
    def efficiency(self) -> float:
        """Data beats over cycles: a controller cycle carries one burst at best."""
        return self.beats / self.cycles


def _run(command: list[str], folder: Path, what: str, environment: tuple[tuple[str, str], ...] = ()) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env={**os.environ, **dict(environment)})
    with (folder / "log").open("a") as log:
        log.write(f"$ {' '.join(command)}\n{done.stdout}{done.stderr}\n")
    if done.returncode:
        kept = folder.parent / f"{folder.name.partition('.')[0]}.log"
        raise ToolError(f"{what} failed with exit code {done.returncode}; the whole output is in {kept}.")


def _own(source: str) -> list[bytes]:
    return [(HERE / name).read_bytes() for name in (source, "accesses.h")]


def _headers() -> list[bytes]:
    return [path.read_bytes() for path in sorted(BENCH.glob("*.h"))]


def controller_library(
    verilog: str, *, ports: int, data_bits: int, cache: Path | None = None, progress: Callable[[str], None]
) -> Path:
    """Return litedram's controller and its bench as a shared library; it takes about a minute when it is not cached.

    Parameters
    ----------
    verilog : str
        From `rtl.controller`.
    ports, data_bits : int
        Its ports and their width.
    cache : Path, optional
        Instead of the user's cache folder.
    progress : callable
        Called with short texts.

    Raises
    ------
    ToolError
        When Verilator or the compiler is missing or fails.
    """
    verilator, compiler = find_verilator(), find_compiler()
    include = verilator.root / "include"

    def make(folder: Path) -> None:
        (folder / "controller.v").write_text(verilog)
        progress("Verilating litedram's controller")
        options = ["--cc", "-O3", "--x-assign", "fast", "--x-initial", "fast", "--no-timing", "-Wno-fatal", "-Wno-lint"]
        options += ["--top-module", "controller", "--prefix", "Vcontroller", "--Mdir", "obj", "controller.v"]
        _run([*verilator.command, *options], folder, "Verilator", verilator.environment)
        progress("compiling it")
        flags = [*_FLAGS[1:], "-std=c++20", "-shared", "-DVM_TRACE=0", "-DVM_COVERAGE=0", "-DVM_SC=0", "-DVM_TIMING=0"]
        flags += [f"-DCHECK_PORTS={ports}", f"-DCHECK_DATA_BITS={data_bits}", "-DVL_TIME_CONTEXT"]
        flags += [f"-I{path}" for path in (folder / "obj", include, include / "vltstd", HERE)]
        sources = [*sorted((folder / "obj").glob("*.cpp")), HERE / "controller_bench.cpp"]
        sources += [include / "verilated.cpp", include / "verilated_threads.cpp"]
        command = [compiler, *flags, *map(str, sources), "-o", "controller.so", "-pthread"]
        _run(command, folder, "Compiling litedram's controller")

    key = digest(
        "litedram", verilog, ports, compiler_identity(compiler), verilator.version, _own("controller_bench.cpp")
    )
    cache = cache or cache_folder("sim")
    return cached(key, make, cache=cache, waiting=lambda: progress("waiting for another build")) / "controller.so"


def channel_library(*, cache: Path | None = None) -> Path:
    """Return our channel and its bench as a shared library.

    Parameters
    ----------
    cache : Path, optional
        Instead of the user's cache folder.
    """
    compiler = find_compiler()

    def make(folder: Path) -> None:
        command = [compiler, *_FLAGS, "-shared", f"-I{HERE}", f"-I{BENCH}", str(HERE / "channel_bench.cpp")]
        _run([*command, "-o", "channel.so"], folder, "Compiling the channel bench")

    key = digest("channel", compiler_identity(compiler), _own("channel_bench.cpp"), _headers())
    return cached(key, make, cache=cache or cache_folder("sim")) / "channel.so"


def _request(pattern: Pattern) -> _Request:
    count = len(pattern.accesses)
    return _Request(count, max(1, count // WARM_UP), pattern.in_order)


def run_controller(library: Path, pattern: Pattern) -> Result:
    """Replay a pattern on litedram's controller.

    Parameters
    ----------
    library : Path
        From `controller_library`.
    pattern : Pattern
        What to replay.
    """
    result = Result()
    loaded = ctypes.CDLL(str(library))
    loaded.check_run.restype = None
    data = pattern.accesses.ctypes.data_as(ctypes.c_void_p)
    loaded.check_run(ctypes.byref(_request(pattern)), data, ctypes.byref(result))
    return result


def run_channel(library: Path, pattern: Pattern, memory: DramStruct, front: FrontStruct, ports: int) -> Result:
    """Replay a pattern on our channel.

    Parameters
    ----------
    library : Path
        From `channel_library`.
    pattern : Pattern
        What to replay.
    memory : DramStruct
        Timings and scheduler.
    front : FrontStruct
        What stands in front of it.
    ports : int
        Ports that the pattern may name.
    """
    result = Result()
    loaded = ctypes.CDLL(str(library))
    check_fields(loaded)
    loaded.check_run.restype = None
    data = pattern.accesses.ctypes.data_as(ctypes.c_void_p)
    loaded.check_run(
        ctypes.byref(memory),
        ctypes.byref(front),
        ctypes.byref(_request(pattern)),
        data,
        ctypes.c_int64(ports),
        ctypes.byref(result),
    )
    return result
