"""Static timing of a unit: its flat netlist, mapped by yosys, and the clock that the delays allow."""

import gzip
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rtlm.gen.common.errors import GenerateError
from rtlm.gen.common.progress import Stage, no_stage
from rtlm.gen.synthesis import yosys
from rtlm.gen.synthesis.harness import harness
from rtlm.gen.synthesis.netlist import down_to
from rtlm.gen.synthesis.results import result_key, stored
from rtlm.gen.synthesis.targets import ASIC, TARGETS
from rtlm.gen.synthesis.timing import cells
from rtlm.gen.synthesis.timing.graph import arrive, build
from rtlm.gen.synthesis.timing.mapped import Mapped, read_mapped
from rtlm.gen.synthesis.timing.paths import Path as WorstPath
from rtlm.gen.synthesis.timing.paths import worst
from rtlm.gen.synthesis.timing.technology import TIMED, Delays, load_delays

MAPPED = "mapped.json.gz"
PATHS = 10
"""Paths in a report."""


TIMED_TARGETS = (*TIMED, ASIC)
"""Targets that can be timed."""


@dataclass(frozen=True, kw_only=True)
class StaticTiming:
    """What static timing found.

    Parameters
    ----------
    device
        Device and speed grade, or cells, whose delays were taken.
    clock_mhz
        Clock that was asked for.
    fmax_mhz
        Clock that the nominal delays allow.
    low_mhz
        What is left of it if the model is too fast by the error that its file states.
    cells
        Cells of the netlist.
    paths
        The slowest path of each pair of instances, the slowest first.
    """

    device: str
    clock_mhz: float
    fmax_mhz: float
    low_mhz: float
    cells: int
    paths: tuple[WorstPath, ...]

    @property
    def met(self) -> bool:
        """Whether the clock is reached at the pessimistic end of the model."""
        return self.low_mhz >= self.clock_mhz


def check_timed(target: str, liberty: Path | None = None) -> None:
    """Refuse a target that cannot be timed.

    Raises
    ------
    GenerateError
        If there are no delays for it.
    ToolError
        If it needs a tool that is not installed.
    """
    if target not in TIMED_TARGETS:
        known = ", ".join(TIMED_TARGETS)
        raise GenerateError(f"There are no delays for target {target}; static timing knows {known}.")
    if target == ASIC:
        cells.library(liberty)


def time_unit(
    text: str,
    top: str,
    target: str,
    clock_mhz: float,
    objects: Mapping[str, Any],
    progress: Stage = no_stage,
    liberty: Path | None = None,
) -> StaticTiming:
    """Map a unit and return its clock.

    Parameters
    ----------
    text, top
        RTLIL and the name of its top module.
    target, clock_mhz
        One of `TIMED_TARGETS`, and the clock that is asked for.
    objects
        What each module is, to name paths by.
    progress
        Called with a short text when there is work to do.
    liberty
        Standard cells in place of those that are fetched.

    Raises
    ------
    LoopError
        If there is a combinational loop.
    YosysError, ToolError
        If a tool refuses the design.
    """
    if target != ASIC:
        return analyse(flat_netlist(text, top, target, progress), target, clock_mhz, top, objects)
    conditions = cells.conditions_for(liberty)
    count, paths = cells.time_cells(text, top, clock_mhz, objects, PATHS, progress, liberty)
    return _timing(conditions, clock_mhz, paths[0].period_ns, count, paths)


def analyse(
    netlist: Mapped, target: str, clock_mhz: float, top: str, objects: Mapping[str, Any], paths: int = PATHS
) -> StaticTiming:
    """Return the clock of a mapped netlist.

    Parameters
    ----------
    netlist
        It.
    target
        Whose delays are taken.
    clock_mhz
        Clock that is asked for.
    top, objects
        Hierarchical name of the unit, and what each module is, to name paths by.
    paths
        How many paths.

    Raises
    ------
    GenerateError, LoopError
        As `rtlm.gen.synthesis.timing.graph.build` does.
    """
    delays = load_delays(target)
    graph = build(netlist, delays)
    times = arrive(graph, delays.wires)
    found = worst(graph, times, delays.wires, objects, top, paths)
    return _timing(delays, clock_mhz, times.period_ns, len(netlist.cells), found)


def _timing(
    delays: Delays | cells.Conditions, clock_mhz: float, period_ns: float, count: int, paths: Sequence[WorstPath]
) -> StaticTiming:
    """Return the clock that a period allows, and what is left of it by the error that a file states."""
    fmax = 1000 / period_ns
    return StaticTiming(
        device=delays.device,
        clock_mhz=clock_mhz,
        fmax_mhz=round(fmax, 1),
        low_mhz=round(fmax / (1 + delays.error), 1),
        cells=count,
        paths=tuple(paths),
    )


def flat_netlist(text: str, top: str, target: str, progress: Stage = no_stage) -> Mapped:
    """Return the flat, mapped netlist of a unit in a harness; it is made once.

    Parameters
    ----------
    text, top
        RTLIL and the name of its top module.
    target
        A key of `rtlm.gen.synthesis.targets.TARGETS`.
    progress
        Called with a short text when there is work to do.

    Raises
    ------
    YosysError
        If yosys refuses the design.
    """
    around = harness(text, top)
    below = [name for name in down_to(text, top, TARGETS[target].mapped_apart) if name != top]
    apart = [f"setattr -mod -set keep_hierarchy 1 {name}" for name in below]
    together = ["setattr -mod -unset keep_hierarchy *", "flatten", "opt_clean"] if below else []

    def make(folder: Path) -> dict[str, Any]:
        progress(f"flat synthesis of {top} for {target}")
        script = [command.format(top="top") for command in TARGETS[target].script]
        commands = [*around.commands(folder), *apart, *script, *together, "write_json mapped.json"]
        yosys.run_on(text, commands, folder, TARGETS[target].macros)
        written = folder / "mapped.json"
        with gzip.open(folder / MAPPED, "wb", compresslevel=3) as packed:
            packed.write(written.read_bytes())
        written.unlink()
        return {"top": top}

    parts = [target, repr(TARGETS[target]), yosys.version(), yosys.PREPARATION, yosys.MODULES, around.verilog]
    folder = stored("flat", result_key(parts, text), make).folder
    progress(f"static timing of {top}")
    return read_mapped(folder / MAPPED, "top")
