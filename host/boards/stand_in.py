"""A board that is not there: runs a program against the Verilated accelerator behind the device files of a board.

``python -m rtlm.host.boards.stand_in --config tiny -- rtlm run --config tiny --backend xdma:/dev/xdma0 ...`` runs the
command with ``/dev/xdma0_*``, ``/dev/uio0`` and the u-dma-buf ``udmabuf0``, which other programs do not see. What the
program does with them, system call by system call and register access by register access, reaches gates that are
stepped by another process. Not exercised: the kernel's drivers and their interrupts, caches, PCI Express and the
interconnect, the synthesised netlist.
"""

import argparse
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields
from pathlib import Path

from rtlm.gen.common.cache import cache_folder, cached, digest
from rtlm.gen.common.errors import RtlmError, ToolError
from rtlm.gen.common.tool_runs import run_logged
from rtlm.gen.configuration.load import load_config
from rtlm.gen.rtl.verilog import build_rtl
from rtlm.host.boards.stand_in_process import READY, stand_in_process
from rtlm.host.boards.stand_in_server import Faults, Server
from rtlm.host.runtime.simulated_memory import simulated_memory
from rtlm.hw.registers.accelerator import register_map
from rtlm.sim import AcceleratorModel, build_model, find_compiler
from rtlm.sim.verilator.find import compiler_identity

SOURCE = Path(__file__).parent / "native" / "device_files.cpp"
FLAGS = ("-std=c++17", "-O2", "-fPIC", "-shared")
MACHINE = "x86_64"
SOCKET = "socket"
DEFAULT_MIB = 4


def check_machine() -> None:
    """Refuse machines whose processor cannot trap the accesses to registers."""
    if os.uname().machine != MACHINE:
        raise ToolError(f"The stand-in for device files needs an {MACHINE} processor, got {os.uname().machine}.")


def library() -> Path:
    """Return the library that answers for device files; it compiles in a second."""
    check_machine()
    compiler = find_compiler()
    key = digest("device files", compiler_identity(compiler), FLAGS, SOURCE.read_bytes())

    def make(folder: Path) -> None:
        command = [compiler, *FLAGS, str(SOURCE), "-o", "device_files.so", "-ldl"]
        run_logged(command, folder, f"Compiling {SOURCE.name}")

    return cached(key, make, cache=cache_folder("sim")) / "device_files.so"


@contextmanager
def stand_in(
    config: str,
    overrides: Sequence[str] = (),
    *,
    mib: int = DEFAULT_MIB,
    base: int = 0,
    faults: Faults | None = None,
) -> Iterator[dict[str, str]]:
    """Start the process that steps an accelerator; give the variables with which programs find its device files.

    Parameters
    ----------
    config, overrides
        Preset or file of the configuration, and changes to it.
    mib
        Memory behind the accelerator, in MiB.
    base
        Physical address at which it begins.
    faults
        What goes wrong.

    Raises
    ------
    ToolError
        If the process cannot be started, with what it says.
    """
    files = library()
    with tempfile.TemporaryDirectory(prefix="rtlm-") as folder:
        path = Path(folder) / SOCKET
        command = [sys.executable, "-m", __spec__.name, "--serve", folder, "--config", config]
        command += ["--mib", str(mib), "--base", hex(base)]
        command += [f"--{name}={value}" for name, value in asdict(faults or Faults()).items() if value]
        with stand_in_process(command, overrides, what="accelerator"):
            preload = " ".join(filter(None, (str(files), os.environ.get("LD_PRELOAD"))))
            yield {"LD_PRELOAD": preload, "RTLM_STAND_IN": str(path)}


def serve(folder: Path, config: str, overrides: Sequence[str], *, mib: int, base: int, faults: Faults) -> None:
    """Step an accelerator until the process is ended; a line on standard output says that it is ready."""
    loaded = load_config(config, overrides)
    build = build_model(build_rtl(loaded).verilog.read_text())
    with (
        AcceleratorModel(
            build, dram=simulated_memory(loaded), clock_mhz=loaded.clock_mhz, memory_bytes=mib << 20
        ) as model,
        socket.socket(socket.AF_UNIX) as listener,
    ):
        listener.bind(str(folder / SOCKET))
        listener.listen()
        registers = register_map(loaded.matmul.columns)
        server = Server(model, registers, listener, folder, base=base, faults=faults)
        print(READY, flush=True)
        server.serve()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command with the device files, or be the process behind them; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m rtlm.host.boards.stand_in", description=__doc__)
    parser.add_argument("--config", "-c", default="tiny", help="preset or file of the configuration")
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--mib", type=int, default=DEFAULT_MIB, help="memory behind the accelerator")
    parser.add_argument("--base", type=lambda text: int(text, 0), default=0, help="address at which it begins")
    for each in fields(Faults):
        parser.add_argument(f"--{each.name}", type=int, default=0, metavar="N", help="a fault; see Faults")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("command", nargs="*", help="behind --: what is run")
    given = parser.parse_args(arguments)
    faults = Faults(**{each.name: getattr(given, each.name) for each in fields(Faults)})
    try:
        if given.serve:
            serve(given.serve, given.config, given.overrides, mib=given.mib, base=given.base, faults=faults)
        if not given.command:
            parser.error("a command must follow --")
        with stand_in(given.config, given.overrides, mib=given.mib, base=given.base, faults=faults) as variables:
            return subprocess.run(given.command, env=os.environ | variables, check=False).returncode
    except RtlmError as error:
        print(error, file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    sys.exit(main())
