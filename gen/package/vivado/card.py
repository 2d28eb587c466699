"""Cards on PCI Express: registers and memory through AMD's XDMA, each memory port on a part of the memory of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from amaranth.utils import exact_log2
from rtlm.gen.configuration.schema import Configuration
from rtlm.gen.package.ipxact import buses
from rtlm.gen.package.vivado.text import filled, lines
from rtlm.gen.package.vivado.wrapper import CLOCK, INTERRUPT, RESET, interface
from rtlm.hw.memory.axi import BURST_BOUNDARY_BYTES
from rtlm.hw.memory.striping import Striping

HOST = "card_host"
"""Module between the XDMA and the rest."""
HOST_BITS, HOST_ID_BITS, HOST_ADDRESS_BITS = 512, 4, 64
"""Widths of the XDMA's memory interface for sixteen lanes of 8 GT/s (PG195)."""
BAR_MIB = 1
"""Size of the BAR that has the registers."""
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


@dataclass(frozen=True)
class Parts:
    """Addresses in which each port has a part of the memory of its own.

    The accelerator's byte addresses have the chunks of its ports side by side (`rtlm.hw.memory.Striping`). A chunk is 4096
    bytes, which no AXI burst crosses, so that the number of the port can become the highest bits of the address: wires only.

    Parameters
    ----------
    ports
        Memory ports, a power of two.
    part_bits
        Bits of an address in a part.
    """

    ports: int
    part_bits: int

    @property
    def comment(self) -> str:
        """A comment for the head of the module."""
        return "// The number of the port, in the middle of its addresses, becomes their highest bits: each has memory of its own.\n"

    @property
    def parameters(self) -> str:
        """None."""
        return ""

    @property
    def all_bits(self) -> int:
        """Bits of an address in all parts."""
        return self.part_bits + exact_log2(self.ports)

    def bits(self, widest: int) -> int:
        """Return bits for all parts."""
        return self.all_bits

    def address(self, signal: str, bits: int) -> str:
        """Return the bits in another order."""
        low, number = exact_log2(BURST_BOUNDARY_BYTES), exact_log2(self.ports)
        if not number:
            return f"{signal}[{bits - 1}:0]"
        return f"{{{signal}[{low + number - 1}:{low}], {signal}[{bits - 1}:{low + number}], {signal}[{low - 1}:0]}}"


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


def card_host(config: Configuration) -> str:
    """Write the Verilog module that gives the XDMA the accelerator's view of the memory, and takes its interrupt over."""
    outside = parts(config).all_bits
    address = [("id", HOST_ID_BITS), ("addr", HOST_ADDRESS_BITS), ("len", 8), ("size", 3), ("burst", 2)]
    address += [("cache", 4), ("prot", 3), ("valid", 1)]
    to_memory = [(f"{channel}{name}", bits) for channel in ("aw", "ar") for name, bits in address]
    to_memory += [("wdata", HOST_BITS), ("wstrb", HOST_BITS // 8), ("wlast", 1), ("wvalid", 1), ("bready", 1), ("rready", 1)]
    to_host = [("awready", 1), ("wready", 1), ("arready", 1), ("bid", HOST_ID_BITS), ("bresp", 2), ("bvalid", 1)]
    to_host += [("rid", HOST_ID_BITS), ("rdata", HOST_BITS), ("rresp", 2), ("rlast", 1), ("rvalid", 1)]
    declarations, body = [], []
    for bus, directions in (("s_axi", ("input", "output")), ("m_axi", ("output", "input"))):
        for signals, direction in zip((to_memory, to_host), directions, strict=True):
            for signal, bits in signals:
                span = f"[{bits - 1}:0]" if bits > 1 else ""
                first = signal == to_memory[0][0]
                declarations.append(
                    f"    {interface(bus, signal, first, 'PROTOCOL AXI4')}\n    {direction:<6} wire {span:>7} {bus}_{signal}"
                )
    for signal, _ in to_memory:
        if signal.endswith("addr"):
            inside = parts(config).address(f"s_axi_{signal}", outside)
            body.append(f"    assign m_axi_{signal} = {{s_axi_{signal}[{HOST_ADDRESS_BITS - 1}:{outside}], {inside}}};")
        else:
            body.append(f"    assign m_axi_{signal} = s_axi_{signal};")
    body += [f"    assign s_axi_{signal} = m_axi_{signal};" for signal, _ in to_host]
    return filled(
        "card_host.v",
        {"HOST": HOST, "DECLARATIONS": ",\n".join(declarations), "BODY": "\n".join(body)},
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
    design = _Ddr4(masters, where) if CARDS[config.board].memory == "ddr4" else _Hbm(masters, where)
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
                *design.clocks(),
            ]
        ),
        "MEMORY": filled(f"{CARDS[config.board].memory}.tcl", design.script()),
        "RESETS": " ".join(["reset", *design.resets()]),
        "INTERCONNECTS": lines(design.interconnects()),
        "NETS": lines([*nets, *design.nets()]),
        "INTERFACES": lines([*interfaces, *design.interfaces()]),
        "PERSTN": " ".join(["xdma/sys_rst_n", *design.perstn()]),
        "PORTS": lines([*external, *design.external()]),
        "FREQUENCIES": lines([*frequencies, *design.frequencies()]),
        "ADDRESSES": lines([*addresses, *design.addresses()]),
    }


@dataclass(frozen=True)
class _Ddr4:
    """A DDR4 controller for each port; the first one's clock is the source of the accelerator's."""

    masters: Sequence[str]
    where: Parts

    @property
    def _cells(self) -> list[str]:
        return [f"ddr4_{number}" for number in range(len(self.masters))]

    def script(self) -> dict[str, str]:
        return {
            "CONTROLLERS": lines(
                f"{cell} ddr4_sdram_c{number} default_300mhz_clk{number}" for number, cell in enumerate(self._cells)
            )
        }

    def clocks(self) -> list[str]:
        return []

    def resets(self) -> list[str]:
        return [f"{cell}_reset" for cell in self._cells]

    def interconnects(self) -> list[str]:
        count = len(self.masters)
        return [
            f"registers 1 {1 + count} {2 + count}",
            f"host_memory 1 {count} 1",
            *(f"memory_{number} 2 1 3" for number in range(count)),
        ]

    def nets(self) -> list[str]:
        found = ["ddr4_0/c0_ddr4_ui_clk clocks/clk_in1"]
        for number, cell in enumerate(self._cells):
            found += [
                f"{cell}/c0_ddr4_ui_clk {cell}_reset/slowest_sync_clk",
                f"{cell}/c0_ddr4_ui_clk memory_{number}/aclk1",
                f"{cell}/c0_ddr4_ui_clk registers/aclk{2 + number}",
                f"{cell}/c0_ddr4_ui_clk_sync_rst {cell}_reset/ext_reset_in",
                f"{cell}_reset/peripheral_aresetn {cell}/c0_ddr4_aresetn",
                f"xdma/axi_aclk memory_{number}/aclk2",
                f"not_perstn/Res {cell}/sys_rst",
            ]
        return found

    def interfaces(self) -> list[str]:
        found = []
        for number, cell in enumerate(self._cells):
            found += [
                f"host_memory/M{number:02}_AXI memory_{number}/S01_AXI",
                f"memory_{number}/M00_AXI {cell}/C0_DDR4_S_AXI",
                f"registers/M{1 + number:02}_AXI {cell}/C0_DDR4_S_AXI_CTRL",
            ]
        return found

    def perstn(self) -> list[str]:
        return ["not_perstn/Op1"]

    def external(self) -> list[str]:
        found = []
        for number, cell in enumerate(self._cells):
            found += [
                f"ddr4_sdram_c{number} Master ddr4_rtl:1.0 {cell}/C0_DDR4",
                f"default_300mhz_clk{number} Slave diff_clock_rtl:1.0 {cell}/C0_SYS_CLK",
            ]
        return found

    def frequencies(self) -> list[str]:
        return [f"default_300mhz_clk{number} 300000000" for number in range(len(self.masters))]

    def addresses(self) -> list[str]:
        found = []
        for number, (cell, bus) in enumerate(zip(self._cells, self.masters, strict=True)):
            place = f"{number << self.where.part_bits:#x} {1 << self.where.part_bits:#x}"
            block = f"{cell}/C0_DDR4_MEMORY_MAP/C0_DDR4_ADDRESS_BLOCK"
            found += [
                f"{place} accelerator/{bus} {block}",
                f"{place} host/m_axi {block}",
                f"{(1 + number) * CONTROLLER_BYTES:#x} {CONTROLLER_BYTES:#x} xdma/M_AXI_LITE "
                f"{cell}/C0_DDR4_MEMORY_MAP_CTRL/C0_REG",
            ]
        return found


@dataclass(frozen=True)
class _Hbm:
    """Two stacks of HBM: an interface for each port, at the first pseudo channel of its part, and one for the host."""

    masters: Sequence[str]
    where: Parts

    def _interface(self, number: int) -> int:
        return number * HBM_INTERFACES // len(self.masters)

    @property
    def _used(self) -> list[int]:
        return [*(self._interface(number) for number in range(len(self.masters))), HBM_HOST]

    def script(self) -> dict[str, str]:
        return {
            "HBM_MHZ": str(HBM_MHZ),
            "HBM_SETTINGS": lines(
                [
                    f"CONFIG.USER_CLK_SEL_LIST0 AXI_{self._used[0]:02}_ACLK",
                    f"CONFIG.USER_CLK_SEL_LIST1 AXI_{HBM_HOST:02}_ACLK",
                    *(f"CONFIG.USER_MC{number}_EN_SBREF true" for number in range(HBM_INTERFACES // 2)),
                    *(
                        f"CONFIG.USER_SAXI_{number:02} {'true' if number in self._used else 'false'}"
                        for number in range(HBM_INTERFACES)
                    ),
                ]
            ),
        }

    def clocks(self) -> list[str]:
        return [
            "CONFIG.CLKOUT2_USED true",
            f"CONFIG.CLKOUT2_REQUESTED_OUT_FREQ {HBM_MHZ}",
            "CONFIG.CLKOUT3_USED true",
            "CONFIG.CLKOUT3_REQUESTED_OUT_FREQ 100",
        ]

    def resets(self) -> list[str]:
        return ["hbm_reset", "hbm_apb_reset"]

    def interconnects(self) -> list[str]:
        return ["registers 1 1 2", "host_memory 1 1 2", *(f"memory_{number} 1 1 2" for number in range(len(self.masters)))]

    def nets(self) -> list[str]:
        found = [
            *(f"hbm_clock/IBUF_OUT {pin}" for pin in ("clocks/clk_in1", "hbm/HBM_REF_CLK_0", "hbm/HBM_REF_CLK_1")),
            *(f"clocks/clk_out2 {pin}" for pin in ("hbm_reset/slowest_sync_clk", "host_memory/aclk1")),
            "clocks/clk_out3 hbm_apb_reset/slowest_sync_clk",
            *(f"clocks/clk_out2 memory_{number}/aclk1" for number in range(len(self.masters))),
            "hbm/DRAM_0_STAT_CATTRIP cattrip/Op1",
            "hbm/DRAM_1_STAT_CATTRIP cattrip/Op2",
        ]
        for cell in self.resets():
            found += [f"xdma/axi_aresetn {cell}/ext_reset_in", f"clocks/locked {cell}/dcm_locked"]
        for stack in (0, 1):
            found += [
                f"clocks/clk_out3 hbm/APB_{stack}_PCLK",
                f"hbm_apb_reset/peripheral_aresetn hbm/APB_{stack}_PRESET_N",
            ]
        for number in self._used:
            found += [
                f"clocks/clk_out2 hbm/AXI_{number:02}_ACLK",
                f"hbm_reset/peripheral_aresetn hbm/AXI_{number:02}_ARESET_N",
            ]
        return found

    def interfaces(self) -> list[str]:
        return [
            f"host_memory/M00_AXI hbm/SAXI_{HBM_HOST:02}",
            *(
                f"memory_{number}/M00_AXI hbm/SAXI_{self._interface(number):02}"
                for number in range(len(self.masters))
            ),
        ]

    def perstn(self) -> list[str]:
        return []

    def external(self) -> list[str]:
        return ["clk_100mhz_0 Slave diff_clock_rtl:1.0 hbm_clock/CLK_IN_D"]

    def frequencies(self) -> list[str]:
        return ["clk_100mhz_0 100000000"]

    def addresses(self) -> list[str]:
        found = []
        size = 1 << HBM_CHANNEL_BITS
        each = (1 << self.where.part_bits) // size
        for number, bus in enumerate(self.masters):
            for channel in range(number * each, (number + 1) * each):
                place = f"{channel * size:#x} {size:#x}"
                segment = f"HBM_MEM{channel:02}"
                found += [
                    f"{place} accelerator/{bus} hbm/SAXI_{self._interface(number):02}/{segment}",
                    f"{place} host/m_axi hbm/SAXI_{HBM_HOST:02}/{segment}",
                ]
        return found
