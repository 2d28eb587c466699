"""Size in standard cells: gate equivalents and area, with memories left aside as bits of SRAM.

The one liberty file that a package manager offers is Debian's ``qflow-tech-osu018`` (Oklahoma State University, TSMC
0.18 um; Debian states the GPL). It is fetched into the cache when first needed and is no part of this project. Where it
cannot be had, gates are yosys' own and a gate equivalent is four of the transistors that ``stat -tech cmos`` estimates.
Any other library can be given as a liberty file (`rtlm.gen.synthesis.library`).
"""

import json
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rtlm.gen.common.cache import cache_folder, cached
from rtlm.gen.common.errors import ToolError
from rtlm.gen.common.progress import Stage, no_stage
from rtlm.gen.synthesis import yosys
from rtlm.gen.synthesis.library import Library, read_library
from rtlm.gen.synthesis.netlist import modules

LIBERTY_PACKAGE = "qflow-tech-osu018"
LIBERTY_FILE = "usr/share/qflow/tech/osu018/osu018_stdcells.lib"
FETCH_SECONDS = 60.0
"""Time that its download may take."""
TRANSISTORS_PER_GE = 4
"""Of a two-input NAND in CMOS."""

SMALL_MEMORY_WORDS, SMALL_MEMORY_WIDTH = 64, 64
"""Memories of up to so many words of up to so many bits, and constant tables, become cells; others are SRAM."""

SYNTHESIS = (
    "synth -flatten -noabc -top {top} -run :fine",
    "memory_map -rom-only",
    f"memory_map t:$mem_v2 r:SIZE<={SMALL_MEMORY_WORDS} %i r:WIDTH<={SMALL_MEMORY_WIDTH} %i",
    # Cells have no initial values: reset brings the state, and no memory is read before it is written.
    "setattr -unset init w:*",
    "opt -undriven -fine",
    "techmap -map +/techmap.v -map +/choices/kogge-stone.v",
    "opt",
    "simplemap",
    "dfflegalize -cell $_DFF_P_ x",
    "opt -nodffe -nosdff",
)
"""yosys' generic synthesis, but with memories kept and fast adders."""
MAPPING = "&get,-n;&nf,{D};&put"
MAPPER = f"+strash;dc2;dc2;dretime;strash;{MAPPING}"
"""ABC's script with a liberty file: yosys' own without SAT sweeping, which does not end for multipliers."""

_MEMORY = re.compile(r"^  memory width (\d+) size (\d+) (\S+)$", re.MULTILINE)
_WRITE = re.compile(r"^  cell \$memwr_v2 .*?^  end$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Area:
    """Cells of each module, and what one of each takes.

    Parameters
    ----------
    cells
        For each module the number of cells of each type.
    memory_bits
        For each module the bits of its memories.
    library
        Their library; None without a liberty file.
    transistors
        For each module the transistors that yosys estimates; empty with a liberty file.
    notes, tools
        For the result.
    """

    cells: dict[str, dict[str, int]]
    memory_bits: dict[str, int]
    library: Library | None
    transistors: dict[str, int]
    notes: tuple[str, ...]
    tools: dict[str, str]

    def own(self, module: str) -> dict[str, float]:
        """Return what a module takes without what is below it."""
        cells = self.cells[module]
        if self.library:
            areas = self.library.areas
            area = sum(areas.get(kind, 0.0) * count for kind, count in cells.items())
            gates = area / areas[self.library.reference]
            registers = sum(count for kind, count in cells.items() if kind in self.library.registers)
        else:
            area, gates = 0.0, self.transistors[module] / TRANSISTORS_PER_GE
            registers = sum(count for kind, count in cells.items() if "DFF" in kind)
        return {"ge": gates, "ff": registers, "area_um2": area, "memory_bits": self.memory_bits[module]}


class _FetchError(ToolError):
    """The package manager has no liberty file, or no network."""


def liberty(progress: Stage = no_stage) -> Path | None:
    """Return the liberty file, fetched with ``apt-get`` into the cache if need be; None where it cannot be had.

    Raises
    ------
    ToolError
        If the download does not end.
    """
    name = Path(LIBERTY_FILE).name

    def fetch(folder: Path) -> None:
        progress(f"fetching {LIBERTY_PACKAGE}")
        command = ["apt-get", "download", LIBERTY_PACKAGE]
        try:
            fetched = subprocess.run(command, cwd=folder, capture_output=True, timeout=FETCH_SECONDS)
        except subprocess.TimeoutExpired:
            raise ToolError(
                f"apt-get did not fetch {LIBERTY_PACKAGE}, the standard cells, within {FETCH_SECONDS:g} s; check the "
                "network and try again."
            ) from None
        archives = list(folder.glob("*.deb"))
        if fetched.returncode or not archives:
            raise _FetchError(f"apt-get has no {LIBERTY_PACKAGE}, the standard cells.")
        subprocess.run(["dpkg", "-x", archives[0].name, "package"], cwd=folder, check=True, capture_output=True)
        shutil.copyfile(folder / "package" / LIBERTY_FILE, folder / name)

    cache = cache_folder("liberty")
    if not (cache / LIBERTY_PACKAGE / name).is_file() and not (shutil.which("apt-get") and shutil.which("dpkg")):
        return None
    try:
        return cached(LIBERTY_PACKAGE, fetch, cache=cache, usable=lambda found: (found / name).is_file()) / name
    except _FetchError:
        return None


def memories(netlist: str, kept: Iterable[str]) -> dict[str, Counter[tuple[int, int]]]:
    """Return the memories that do not become cells, as width and words, for each module that stays a module."""
    found: dict[str, Counter[tuple[int, int]]] = {module: Counter() for module in kept}
    for module, text in modules(netlist).items():
        above = module
        while above and above not in found:
            above = above.rpartition(".")[0]
        for width, words, name in _MEMORY.findall(text):
            small = int(words) <= SMALL_MEMORY_WORDS and int(width) <= SMALL_MEMORY_WIDTH
            if not small and f'MEMID "{name}"' in _written(text):
                found[above][int(width), int(words)] += 1
    return found


def memory_bits(netlist: str, kept: Iterable[str]) -> dict[str, int]:
    """Add up the bits of the memories that do not become cells, for each module that stays a module."""
    return {
        module: sum(width * words * count for (width, words), count in sizes.items())
        for module, sizes in memories(netlist, kept).items()
    }


def _written(module: str) -> str:
    """Return the text of the write ports, without the backslash that RTLIL's strings double."""
    return "".join(_WRITE.findall(module)).replace("\\\\", "\\")


def description(own: Path | None = None) -> list[Any]:
    """Return what a result depends on besides the netlist.

    Parameters
    ----------
    own
        A liberty file in place of the one that is fetched.
    """
    library = read_library(own).sha256 if own else LIBERTY_PACKAGE
    return [SYNTHESIS, MAPPER, library, TRANSISTORS_PER_GE]


def measure(top: str, keep: Sequence[str], folder: Path, progress: Stage, own: Path | None = None) -> Area:
    """Map ``netlist.il`` in a folder to standard cells.

    Parameters
    ----------
    top
        Top module.
    keep
        Commands that mark the modules which stay modules.
    folder
        Working directory.
    progress
        Called with a short text when there is work to do.
    own
        A liberty file in place of the one that is fetched.
    """
    file = own or liberty(progress)
    library = read_library(file) if file else None
    commands = [*yosys.read_commands(folder), *keep, *(c.format(top=top) for c in SYNTHESIS)]
    if library:
        shutil.copyfile(library.path, folder / "cells.lib")
        commands += ["dfflibmap -liberty cells.lib", "opt_clean", f"abc -liberty cells.lib -script {MAPPER}"]
        commands += ["opt_clean", "tee -q -o statistics.json stat -json -liberty cells.lib"]
    else:
        commands += ["abc", "opt_clean", "tee -q -o statistics.json stat -json -tech cmos"]
    yosys.run(commands, folder)
    statistics = json.loads((folder / "statistics.json").read_text(encoding="utf-8"))["modules"]
    found = {name.lstrip("\\"): module for name, module in statistics.items()}
    notes = [
        f"Constant tables and memories of up to {SMALL_MEMORY_WORDS} words of {SMALL_MEMORY_WIDTH} bits are cells; "
        "larger memories are not in the area but given as bits. "
        "Clock gates are not counted; no placement, so no wires."
    ]
    if library and own:
        notes.append(
            f"Cells: {library.name} ({library.volt:g} V) of {own.name}; a gate equivalent is one {library.reference}."
        )
    elif library:
        notes.append(
            f"Cells: OSU018 (0.18 um) of Debian's {LIBERTY_PACKAGE}; a gate equivalent is one {library.reference}."
        )
    else:
        notes.append(
            f"Debian's {LIBERTY_PACKAGE} could not be fetched: gate equivalents are generic, the transistors that "
            f"yosys estimates divided by {TRANSISTORS_PER_GE}, and there is no area."
        )
    return Area(
        cells={name: module.get("num_cells_by_type", {}) for name, module in found.items()},
        memory_bits=memory_bits((folder / "netlist.il").read_text(encoding="utf-8"), found),
        library=library,
        transistors={} if library else {name: _number(module) for name, module in found.items()},
        notes=tuple(notes),
        tools=_tools(library, own),
    )


def _number(module: Mapping[str, Any]) -> int:
    """Read an estimate such as ``"1234+"``, the sign standing for cells that yosys has no figure for."""
    return int(str(module.get("estimated_num_transistors", "0")).rstrip("+") or 0)


def _tools(library: Library | None, own: Path | None) -> dict[str, str]:
    """Return the library's version: of its package, or the hash of the file that was given."""
    if library is None:
        return {}
    if own:
        return {library.name: f"SHA-256 {library.sha256[:16]}"}
    return {LIBERTY_PACKAGE: _package_version(library.path)}


def _package_version(library: Path) -> str:
    archives = [path.name.split("_")[1] for path in library.parent.glob("*.deb")]
    return archives[0] if archives else ""
