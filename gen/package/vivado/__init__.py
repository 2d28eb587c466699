"""Scripts for Vivado: the accelerator alone, and in a block design with what its board has around it."""

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

from rtlm.gen.boards.constraints import board_constraints, clock_constraint
from rtlm.gen.boards.devices import DEVICES
from rtlm.gen.configuration.schema import Configuration
from rtlm.gen.package.ipxact import map_bytes
from rtlm.gen.package.vivado import card, zynq
from rtlm.gen.package.vivado.card_host import HOST, card_host
from rtlm.gen.package.vivado.text import filled
from rtlm.gen.package.vivado.wrapper import WRAPPER, block_design_wrapper
from rtlm.hw.common import mac
from rtlm.hw.registers import RegisterMap

FOLDER = "vivado"
"""Where the files lie in the folder of an accelerator."""
SMALLEST_RANGE = 0x1000
"""Smallest range that a block design assigns."""


class System(Enum):
    """What is around the accelerator in a block design."""

    ZYNQ = "the processing system"
    CARD = "PCI Express and the card's memory"


BOARD_FILE_HAS = {
    System.ZYNQ: "the settings of DRAM and processing system",
    System.CARD: "the pins of PCI Express and the settings of DRAM",
}
SYSTEM_BRANCH = """ else {
    # Clocks are constrained by the IPs, or in the board's constraints.
    create_system $folder
    synth_design -top system_wrapper -part [get_property PART [current_project]]
}"""
SYSTEM_END = """
if {$met && $mode eq "system"} {
    write_bitstream -force [file join $output @NAME@.bit]@PLATFORM@
}"""
PLATFORM = "\n    write_hw_platform -fixed -force [file join $output @NAME@.xsa]"
"""What Linux for a processing system is made from."""


def vivado_files(
    config: Configuration, module: str, ports: Sequence[Mapping[str, Any]], registers: RegisterMap, verilog: str
) -> dict[str, str]:
    """Return the files for Vivado by name; none for a board that has no AMD device.

    Parameters
    ----------
    config
        Configuration of the accelerator.
    module
        Name of its Verilog module.
    ports
        Ports as in the manifest.
    registers
        Registers behind ``s_axi``.
    verilog
        Name of the Verilog file.
    """
    device = DEVICES.get(config.board)
    if device is None or not device.part:
        return {}
    kind = system(config)
    modes = ("alone", "system") if kind else ("alone",)
    command = f"#   vivado -mode batch -source {FOLDER}/build.tcl"
    usage = f"{command:<76} # the accelerator alone, out of context"
    if kind:
        usage += f"\n{command + ' -tclargs system':<76} # in a block design with {kind.value}"
    texts = {"clock.xdc": clock_constraint(module, config.clock_mhz)}
    values = {"NAME": config.name, "CLOCK_MHZ": f"{config.clock_mhz:g}", "WRAPPER": f"{module}{WRAPPER}"}
    script = ""
    if kind:
        placement = zynq.BehindLinux() if kind is System.ZYNQ else card.parts(config)
        texts[f"{module}{WRAPPER}.v"] = block_design_wrapper(module, ports, placement)
        if kind is System.CARD:
            texts |= {f"{HOST}.v": card_host(card.parts(config)), "card.xdc": filled("card.xdc", {})}
        constraints = [f"../{name}" for name in board_constraints(config.board) if name.endswith(".xdc")]
        values |= {
            "VIVADO_BOARD": device.vivado_board,
            "BOARD_FILE_HAS": BOARD_FILE_HAS[kind],
            "SOURCES": " ".join(name for name in texts if name.endswith(".v")),
            "CONSTRAINTS": " ".join([*constraints, *(name for name in texts if name == "card.xdc")]),
        }
        registers_bytes = max(map_bytes(registers), SMALLEST_RANGE)
        if kind is System.ZYNQ:
            own = zynq.zynq_values(config, ports, registers_bytes)
        else:
            own = card.card_values(config, ports, registers_bytes)
        script = filled("system.tcl", values) + filled(f"{kind.name.lower()}.tcl", own | values)
    texts["build.tcl"] = filled(
        "build.tcl",
        {
            "SYSTEM": script,
            "SYSTEM_BRANCH": SYSTEM_BRANCH if kind else "",
            "SYSTEM_END": SYSTEM_END if kind else "",
            "PLATFORM": PLATFORM if kind is System.ZYNQ else "",
            "USAGE": usage,
            "MODES": " ".join(modes),
            "BOARD": config.board,
            "PART": device.part,
            "MODULE": module,
            "VERILOG": verilog,
            "BLOCK_MACRO": mac.BLOCK_MACRO,
            **values,
        },
    )
    return {f"{FOLDER}/{name}": text for name, text in texts.items()}


def system(config: Configuration) -> System | None:
    """Return what is around the accelerator in its block design; None where there is none, or no room for its ports."""
    device = DEVICES.get(config.board)
    if device is None or not device.vivado_board:
        return None
    if config.board in card.CARDS:
        return System.CARD if card.fits(config) else None
    return System.ZYNQ if zynq.fits(config) else None
