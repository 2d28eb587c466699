"""Scripts for Vivado: the accelerator alone, and in a block design with a Zynq's processing system."""

from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

from rtlm.gen.boards.constraints import clock_constraint
from rtlm.gen.boards.devices import DEVICES, Device
from rtlm.gen.configuration.schema import Configuration
from rtlm.gen.package.ipxact import buses, map_bytes
from rtlm.gen.package.templates import instance, port_range
from rtlm.hw.common import mac
from rtlm.hw.registers import RegisterMap

FOLDER = "vivado"
"""Where the files lie in the folder of an accelerator."""
WRAPPER = "accelerator_bd"
"""Module that tells block designs which ports are interfaces."""
CLOCK, RESET, INTERRUPT = "clk", "rst", "irq"
"""Ports beside the AXI ports."""

HP_PORTS = 4
HP_BITS = (32, 64, 128)
"""What the processing system has for masters in the FPGA: S_AXI_HP0_FPD to S_AXI_HP3_FPD, and their widths (UG1085)."""
FIRST_HP = 2
"""Number of the first of them in the names of the processing system's settings, S_AXI_GP2."""
HPM0_BASE = 0xA000_0000
"""Where M_AXI_HPM0_FPD begins (UG1085, system address map)."""
MEMORY_BASE = 0x4000_0000
"""Where the accelerator's byte address 0 lies in the DRAM of a Zynq: behind the first GiB, which is Linux's."""
SMALLEST_RANGE = 0x1000
"""Smallest range that a block design assigns."""

SYSTEM_BRANCH = """ else {
    # The clock is constrained by the processing system's IP.
    create_system $folder
    synth_design -top system_wrapper -part @PART@
}"""
SYSTEM_END = """
if {$met && $mode eq "system"} {
    write_bitstream -force [file join $output @NAME@.bit]
    write_hw_platform -fixed -force [file join $output @NAME@.xsa]
}"""


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
    system = has_system(config)
    modes = ("alone", "system") if system else ("alone",)
    command = f"#   vivado -mode batch -source {FOLDER}/build.tcl"
    usage = f"{command:<76} # the accelerator alone, out of context"
    if system:
        usage += f"\n{command + ' -tclargs system':<76} # in a block design with the processing system"
    values = {
        "SYSTEM": _template("system.tcl").rstrip("\n") + "\n" if system else "",
        "SYSTEM_BRANCH": SYSTEM_BRANCH if system else "",
        "SYSTEM_END": SYSTEM_END if system else "",
        "USAGE": usage,
        "MODES": " ".join(modes),
        "NAME": config.name,
        "BOARD": config.board,
        "PART": device.part,
        "CLOCK_MHZ": f"{config.clock_mhz:g}",
        "MODULE": module,
        "VERILOG": verilog,
        "BLOCK_MACRO": mac.BLOCK_MACRO,
        **(_system_values(device, ports, registers) if system else {}),
    }
    script = _template("build.tcl")
    for key, value in values.items():
        script = script.replace(f"@{key}@", value)
    texts = {"build.tcl": script, "clock.xdc": clock_constraint(module, config.clock_mhz)}
    if system:
        texts[f"{WRAPPER}.v"] = block_design_wrapper(module, ports)
    return {f"{FOLDER}/{name}": text for name, text in texts.items()}


def has_system(config: Configuration) -> bool:
    """Return whether there is a block design: on a Zynq, for AXI ports that its processing system has."""
    device, memory = DEVICES.get(config.board), config.memory
    return bool(device and device.vivado_board) and memory.ports <= HP_PORTS and memory.port_bits in HP_BITS


def block_design_wrapper(module: str, ports: Sequence[Mapping[str, Any]]) -> str:
    """Write a Verilog module around another, with attributes that name the interface of each port (UG994).

    It adds MEMORY_BASE to the addresses: the accelerator's begin at 0, where a Zynq's Linux has its kernel.

    Parameters
    ----------
    module
        Module that is instantiated.
    ports
        Ports as in the manifest.
    """
    found = buses(ports)
    addresses = [
        signals[name]
        for bus, signals in found.items()
        if bus.startswith("m")
        for name in ("araddr", "awaddr")
        if name in signals
    ]
    bits = max(MEMORY_BASE.bit_length() + 1, *(port["bits"] for port in addresses))
    roles = {
        CLOCK: (
            f"xilinx.com:signal:clock:1.0 {CLOCK} CLK",
            f"ASSOCIATED_BUSIF {':'.join(found)}, ASSOCIATED_RESET {RESET}",
        ),
        RESET: (f"xilinx.com:signal:reset:1.0 {RESET} RST", "POLARITY ACTIVE_HIGH"),
        INTERRUPT: (f"xilinx.com:signal:interrupt:1.0 {INTERRUPT} INTERRUPT", "SENSITIVITY LEVEL_HIGH"),
    }
    for bus, signals in found.items():
        kind = "AXI4" if bus.startswith("m") else "AXI4LITE"
        for number, (signal, port) in enumerate(signals.items()):
            text = f"xilinx.com:interface:aximm:1.0 {bus} {signal.upper()}"
            roles[port["name"]] = (text, "" if number else f"XIL_INTERFACENAME {bus}, PROTOCOL {kind}")
    declarations = []
    for port in ports:
        info, parameter = roles.get(port["name"], ("", ""))
        attributes = [f'X_INTERFACE_INFO = "{info}"'] if info else []
        attributes += [f'X_INTERFACE_PARAMETER = "{parameter}"'] if parameter else []
        before = f"    (* {', '.join(attributes)} *)\n" if attributes else ""
        outer = dict(port) | ({"bits": bits} if port in addresses else {})
        declarations.append(f"{before}    {port['direction']:<6} wire {port_range(outer):>9} {port['name']}")
    from_0 = {port["name"]: f"{port['name']}_from_0" for port in addresses}
    sums = []
    for port in addresses:
        signal, spare = from_0[port["name"]], bits - port["bits"]
        whole = f"{{{spare}'b0, {signal}}}" if spare else signal
        sums.append(
            f"    wire {port_range(dict(port))} {signal};\n    assign {port['name']} = {whole} + MEMORY_BASE;\n"
        )
    return (
        f"// {module} for Vivado's block designs: attributes say which port belongs to which interface.\n"
        "// MEMORY_BASE is where its byte address 0 lies in the processing system's DRAM, a multiple of 4096.\n"
        f"module {WRAPPER} #(\n    parameter [{bits - 1}:0] MEMORY_BASE = {bits}'h{MEMORY_BASE:x}\n) (\n"
        + ",\n".join(declarations)
        + f"\n);\n\n{''.join(sums)}\n"
        f"{instance(module, [dict(port) for port in ports], from_0)}\nendmodule\n"
    )


def _template(name: str) -> str:
    return (resources.files("rtlm.gen.package.vivado") / name).read_text(encoding="utf-8")


def _system_values(device: Device, ports: Sequence[Mapping[str, Any]], registers: RegisterMap) -> dict[str, str]:
    """Return what the block design's part of the script depends on."""
    masters = {bus: signals for bus, signals in buses(ports).items() if bus.startswith("m")}
    settings: list[str] = []
    spaces: list[str] = []
    interfaces = ["ps/M_AXI_HPM0_FPD registers/S00_AXI", "registers/M00_AXI accelerator/s_axi"]
    clocked = [f"accelerator/{CLOCK}", "reset/slowest_sync_clk", "registers/aclk", "ps/maxihpm0_fpd_aclk"]
    for number, (bus, signals) in enumerate(masters.items()):
        settings += [
            f"CONFIG.PSU__USE__S_AXI_GP{FIRST_HP + number} 1",
            f"CONFIG.PSU__SAXIGP{FIRST_HP + number}__DATA_WIDTH {signals['rdata']['bits']}",
        ]
        clocked.append(f"ps/saxihp{number}_fpd_aclk")
        interfaces.append(f"accelerator/{bus} ps/S_AXI_HP{number}_FPD")
        spaces.append(f"accelerator/{bus} ps/SAXIGP{FIRST_HP + number}/HP{number}_DDR_*")
    return {
        "VIVADO_BOARD": device.vivado_board,
        "WRAPPER": WRAPPER,
        "RESET": RESET,
        "INTERRUPT": INTERRUPT,
        "SLAVES": _lines(settings),
        "CLOCKED": _lines(clocked),
        "INTERFACES": _lines(interfaces),
        "SPACES": _lines(spaces),
        "REGISTERS_BASE": f"{HPM0_BASE:#x}",
        "REGISTERS_RANGE": f"{max(map_bytes(registers), SMALLEST_RANGE):#x}",
    }


def _lines(entries: Sequence[str]) -> str:
    return "\n".join(f"        {entry}" for entry in entries)
