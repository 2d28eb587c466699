"""Boards that designs with their pins are built for: what a configuration must be, pins, bitstream and its facts."""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from rtlm.gen.boards.constraints import board_constraints
from rtlm.gen.common.errors import GenerateError
from rtlm.gen.common.progress import Stage, no_stage
from rtlm.gen.configuration.schema import Configuration
from rtlm.gen.package.folder import Package
from rtlm.gen.rtl.verilog import Emitted
from rtlm.gen.synthesis.bitstream import Bitstream, make_bitstream
from rtlm.gen.synthesis.place import Placement
from rtlm.hw.board import Ulx3s, Ulx3sSdram
from rtlm.hw.board.ulx3s import CLOCK_HZ


@dataclass(frozen=True, kw_only=True)
class Shell:
    """A board that designs with its pins can be built for.

    Parameters
    ----------
    board
        Name, as in a configuration.
    target
        Its technology, a key of `rtlm.gen.synthesis.targets.TARGETS`.
    clock_hz
        Its oscillator.
    component, preset
        Top of the self-test with the board's pins, and the configuration that is meant for it.
    sdram_component, sdram_preset
        Top of an accelerator with the board's SDRAM, and the configuration that is meant for it.
    block_bytes
        Bytes of a block memory of the device, when bits for parity are not used.
    load, persist
        Commands that load a bitstream: until power-off, and permanently, into the flash.
    """

    board: str
    target: str
    clock_hz: float
    component: type[Ulx3s]
    preset: str
    sdram_component: type[Ulx3sSdram]
    sdram_preset: str
    block_bytes: int
    load: str
    persist: str


SHELLS = {
    "ulx3s": Shell(
        board="ulx3s",
        target="ecp5",
        clock_hz=CLOCK_HZ,
        component=Ulx3s,
        preset="ulx3s-selftest",
        sdram_component=Ulx3sSdram,
        sdram_preset="ulx3s-sdram",
        block_bytes=2048,
        load="openFPGALoader -b ulx3s {bitstream}",
        persist="openFPGALoader -b ulx3s --write-flash {bitstream}",
    )
}
"""Boards by name."""


def check_shell(shell: Shell, config: Configuration, preset: str) -> None:
    """Refuse a configuration that is not for the board's clock.

    Parameters
    ----------
    shell, config
        Board and configuration.
    preset
        A configuration that is.

    Raises
    ------
    GenerateError
        If it is for a slower clock, or for another technology.
    """
    if config.clock_mhz * 1e6 < shell.clock_hz:
        raise GenerateError(
            f"Configuration {config.name} is for clock_mhz = {config.clock_mhz:g}, but the clock of "
            f"{shell.board} has {shell.clock_hz / 1e6:g} MHz; add --set clock_mhz={shell.clock_hz / 1e6:g}."
        )
    if config.technology != shell.target:
        raise GenerateError(
            f"Configuration {config.name} is scheduled with the delays of {config.technology}, but {shell.board} has "
            f"an {shell.target}; take --config {preset}, or add --set technology={shell.target}."
        )


def build_bitstream(
    shell: Shell,
    emitted: Emitted,
    *,
    top: str,
    modules: Mapping[str, str] = MappingProxyType({}),
    seed: int = 1,
    router: str = "",
    progress: Stage = no_stage,
) -> Bitstream:
    """Synthesise, place, route and pack a design for the board's clock; the rest is as of `make_bitstream`."""
    return make_bitstream(
        emitted.rtlil,
        top=top,
        target=shell.target,
        pins=pins(shell)[1],
        placement=Placement(clock_mhz=shell.clock_hz / 1e6, seed=seed, router=router),
        modules=modules,
        progress=progress,
    )


def write_design(
    shell: Shell,
    package: Package,
    emitted: Emitted,
    folder: Path,
    *,
    force: bool,
    bitstream: bool,
    modules: Mapping[str, str] = MappingProxyType({}),
    seed: int,
    router: str,
    progress: Stage,
) -> tuple[list[Path], Bitstream | None]:
    """Write a design's folder, and with `bitstream` that, too; return the files, and what was built.

    Parameters
    ----------
    shell, package, emitted
        Board, folder named after the top module, and design.
    folder, force
        As of `Package.write`.
    bitstream
        Whether to go on to a bitstream, whose facts the manifest then has.
    modules, seed, router, progress
        As of `build_bitstream`.
    """
    # Before the tools that take long and may refuse the design: the Verilog is there in any case.
    files = package.write(folder, force=force)
    if not bitstream:
        return files, None
    built = build_bitstream(
        shell, emitted, top=package.name, modules=modules, seed=seed, router=router, progress=progress
    )
    package.manifest["bitstream"] = bitstream_facts(shell, built, package.name)
    files = package.write(folder, force=force)
    files.append(folder / f"{package.name}.bit")
    files[-1].write_bytes(built.content)
    return files, built


def bitstream_facts(shell: Shell, built: Bitstream, top: str) -> dict[str, Any]:
    """Return what the manifest says of a bitstream: resources, clock, size, commands that load it."""
    timing = built.timing
    return {
        "device": timing.device,
        "used": timing.used,
        "available": timing.available,
        "clock_mhz": timing.clock_mhz,
        "fmax_mhz": timing.fmax_mhz,
        "met": timing.met,
        "clocks": timing.clocks,
        "crossings_ns": timing.crossings_ns,
        "source": timing.source,
        "target": timing.target,
        "bytes": len(built.content),
        "crc32": f"{zlib.crc32(built.content):08x}",
        "seconds": {"yosys": built.synthesis_seconds, "nextpnr": timing.seconds},
        "tools": built.tools,
        "load": shell.load.format(bitstream=f"{top}.bit"),
        "persist": shell.persist.format(bitstream=f"{top}.bit"),
    }


def pins(shell: Shell) -> tuple[str, str]:
    """Return name and text of the board's file of pins."""
    files = [(name, text) for name, text in board_constraints(shell.board).items() if name.endswith(".lpf")]
    if not files:
        raise GenerateError(f"The folder constraints has no .lpf file for the board {shell.board}.")
    return files[0]
