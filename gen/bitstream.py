"""From a netlist with pins to a bitstream: yosys, nextpnr and the device's packer; results are cached by content."""

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rtlm.gen import place, yosys
from rtlm.gen.cache import cache_folder, finished_folder
from rtlm.gen.convergence import Convergence
from rtlm.gen.errors import GenerateError
from rtlm.gen.place import PLACERS, Placement, Timing
from rtlm.gen.synth_targets import TARGETS

RESULT_VERSION = 1
"""Changes when the stored results change."""
RESULT, BITSTREAM = "result.json", "design.bit"
PACKERS = {"ecp5": "ecppack"}
"""Tool that packs a bitstream, from the same package as the placer."""

Progress = Callable[[str], None]


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
    router: str = "",
    progress: Progress = lambda text: None,
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
        Clock, speed grade and seed.
    router
        A router of nextpnr instead of the usual one.
    progress
        Called with a short text when there is work to do.

    Raises
    ------
    GenerateError
        If there is no flow for the target, or the result cannot be stored.
    YosysError, PlaceError
        If a tool refuses the design.
    ToolMissingError
        If a tool is not installed.
    """
    if target not in PACKERS:
        raise GenerateError(f"There is no open flow to a bitstream for {target}; there is for {', '.join(PACKERS)}.")
    folder = cache_folder("bitstream", _key(netlist, top, target, pins, placement, router))
    try:
        cached = (folder / RESULT).is_file()
        if not cached:
            with finished_folder(folder) as unfinished:
                _make(unfinished, netlist, top, target, pins, placement, router, progress)
        found = json.loads((folder / RESULT).read_text(encoding="utf-8"))
        content = (folder / BITSTREAM).read_bytes()
    except OSError as error:
        raise GenerateError(f"The bitstream could not be stored in {folder}: {error.strerror or error}.") from error
    except ValueError as error:
        raise GenerateError(f"{folder / RESULT} is damaged; delete the folder {folder} and try again.") from error
    return Bitstream(
        content=content,
        timing=Timing.from_json(found["timing"]),
        synthesis_seconds=found["synthesis_seconds"],
        tools=found["tools"],
        folder=folder,
        cached=cached,
    )


def _key(netlist: str, top: str, target: str, pins: str, placement: Placement, router: str) -> str:
    """Hash everything that a bitstream depends on."""
    parts = [RESULT_VERSION, top, target, pins, repr(TARGETS[target]), repr(PLACERS[target]), repr(placement)]
    parts += [yosys.version(), place.version(target), yosys.PREPARATION, PACKERS[target], router]
    digest = hashlib.sha256(json.dumps(parts).encode())
    digest.update(netlist.encode())
    return digest.hexdigest()[:32]


def _make(
    folder: Path, netlist: str, top: str, target: str, pins: str, placement: Placement, router: str, progress: Progress
) -> None:
    """Run the tools in a folder; it keeps the logs, the bitstream and the result."""
    placer = PLACERS[target]
    yosys.require(placer.package)
    start = time.monotonic()
    progress(f"synthesis of {top} for {target}")
    (folder / "netlist.il").write_text(netlist, encoding="utf-8")
    (folder / "pins.lpf").write_text(pins, encoding="utf-8")
    scripts = [command.format(top=top) for command in placer.flatten]
    yosys.run([*yosys.read_commands(TARGETS[target].gate, folder), *scripts], folder)
    synthesis_seconds = round(time.monotonic() - start, 1)
    progress(f"place and route of {top} for {target}")
    start = time.monotonic()
    speed = placement.speed or placer.speeds[0]
    options = [*placer.device, "--speed", speed, *(["--router", router] if router else placer.options)]
    options += ["--freq", f"{placement.clock_mhz:g}", "--seed", str(placement.seed), "--timing-allow-fail"]
    options += ["--lpf", "pins.lpf"]
    options += ["--json", "design.json", "--textcfg", "design.config", "--report", "report.json"]
    place.run_tool(placer.package, placer.tool, options, folder, watch=Convergence().stuck)
    seconds = round(time.monotonic() - start, 1)
    progress(f"packing {top}")
    packing = ["--compress", "--input", "design.config", "--bit", BITSTREAM]
    place.run_tool(placer.package, PACKERS[target], packing, folder)
    tools = {"yosys": yosys.version(), placer.package: place.version(target)}
    timing = place.read_report(json.loads((folder / "report.json").read_text(encoding="utf-8")), placement) | {
        "device": f"{TARGETS[target].device}, speed grade {speed}",
        "tools": tools,
        "seconds": seconds,
    }
    result = {"timing": timing, "synthesis_seconds": synthesis_seconds, "tools": tools}
    (folder / RESULT).write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    for name in ("netlist.il", "design.json", "design.config", "report.json"):
        (folder / name).unlink()
