"""Cards on PCI Express: registers and memory through AMD's XDMA, each memory port on memory of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from amaranth.utils import exact_log2
from rtlm.gen.configuration.schema import Configuration
from rtlm.gen.package.ipxact import buses
from rtlm.gen.package.vivado.card_host import HOST, HOST_BITS, HOST_ID_BITS
from rtlm.gen.package.vivado.card_memory import HBM_INTERFACES, ddr4, hbm
from rtlm.gen.package.vivado.parts import Parts
from rtlm.gen.package.vivado.text import filled, lines
from rtlm.gen.package.vivado.wrapper import CLOCK, INTERRUPT, RESET
from rtlm.hw.memory.axi import BURST_BOUNDARY_BYTES
from rtlm.hw.memory.striping import Striping

BAR_MIB = 1
"""Size of the BAR that has the registers."""


@dataclass(frozen=True, kw_only=True)
class Card:
    """A card's memory.

    Parameters
    ----------
    memory
        Its kind: name of a script of this package.
    ports
        Most memory ports that it has room for.
    address_bits
        Bits of an address in all of it.
    part_bits
        Most bits of an address in the part of a port.
    """

    memory: str
    ports: int
    address_bits: int
    part_bits: int


CARDS = MappingProxyType(
    {
        # A port for each of four channels of 16 GiB.
        "u250": Card(memory="ddr4", ports=4, address_bits=36, part_bits=34),
        # The 8 GiB in as many parts as there are ports, which have every other interface at most.
        "u280": Card(memory="hbm", ports=HBM_INTERFACES // 2, address_bits=33, part_bits=33),
    }
)
"""Cards by board."""


def parts(config: Configuration) -> Parts:
    """Return where a card's ports have their memory."""
    card = CARDS[config.board]
    ports = config.memory.ports
    return Parts(ports, min(card.part_bits, card.address_bits - exact_log2(ports)))


def fits(config: Configuration) -> bool:
    """Return whether the card has memory for each port, and for each address."""
    memory = config.memory
    striping = Striping(ports=memory.ports, port_bytes=memory.port_bits // 8)
    return (
        memory.ports <= CARDS[config.board].ports
        and memory.port_bits <= HOST_BITS
        and striping.chunk_bytes == BURST_BOUNDARY_BYTES
        and memory.address_bits <= parts(config).all_bits
    )


def card_values(config: Configuration, ports: Sequence[Mapping[str, Any]], registers_bytes: int) -> dict[str, str]:
    """Return what ``card.tcl`` depends on, by the names of its places.

    Parameters
    ----------
    config
        Configuration of the accelerator.
    ports
        Ports as in the manifest.
    registers_bytes
        Range of addresses of the registers.
    """
    masters = [bus for bus in buses(ports) if bus.startswith("m")]
    where = parts(config)
    memory = (ddr4 if CARDS[config.board].memory == "ddr4" else hbm)(masters, where)
    clock = "clocks/clk_out1"
    nets = [
        "pcie_clock/IBUF_OUT xdma/sys_clk_gt",
        "pcie_clock/IBUF_DS_ODIV2 xdma/sys_clk",
        *(f"xdma/axi_aclk {pin}" for pin in ("host/aclk", "registers/aclk", "host_memory/aclk")),
        *(f"xdma/axi_aresetn {pin}" for pin in ("reset/ext_reset_in", "registers/aresetn", "host_memory/aresetn")),
        *(f"{clock} {pin}" for pin in (f"accelerator/{CLOCK}", "reset/slowest_sync_clk", "registers/aclk1")),
        "clocks/locked reset/dcm_locked",
        f"reset/peripheral_reset accelerator/{RESET}",
        f"accelerator/{INTERRUPT} host/irq",
        "host/usr_irq xdma/usr_irq_req",
    ]
    interfaces = [
        "xdma/M_AXI host/s_axi",
        "host/m_axi host_memory/S00_AXI",
        "xdma/M_AXI_LITE registers/S00_AXI",
        "registers/M00_AXI accelerator/s_axi",
    ]
    for number, bus in enumerate(masters):
        nets += [f"{clock} memory_{number}/aclk", f"reset/interconnect_aresetn memory_{number}/aresetn"]
        interfaces.append(f"accelerator/{bus} memory_{number}/S00_AXI")
    addresses = [
        f"0x0 {registers_bytes:#x} xdma/M_AXI_LITE accelerator/s_axi/reg0",
        f"0x0 {1 << where.all_bits:#x} xdma/M_AXI host/s_axi/reg0",
    ]
    external = [
        "pci_express_x16 Master pcie_7x_mgt_rtl:1.0 xdma/pcie_mgt",
        "pcie_refclk Slave diff_clock_rtl:1.0 pcie_clock/CLK_IN_D",
    ]
    frequencies = ["pcie_refclk 100000000"]
    return {
        "HOST": HOST,
        "HOST_BITS": str(HOST_BITS),
        "HOST_ID_BITS": str(HOST_ID_BITS),
        "BAR_MIB": str(BAR_MIB),
        "CLOCKS": lines(
            [
                "CONFIG.PRIM_SOURCE No_buffer",
                "CONFIG.USE_RESET false",
                "CONFIG.USE_LOCKED true",
                f"CONFIG.CLKOUT1_REQUESTED_OUT_FREQ {config.clock_mhz:g}",
                *memory.clocks,
            ]
        ),
        "MEMORY": filled(f"{CARDS[config.board].memory}.tcl", memory.script),
        "RESETS": " ".join(["reset", *memory.resets]),
        "INTERCONNECTS": lines(memory.interconnects),
        "NETS": lines([*nets, *memory.nets]),
        "INTERFACES": lines([*interfaces, *memory.interfaces]),
        "PERSTN": " ".join(["xdma/sys_rst_n", *memory.perstn]),
        "PORTS": lines([*external, *memory.external]),
        "FREQUENCIES": lines([*frequencies, *memory.frequencies]),
        "ADDRESSES": lines([*addresses, *memory.addresses]),
    }
