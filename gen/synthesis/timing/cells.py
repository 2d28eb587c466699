"""Static timing of a unit in standard cells: mapped by yosys, timed by OpenSTA with the tables of the liberty file.

Delays depend on slews and loads; wires are a load for each sink, as nothing is placed. Larger memories stand outside:
their ports count as registers. Ports of the unit itself begin and end no path.
"""

import gzip
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path as File
from typing import Any

import yaml
from rtlm.gen.boards.constraints import FOLDER
from rtlm.gen.common.errors import ToolError
from rtlm.gen.common.progress import Stage, no_stage
from rtlm.gen.synthesis import asic, yosys
from rtlm.gen.synthesis.library import read_library, smallest_inverter
from rtlm.gen.synthesis.place import Step, signal_name
from rtlm.gen.synthesis.results import result_key, stored
from rtlm.gen.synthesis.targets import ASIC
from rtlm.gen.synthesis.timing.paths import End, Path, of_pairs

STA = "sta"
PACKAGE = "opensta"
"""Debian's package of OpenSTA."""
CONDITIONS = FOLDER / f"timing-{ASIC}.yaml"
MAPPED, LIBERTY, CONSTRAINT = "mapped.v.gz", "cells.lib", "abc.constr"
ENDS = 5000
"""The slowest ends, among which paths of different pairs of instances are looked for."""

MAPPER = f"+strash;{asic.MAPPING};buffer,-c,-N,16;upsize,{{D}};dnsize,{{D}}"
"""ABC's script: mapping without the passes for area, which make chains of what were trees; then buffers in nets of more
than 16 sinks, and sizes for the clock."""

_TIMING = """\
read_liberty {liberty}
read_verilog mapped.v
link_design {{{top}}}
set_wire_load_model -name wires
create_clock -name clock -period {period_ns} [get_ports *clk]
foreach port [get_ports -quiet *.RD_DATA*] {{ set_input_delay {clock_to_output_ns} -clock clock $port }}
foreach name {{RD_ADDR RD_EN WR_ADDR WR_EN WR_DATA}} {{
  foreach port [get_ports -quiet "*.$name*"] {{ set_output_delay {setup_ns} -clock clock $port }}
}}
foreach path [find_timing_paths -path_delay max -group_count {ends}] {{
  puts "path [get_property $path slack]"
  foreach point [get_property $path points] {{
    puts "[get_property $point arrival] [get_full_name [get_property $point pin]]"
  }}
}}
"""


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What timing takes besides the liberty file: contents of ``constraints/timing-asic.yaml``."""

    device: str
    wire_pf_per_sink: float
    memory: Mapping[str, float]
    output_load_pf: float
    driving_cell: str
    error: float


def load_conditions() -> Conditions:
    """Read the conditions."""
    return Conditions(**yaml.safe_load(CONDITIONS.read_text(encoding="utf-8")))


def conditions_for(own: File | None) -> Conditions:
    """Return the conditions of a library: those of the file in ``constraints``, or by the rule below.

    A wire to a sink has the capacitance of the smallest inverter's input, an output drives three of them, and the
    memories' times are 20 and 5 delays of such an inverter that drives four: what ``timing-asic.yaml`` has for OSU018.

    Parameters
    ----------
    own
        A liberty file in place of the one that is fetched.
    """
    if own is None:
        return load_conditions()
    cells, inverter = read_library(own), smallest_inverter(own)
    return Conditions(
        device=f"{cells.name} ({cells.volt:g} V)",
        wire_pf_per_sink=inverter.input_pf,
        memory={"clock_to_output_ns": 20 * inverter.delay_ns, "setup_ns": 5 * inverter.delay_ns},
        output_load_pf=3 * inverter.input_pf,
        driving_cell=inverter.name,
        error=load_conditions().error,
    )


def library(own: File | None = None) -> File:
    """Return the liberty file of the cells, and refuse to begin without it or OpenSTA.

    Parameters
    ----------
    own
        A liberty file in place of the one that is fetched.

    Raises
    ------
    ToolError
        If one cannot be had; the message says how to get it.
    """
    if not shutil.which(STA):
        raise ToolError(f"OpenSTA (the command {STA}) is missing; on Debian: apt-get install {PACKAGE}.")
    if own:
        return own
    if not (found := asic.liberty()):
        raise ToolError(f"{asic.LIBERTY_PACKAGE}, the standard cells, cannot be fetched; there is nothing to time.")
    return found


def time_cells(
    text: str,
    top: str,
    clock_mhz: float,
    objects: Mapping[str, Any],
    paths: int,
    progress: Stage = no_stage,
    own: File | None = None,
) -> tuple[int, list[Path]]:
    """Return the number of cells of a unit, and the slowest path of each pair of its instances, the slowest first.

    Parameters
    ----------
    text, top
        RTLIL and the name of its top module.
    clock_mhz
        Clock that cells are sized for.
    objects
        What each module is, to name paths by.
    paths
        How many paths.
    progress
        Called with a short text when there is work to do.
    own
        A liberty file in place of the one that is fetched.

    Raises
    ------
    YosysError, ToolError
        If a tool refuses the design or is not installed.
    """
    conditions = conditions_for(own)
    commands = _commands(top, clock_mhz, conditions)

    def make(folder: File) -> dict[str, Any]:
        progress(f"cells of {top} at {clock_mhz:g} MHz")
        return _measure(text, top, clock_mhz, commands, conditions, folder, progress, own)

    parts = [
        ASIC,
        clock_mhz,
        repr(conditions),
        commands,
        _TIMING,
        ENDS,
        read_library(own).sha256 if own else asic.LIBERTY_PACKAGE,
        yosys.version(),
        yosys.MODULES,
    ]
    values = stored("cells", result_key(parts, text), make).values
    return values["cells"], of_pairs(_ends(values["ends"], 1000 / clock_mhz), objects, top, paths)


def _commands(top: str, clock_mhz: float, conditions: Conditions) -> list[str]:
    """Return the commands for yosys that map a unit, flat, and write it as Verilog."""
    return [
        *(command.format(top=top) for command in asic.SYNTHESIS),
        "expose -evert t:$mem_v2",
        # Registers are named after what they drive.
        "rename -wire t:$_DFF_P_",
        f"dfflibmap -liberty {LIBERTY}",
        "opt_clean",
        f"abc -liberty {LIBERTY} -constr {CONSTRAINT} -D {1e6 / clock_mhz:.0f} -script {MAPPER}",
        "opt_clean",
        "tee -q -o statistics.json stat -json",
        "write_verilog -noattr -noexpr -nohex -simple-lhs mapped.v",
    ]


def _measure(
    text: str,
    top: str,
    clock_mhz: float,
    commands: Sequence[str],
    conditions: Conditions,
    folder: File,
    progress: Stage,
    own: File | None,
) -> dict[str, Any]:
    liberty = shutil.copyfile(library(own), folder / LIBERTY)
    constraint = f"set_driving_cell {conditions.driving_cell}\nset_load {1000 * conditions.output_load_pf:g}\n"
    (folder / CONSTRAINT).write_text(constraint, encoding="utf-8")
    yosys.run_on(text, commands, folder)
    netlist = (folder / "mapped.v").read_text(encoding="utf-8").replace(" signed ", " ")
    (folder / "mapped.v").write_text(netlist, encoding="utf-8")
    progress(f"static timing of {top}")
    (folder / "wired.lib").write_text(with_wires(liberty.read_text(encoding="utf-8"), conditions), encoding="utf-8")
    script = _TIMING.format(liberty="wired.lib", top=top, period_ns=1000 / clock_mhz, ends=ENDS, **conditions.memory)
    (folder / "timing.tcl").write_text(script, encoding="utf-8")
    done = subprocess.run(
        [STA, "-exit", "-no_splash", "timing.tcl"], cwd=folder, capture_output=True, text=True, errors="replace"
    )
    ends = list(read_paths(done.stdout))
    if done.returncode or not ends:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise ToolError(f"OpenSTA found no path in {top}: {said[0] if said else 'it gave no reason'}")
    with gzip.open(folder / MAPPED, "wb", compresslevel=3) as packed:
        packed.write(netlist.encode())
    for name in ("mapped.v", "wired.lib"):
        (folder / name).unlink()
    counts = yosys.cells_by_module((folder / "statistics.json").read_text(encoding="utf-8"))
    return {"cells": sum(counts[top].values()), "ends": ends}


def with_wires(liberty: str, conditions: Conditions) -> str:
    """Return a liberty file with the wire load model ``wires``."""
    head, brace, rest = liberty.partition("{")
    load = f"{conditions.wire_pf_per_sink:g}"
    model = f"wire_load(wires) {{ resistance : 0; capacitance : 1; slope : {load}; fanout_length(1, {load}); }}"
    return f"{head}{brace}\n  {model}\n{rest}"


def read_paths(output: str) -> Iterator[dict[str, Any]]:
    """Read paths as the script prints them: a line with the slack, then arrival and pin of each point."""
    found: dict[str, Any] | None = None
    for line in output.splitlines():
        first, _, rest = line.partition(" ")
        if first == "path":
            if found:
                yield found
            found = {"slack_ns": float(rest), "points": []}
        elif found is not None and rest:
            found["points"].append([round(float(first), 4), rest.replace("\\", "")])
    if found:
        yield found


def _ends(found: Iterable[Mapping[str, Any]], period_ns: float) -> Iterator[End]:
    """Return where the paths that were read end."""
    for path in found:
        points, taken = path["points"], period_ns - path["slack_ns"]
        yield End(taken, _signal(points[0][1]), _signal(points[-1][1]), partial(_steps, points, taken))


def _steps(points: Sequence[tuple[float, str]], period_ns: float) -> list[Step]:
    """Return a path cell by cell: points alternate between the output of one and an input of the next."""
    steps, before = [Step(kind="clk-to-q", delay_ns=points[0][0], signal=_signal(points[0][1]))], points[0][0]
    for arrival, pin in points[2::2]:
        steps.append(Step(kind="logic", delay_ns=round(arrival - before, 3), signal=_signal(pin)))
        before = arrival
    steps.append(Step(kind="setup", delay_ns=round(period_ns - points[-1][0], 3), signal=_signal(points[-1][1])))
    return steps


def _signal(pin: str) -> str:
    """Return what a pin belongs to: a register by what it drives, a cell that ABC made as unnamed."""
    cell = pin.rpartition("/")[0] or pin
    return f"${cell}" if cell.startswith("_") else signal_name(cell)
