"""A board that is not there, behind a pseudo-terminal: runs a program against the Verilated top of the ULX3S's link.

``python -m rtlm.host.boards.serial_stand_in --tty ttyULX3S -- rtlm run --backend uart:ttyULX3S ...`` runs the command
while the name given with ``--tty`` leads to a pseudo-terminal. What the program writes there reaches the pin `rx` of
gates that are stepped by another process, bit by bit; what their pin `tx` sends can be read. Not exercised: USB and
its bridge, the board's memory (the bench's stands behind the port), the synthesised netlist.
"""

import argparse
import contextlib
import os
import select
import subprocess
import sys
import tty
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import rtlm.gen.rtl
import rtlm.hw
from rtlm.gen.common.cache import remembered
from rtlm.gen.common.errors import RtlmError
from rtlm.gen.configuration.load import load_config
from rtlm.gen.configuration.schema import Configuration, config_hash
from rtlm.gen.rtl.verilog import TOP, emit
from rtlm.host.boards.stand_in_process import READY, stand_in_process
from rtlm.host.runtime.simulated_memory import simulated_memory
from rtlm.hw.board.linked import LinkedAccelerator, LinkedParams
from rtlm.sim import AcceleratorModel, build_model
from rtlm.sim.serial_line import SerialLine

PRESET = "ulx3s-selftest"
DIVISOR = 4
"""Cycles of a bit: the fewest, for a simulation of few cycles."""
SLICE_CYCLES = 1_000
QUIET_CYCLES = 4_000
"""Cycles without a byte after which the gates stand still until the next one comes; a host that waits asks on."""
FLIPPED = 0x10


@dataclass(frozen=True, kw_only=True)
class SerialFaults:
    """What goes wrong; bytes are counted from the start, those of all programs together.

    Parameters
    ----------
    noise, noise_back
        Every how manyth byte to the board, and from it, has a bit wrong; 0 for none.
    extra
        Every how manyth byte from the board is preceded by one that nobody has sent; 0 for none.
    cut
        Byte to the board at which the cable is pulled; the board is off then, and back under the same name at once.
    reset
        Byte to the board at which its reset button is pressed.
    short
        Bytes that can be read at once at most; 0 for any number.
    skew
        Per mille by which the host's bits are longer than the board's.
    """

    noise: int = 0
    noise_back: int = 0
    extra: int = 0
    cut: int = 0
    reset: int = 0
    short: int = 0
    skew: int = 0


def linked_params(config: Configuration, memory_bytes: int) -> LinkedParams:
    """Return what a configuration's accelerator is behind a line of `DIVISOR` cycles a bit."""
    clock_hz = config.clock_mhz * 1e6
    return LinkedParams(
        accelerator=config.to_params(), clock_hz=clock_hz, baud=int(clock_hz / DIVISOR), memory_bytes=memory_bytes
    )


def linked_verilog(config: Configuration, memory_bytes: int) -> str:
    """Return the Verilog of an accelerator behind a serial line."""
    params = linked_params(config, memory_bytes)
    return str(
        remembered(
            "linked",
            (rtlm.hw, rtlm.gen.rtl),
            config_hash(config),
            params.divisor,
            memory_bytes,
            compute=lambda: emit(LinkedAccelerator(params), TOP).verilog,
        )
    )


class SerialBoard:
    """A board behind a pseudo-terminal.

    Parameters
    ----------
    model
        The gates.
    path
        Name under which the terminal is found: a symbolic link that is made anew with each terminal.
    faults
        What goes wrong.
    """

    def __init__(self, model: AcceleratorModel, path: Path, faults: SerialFaults) -> None:
        self._model, self._path, self._faults = model, path, faults
        self._line = SerialLine(model, DIVISOR * (1 + faults.skew / 1000))
        self._to_board = self._from_board = 0
        self._plug()

    def _plug(self) -> None:
        """Make a terminal."""
        self._ours, self._theirs = os.openpty()
        tty.setraw(self._theirs)
        # Both stay open: programs come and go.
        temporary = self._path.with_name(f"{self._path.name}.new")
        temporary.symlink_to(os.ttyname(self._theirs))
        temporary.replace(self._path)

    def serve(self) -> None:
        """Step the gates while there is something on the line, until the process is ended."""
        quiet = QUIET_CYCLES
        while True:
            ready, _, _ = select.select([self._ours], [], [], 0 if quiet < QUIET_CYCLES else None)
            if ready:
                self._receive()
            before = self._line.unsent
            self._model.step(SLICE_CYCLES)
            answer = self._line.take()
            if answer:
                self._send(answer)
            quiet = 0 if ready or before or answer else quiet + SLICE_CYCLES

    def _receive(self) -> None:
        """Pass on what a program has written."""
        content = bytearray(os.read(self._ours, 4096))
        first, self._to_board = self._to_board, self._to_board + len(content)
        self._spoil(content, first, self._faults.noise)
        self._line.send(bytes(content))
        if first < self._faults.reset <= self._to_board:
            self._model.step(SLICE_CYCLES)
            self._model.reset()
        if first < self._faults.cut <= self._to_board:
            self._model.step(SLICE_CYCLES)
            os.close(self._ours)
            os.close(self._theirs)
            self._model.reset()
            self._line.take()
            self._plug()

    def _send(self, answer: bytes) -> None:
        """Pass on what the board has sent."""
        content = bytearray(answer)
        first, self._from_board = self._from_board, self._from_board + len(content)
        self._spoil(content, first, self._faults.noise_back)
        if self._faults.extra:
            for place in reversed(_places(first, len(content), self._faults.extra)):
                content.insert(place, FLIPPED)
        at_once = self._faults.short or len(content)
        for start in range(0, len(content), at_once):
            with contextlib.suppress(BlockingIOError):
                os.write(self._ours, content[start : start + at_once])
            if self._faults.short:
                # Until the program has read it.
                while _unread(self._theirs):
                    pass

    @staticmethod
    def _spoil(content: bytearray, first: int, every: int) -> None:
        for place in _places(first, len(content), every):
            content[place] ^= FLIPPED


def _places(first: int, count: int, every: int) -> list[int]:
    """Return the places of bytes of which each has a number that `every` divides."""
    return [n for n in range(count) if every and (first + n + 1) % every == 0]


def _unread(terminal: int) -> bool:
    poll = select.poll()
    poll.register(terminal, select.POLLIN)
    return bool(poll.poll(0))


@contextmanager
def serial_stand_in(
    config: str,
    path: Path,
    overrides: Sequence[str] = (),
    *,
    memory_bytes: int = 0,
    faults: SerialFaults | None = None,
) -> Iterator[None]:
    """Start the process that steps a board; it is there, under its name, until the end.

    Parameters
    ----------
    config, overrides
        Preset or file of the configuration, and changes to it.
    path
        Name of its terminal.
    memory_bytes
        Of the board's memory; 0 for all that the configuration can address.
    faults
        What goes wrong.

    Raises
    ------
    ToolError
        If the process cannot be started, with what it says.
    """
    command = [sys.executable, "-m", __spec__.name, "--serve", "--tty", str(path), "--config", config]
    command += ["--memory-bytes", str(memory_bytes)]
    command += [f"--{name.replace('_', '-')}={value}" for name, value in asdict(faults or SerialFaults()).items()]
    try:
        with stand_in_process(command, overrides, what="board"):
            yield
    finally:
        path.unlink(missing_ok=True)


def serve(config: Configuration, path: Path, memory_bytes: int, faults: SerialFaults) -> None:
    """Step a board until the process is ended; a line on standard output says that it is ready."""
    size = memory_bytes or 1 << config.memory.address_bits
    build = build_model(linked_verilog(config, size))
    with AcceleratorModel(build, dram=simulated_memory(config), clock_mhz=config.clock_mhz, memory_bytes=size) as model:
        board = SerialBoard(model, path, faults)
        print(READY, flush=True)
        board.serve()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command with the terminal, or be the process behind it; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m rtlm.host.boards.serial_stand_in", description=__doc__)
    parser.add_argument("--config", "-c", default=PRESET, help="preset or file of the configuration")
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--tty", type=Path, required=True, help="name of the terminal, made as a symbolic link")
    parser.add_argument("--memory-bytes", type=int, default=0, help="0: all that the configuration can address")
    for each in fields(SerialFaults):
        name = f"--{each.name.replace('_', '-')}"
        parser.add_argument(name, type=int, default=0, metavar="N", help="a fault; see SerialFaults")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("command", nargs="*", help="behind --: what is run")
    given = parser.parse_args(arguments)
    faults = SerialFaults(**{each.name: getattr(given, each.name) for each in fields(SerialFaults)})
    try:
        if given.serve:
            serve(load_config(given.config, given.overrides), given.tty, given.memory_bytes, faults)
        if not given.command:
            parser.error("a command must follow --")
        with serial_stand_in(given.config, given.tty, given.overrides, memory_bytes=given.memory_bytes, faults=faults):
            return subprocess.run(given.command, check=False).returncode
    except RtlmError as error:
        print(error, file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
