"""From a netlist with pins to a bitstream: yosys, nextpnr and the device's packer; results are cached by content."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from rtlm.gen.common.errors import GenerateError
from rtlm.gen.common.progress import Stage, no_stage
from rtlm.gen.synthesis import place, yosys
from rtlm.gen.synthesis.place import PLACERS, Placement, Timing
from rtlm.gen.synthesis.results import result_key, stored
from rtlm.gen.synthesis.targets import TARGETS

RESULT_VERSION = 2
"""Changes when the stored results change."""
BITSTREAM = "design.bit"
PACKERS = {"ecp5": "ecppack"}
"""Tool that packs a bitstream, from the same package as the placer."""


@dataclass(frozen=True, kw_only=True)
class Bitstream:
    """A design that is ready for a device.

    Parameters
    ----------
    content
        The bitstream.
    timing
        Clock, critical path, and what the design takes of the device.
    synthesis_seconds
        Time that yosys took; `timing` has that of nextpnr.
    tools
        Versions.
    folder
        Cache folder, with the tools' logs.
    cached
        Whether it was there before.
    """

    content: bytes
    timing: Timing
    synthesis_seconds: float
    tools: dict[str, str]
    folder: Path
    cached: bool


def make_bitstream(
    netlist: str,
    *,
    top: str,
    target: str,
    pins: str,
    placement: Placement,
    modules: Mapping[str, str] = MappingProxyType({}),
    progress: Stage = no_stage,
) -> Bitstream:
    """Synthesise, place, route and pack a design.

    Parameters
    ----------
    netlist, top
        RTLIL and the name of its top module, whose ports are pins.
    target
        A key of `PACKERS`.
    pins
        Constraints of the board, in the format of the target's placer.
    placement
        Clock, speed grade, seed and router.
    modules
        Verilog of modules that the netlist uses and does not have, by file name.
    progress
        Called with a short text when there is work to do.

    Raises
    ------
    GenerateError
        If there is no flow for the target, it has no such speed grade or router, or the result cannot be stored.
    YosysError, PlaceError
        If a tool refuses the design.
    ToolError
        If a tool is not installed.
    """
    if target not in PACKERS:
        raise GenerateError(f"There is no open flow to a bitstream for {target}; there is for {', '.join(PACKERS)}.")
    place.check(target, placement)
    found = stored(
        "bitstream",
        _key(netlist, top, target, pins, placement, modules),
        lambda folder: _make(folder, netlist, top, target, pins, placement, modules, progress),
    )
    return Bitstream(
        content=found.read_bytes(BITSTREAM),
        timing=Timing.from_json(found.values["timing"]),
        synthesis_seconds=found.values["synthesis_seconds"],
        tools=found.values["tools"],
        folder=found.folder,
        cached=found.cached,
    )


def _key(netlist: str, top: str, target: str, pins: str, placement: Placement, modules: Mapping[str, str]) -> str:
    """Hash everything that a bitstream depends on."""
    parts = [RESULT_VERSION, top, target, pins, repr(TARGETS[target]), repr(PLACERS[target]), repr(placement)]
    parts += [dict(modules)]
    return result_key(
        [*parts, yosys.version(), place.version(target), yosys.PREPARATION, yosys.MODULES, PACKERS[target]],
        netlist,
    )


def _make(
    folder: Path,
    netlist: str,
    top: str,
    target: str,
    pins: str,
    placement: Placement,
    modules: Mapping[str, str],
    progress: Stage,
) -> dict[str, Any]:
    """Run the tools in a folder; it keeps the logs and the bitstream."""
    start = time.monotonic()
    progress(f"synthesis of {top} for {target}")
    (folder / "pins.lpf").write_text(pins, encoding="utf-8")
    for name, text in modules.items():
        (folder / name).write_text(text, encoding="utf-8")
    place.flatten(netlist, top, target, folder, [f"read_verilog {name}" for name in modules])
    synthesis_seconds = round(time.monotonic() - start, 1)
    options = ["--lpf", "pins.lpf", "--textcfg", "design.config"]
    timing = place.run_placer(top, target, placement, folder, options, progress)
    progress(f"packing {top}")
    packing = ["--compress", "--input", "design.config", "--bit", BITSTREAM]
    place.run_tool(PLACERS[target].package, PACKERS[target], packing, folder)
    (folder / "design.config").unlink()
    tools = {"yosys": yosys.version()} | timing["tools"]
    return {"timing": timing, "synthesis_seconds": synthesis_seconds, "tools": tools}
