"""Zynq UltraScale+: memory and registers through the processing system."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rtlm.gen.configuration.schema import Configuration
from rtlm.gen.package.ipxact import buses
from rtlm.gen.package.vivado.text import lines
from rtlm.gen.package.vivado.wrapper import CLOCK, INTERRUPT, RESET

HP_PORTS = 4
HP_BITS = (32, 64, 128)
"""What the processing system has for masters in the FPGA: S_AXI_HP0_FPD to S_AXI_HP3_FPD, and their widths (UG1085)."""
FIRST_HP = 2
"""Number of the first of them in the names of the processing system's settings, S_AXI_GP2, and of its registers,
AFIFM2."""
HPM0_BASE = 0xA000_0000
"""Where M_AXI_HPM0_FPD begins (UG1085, system address map)."""
MEMORY_BASE = 0x4000_0000
"""Where the accelerator's byte address 0 lies in the DRAM of a Zynq: behind the first GiB, which is Linux's."""
FAN = {"kv260": "fan_en_b"}
"""Port of a board's fan, which the processing system's timer drives: wave 2 of TTC0, as in AMD's starter design."""


@dataclass(frozen=True)
class BehindLinux:
    """Addresses from `MEMORY_BASE` on: the accelerator's begin at 0, where a Zynq's Linux has its kernel."""

    @property
    def comment(self) -> str:
        """A comment for the head of the module."""
        return "// MEMORY_BASE is where its byte address 0 lies in the processing system's DRAM, a multiple of 4096.\n"

    @property
    def parameters(self) -> str:
        """The base, which a cell of a block design may change."""
        return f"    parameter [63:0] MEMORY_BASE = 64'h{MEMORY_BASE:x}"

    def bits(self, widest: int) -> int:
        """Return bits for the base, and for what lies behind it."""
        return max(MEMORY_BASE.bit_length() + 1, widest)

    def address(self, signal: str, bits: int) -> str:
        """Return a sum."""
        return f"{signal} + MEMORY_BASE[{bits - 1}:0]"


def fits(config: Configuration) -> bool:
    """Return whether the processing system has ports for those of the accelerator."""
    return config.memory.ports <= HP_PORTS and config.memory.port_bits in HP_BITS


def zynq_values(config: Configuration, ports: Sequence[Mapping[str, Any]], registers_bytes: int) -> dict[str, str]:
    """Return what ``zynq.tcl`` depends on, by the names of its places.

    Parameters
    ----------
    config
        Configuration of the accelerator.
    ports
        Ports as in the manifest.
    registers_bytes
        Range of addresses of the registers.
    """
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
    fan = FAN.get(config.board)
    return {
        "SLAVES": lines(settings),
        "NETS": lines(
            [
                *(f"ps/pl_clk0 {pin}" for pin in clocked),
                "ps/pl_resetn0 reset/ext_reset_in",
                f"reset/peripheral_reset accelerator/{RESET}",
                "reset/peripheral_aresetn registers/aresetn",
                f"accelerator/{INTERRUPT} ps/pl_ps_irq0",
            ]
        ),
        "INTERFACES": lines(interfaces),
        "SPACES": lines(spaces),
        "ADDRESSES": lines([f"{HPM0_BASE:#x} {registers_bytes:#x} ps/Data accelerator/s_axi/reg0"]),
        "FAN": _FAN.replace("@PORT@", fan) if fan else "",
    }


_FAN = """
    # The fan's speed is that of the processing system's timer.
    set_property -dict {
        CONFIG.PSU__TTC0__PERIPHERAL__ENABLE 1
        CONFIG.PSU__TTC0__WAVEOUT__ENABLE 1
        CONFIG.PSU__TTC0__WAVEOUT__IO EMIO
    } [get_bd_cells ps]
    create_bd_cell -type ip -vlnv xilinx.com:ip:xlslice fan
    set_property -dict {CONFIG.DIN_WIDTH 3 CONFIG.DIN_FROM 2 CONFIG.DIN_TO 2} [get_bd_cells fan]
    connect_bd_net [get_bd_pins ps/emio_ttc0_wave_o] [get_bd_pins fan/Din]
    create_bd_port -dir O @PORT@
    connect_bd_net [get_bd_pins fan/Dout] [get_bd_ports @PORT@]
"""
