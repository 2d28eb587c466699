"""A card's memory in a block design: what DDR4 and HBM add to the lists of ``card.tcl``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rtlm.gen.package.vivado.parts import Parts
from rtlm.gen.package.vivado.text import lines

CONTROLLER_BYTES = 0x1_0000
"""Range of the registers of a DDR4 controller with ECC, which lie behind those of the accelerator."""
HBM_MHZ = 450
"""Clock of HBM interfaces, the fastest (PG276): 256 bits then have the rate of a pseudo channel."""
HBM_INTERFACES = 32
HBM_CHANNEL_BITS = 28
"""What two stacks have: an interface for each of 32 pseudo channels of 256 MiB (PG276)."""
HBM_HOST = HBM_INTERFACES - 1
"""The interface of the host, beside those of the accelerator, which are even."""


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Entries of the lists, in the words of Vivado: pins and interfaces are ``cell/name``.

    Parameters
    ----------
    script
        Values for the script that makes the memory's cells.
    clocks
        Settings of the clocking wizard.
    resets
        Cells that make resets.
    interconnects
        Interconnects, each with its slave interfaces, master interfaces and clocks.
    nets, interfaces
        What is connected.
    perstn
        Pins that the reset of PCI Express goes to.
    external
        Interfaces outside: port, mode, type, pin.
    frequencies
        Ports that are clocks, with their hertz.
    addresses
        Offset, range, address space, segment.
    """

    script: Mapping[str, str]
    clocks: Sequence[str] = ()
    resets: Sequence[str]
    interconnects: Sequence[str]
    nets: Sequence[str]
    interfaces: Sequence[str]
    perstn: Sequence[str] = ()
    external: Sequence[str]
    frequencies: Sequence[str]
    addresses: Sequence[str]


def ddr4(masters: Sequence[str], parts: Parts) -> Memory:
    """Return a DDR4 controller for each port; the first one's clock is the source of the accelerator's.

    Parameters
    ----------
    masters
        Interfaces of the accelerator's memory ports.
    parts
        Where they have their memory.
    """
    count = len(masters)
    nets, interfaces, external, addresses = ["ddr4_0/c0_ddr4_ui_clk clocks/clk_in1"], [], [], []
    for number, bus in enumerate(masters):
        cell, reset, memory = f"ddr4_{number}", f"ddr4_{number}_reset", f"memory_{number}"
        nets += [
            f"{cell}/c0_ddr4_ui_clk {reset}/slowest_sync_clk",
            f"{cell}/c0_ddr4_ui_clk {memory}/aclk1",
            f"{cell}/c0_ddr4_ui_clk registers/aclk{2 + number}",
            f"{cell}/c0_ddr4_ui_clk_sync_rst {reset}/ext_reset_in",
            f"{reset}/peripheral_aresetn {cell}/c0_ddr4_aresetn",
            f"xdma/axi_aclk {memory}/aclk2",
            f"not_perstn/Res {cell}/sys_rst",
        ]
        interfaces += [
            f"host_memory/M{number:02}_AXI {memory}/S01_AXI",
            f"{memory}/M00_AXI {cell}/C0_DDR4_S_AXI",
            f"registers/M{1 + number:02}_AXI {cell}/C0_DDR4_S_AXI_CTRL",
        ]
        external += [
            f"ddr4_sdram_c{number} Master ddr4_rtl:1.0 {cell}/C0_DDR4",
            f"default_300mhz_clk{number} Slave diff_clock_rtl:1.0 {cell}/C0_SYS_CLK",
        ]
        place = f"{number << parts.part_bits:#x} {1 << parts.part_bits:#x}"
        block = f"{cell}/C0_DDR4_MEMORY_MAP/C0_DDR4_ADDRESS_BLOCK"
        control = f"{cell}/C0_DDR4_MEMORY_MAP_CTRL/C0_REG"
        addresses += [
            f"{place} accelerator/{bus} {block}",
            f"{place} host/m_axi {block}",
            f"{(1 + number) * CONTROLLER_BYTES:#x} {CONTROLLER_BYTES:#x} xdma/M_AXI_LITE {control}",
        ]
    return Memory(
        script={
            "CONTROLLERS": lines(
                f"ddr4_{number} ddr4_sdram_c{number} default_300mhz_clk{number}" for number in range(count)
            )
        },
        resets=[f"ddr4_{number}_reset" for number in range(count)],
        interconnects=[
            f"registers 1 {1 + count} {2 + count}",
            f"host_memory 1 {count} 1",
            *(f"memory_{number} 2 1 3" for number in range(count)),
        ],
        nets=nets,
        interfaces=interfaces,
        perstn=["not_perstn/Op1"],
        external=external,
        frequencies=[f"default_300mhz_clk{number} 300000000" for number in range(count)],
        addresses=addresses,
    )


def hbm(masters: Sequence[str], parts: Parts) -> Memory:
    """Return two stacks of HBM: an interface for each port, that of its part's first channel, and one for the host.

    Parameters
    ----------
    masters, parts
        As of `ddr4`.
    """
    count = len(masters)
    own = [number * HBM_INTERFACES // count for number in range(count)]
    used = [*own, HBM_HOST]
    resets = ["hbm_reset", "hbm_apb_reset"]
    nets = [f"hbm_clock/IBUF_OUT {pin}" for pin in ("clocks/clk_in1", "hbm/HBM_REF_CLK_0", "hbm/HBM_REF_CLK_1")]
    nets += [f"clocks/clk_out2 {pin}" for pin in ("hbm_reset/slowest_sync_clk", "host_memory/aclk1")]
    nets += [f"clocks/clk_out2 memory_{number}/aclk1" for number in range(count)]
    nets.append("clocks/clk_out3 hbm_apb_reset/slowest_sync_clk")
    nets += [f"hbm/DRAM_{stack}_STAT_CATTRIP cattrip/Op{1 + stack}" for stack in (0, 1)]
    for cell in resets:
        nets += [f"xdma/axi_aresetn {cell}/ext_reset_in", f"clocks/locked {cell}/dcm_locked"]
    for stack in (0, 1):
        nets.append(f"clocks/clk_out3 hbm/APB_{stack}_PCLK")
        nets.append(f"hbm_apb_reset/peripheral_aresetn hbm/APB_{stack}_PRESET_N")
    for number in used:
        nets.append(f"clocks/clk_out2 hbm/AXI_{number:02}_ACLK")
        nets.append(f"hbm_reset/peripheral_aresetn hbm/AXI_{number:02}_ARESET_N")
    addresses = []
    size = 1 << HBM_CHANNEL_BITS
    each = (1 << parts.part_bits) // size
    for port, bus in enumerate(masters):
        for channel in range(port * each, (port + 1) * each):
            place, segment = f"{channel * size:#x} {size:#x}", f"HBM_MEM{channel:02}"
            addresses.append(f"{place} accelerator/{bus} hbm/SAXI_{own[port]:02}/{segment}")
            addresses.append(f"{place} host/m_axi hbm/SAXI_{HBM_HOST:02}/{segment}")
    settings = [f"CONFIG.USER_CLK_SEL_LIST0 AXI_{used[0]:02}_ACLK", f"CONFIG.USER_CLK_SEL_LIST1 AXI_{HBM_HOST:02}_ACLK"]
    settings += [f"CONFIG.USER_MC{number}_EN_SBREF true" for number in range(HBM_INTERFACES // 2)]
    settings += [f"CONFIG.USER_SAXI_{n:02} {'true' if n in used else 'false'}" for n in range(HBM_INTERFACES)]
    return Memory(
        script={"HBM_MHZ": str(HBM_MHZ), "HBM_SETTINGS": lines(settings)},
        clocks=[
            "CONFIG.CLKOUT2_USED true",
            f"CONFIG.CLKOUT2_REQUESTED_OUT_FREQ {HBM_MHZ}",
            "CONFIG.CLKOUT3_USED true",
            "CONFIG.CLKOUT3_REQUESTED_OUT_FREQ 100",
        ],
        resets=resets,
        interconnects=["registers 1 1 2", "host_memory 1 1 2", *(f"memory_{n} 1 1 2" for n in range(count))],
        nets=nets,
        interfaces=[
            f"host_memory/M00_AXI hbm/SAXI_{HBM_HOST:02}",
            *(f"memory_{number}/M00_AXI hbm/SAXI_{place:02}" for number, place in enumerate(own)),
        ],
        external=["clk_100mhz_0 Slave diff_clock_rtl:1.0 hbm_clock/CLK_IN_D"],
        frequencies=["clk_100mhz_0 100000000"],
        addresses=addresses,
    )
