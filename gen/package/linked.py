"""Files of an accelerator with a board's SDRAM that a host reaches over a serial line."""

from typing import Any

from rtlm.gen.boards.sdram import sdram_verilog
from rtlm.gen.configuration.schema import Configuration, config_hash
from rtlm.gen.package.folder import Package
from rtlm.gen.package.shell import Shell, pins
from rtlm.gen.rtl.verilog import Emitted, emit
from rtlm.hw.board import LinkedParams
from rtlm.hw.board.sdram import MODULE

TOP = "linked"
"""Name of the top module."""

CONTROLLER = f"{MODULE}.v"
"""File of the SDRAM's controller."""


def linked_params(shell: Shell, config: Configuration, *, baud: int) -> LinkedParams:
    """Return what a configuration and a serial line become on a board.

    Parameters
    ----------
    shell, config
        Board and configuration; the memory is as large as its addresses reach.
    baud
        Speed of the serial line.

    Raises
    ------
    ValueError
        If the accelerator does not have one port of 32 bits, or the speed cannot be made of the board's clock.
    """
    return LinkedParams(
        accelerator=config.to_params(),
        clock_hz=shell.clock_hz,
        baud=baud,
        memory_bytes=1 << config.memory.address_bits,
    )


def emit_linked(shell: Shell, params: LinkedParams) -> tuple[Emitted, dict[str, str]]:
    """Return the design, and the modules that it uses and does not have, as Verilog by file name.

    Parameters
    ----------
    shell, params
        Board, and what the design is made of.

    Raises
    ------
    ToolError
        If LiteDRAM is not installed.
    """
    top = shell.sdram_component(params)
    return emit(top, TOP), {CONTROLLER: sdram_verilog(top.memory)}


def linked_package(
    shell: Shell, config: Configuration, params: LinkedParams, emitted: Emitted, modules: dict[str, str]
) -> Package:
    """Make the folder, without a bitstream.

    Parameters
    ----------
    shell, config, params
        Board, configuration and design.
    emitted, modules
        Netlist and Verilog, and the modules that it uses.
    """
    manifest: dict[str, Any] = {
        "board": shell.board,
        "top": TOP,
        "config_hash": config_hash(config),
        "config": config.model_dump(mode="json"),
        "link": {"baud": params.baud, "memory_bytes": params.memory_bytes},
    }
    name, text = pins(shell)
    return Package(name=TOP, manifest=manifest, texts={f"{TOP}.v": emitted.verilog, **modules, name: text})
