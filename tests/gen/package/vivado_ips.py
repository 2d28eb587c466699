"""Pins, interfaces and settings of the IPs in block designs, by hand from product guides, to find misspelt names."""

import re
from dataclasses import dataclass, field

AXI = "aximm_rtl:1.0"
CLOCK = "diff_clock_rtl:1.0"


@dataclass(frozen=True)
class Ip:
    """Names of an IP, as regular expressions; what must be connected for it to work."""

    inputs: str
    outputs: str = ""
    masters: dict = field(default_factory=dict)
    slaves: dict = field(default_factory=dict)
    settings: str = ""
    needed: tuple = ()


IPS = {
    # UG1085 and PG201.
    "zynq_ultra_ps_e": Ip(
        inputs=r"maxihpm[01]_fpd_aclk|saxihp[0-3]_fpd_aclk|pl_ps_irq[01]",
        outputs=r"pl_clk[0-3]|pl_resetn[0-3]|emio_ttc0_wave_o",
        masters={r"M_AXI_HPM[01]_FPD": AXI},
        slaves={r"S_AXI_HP[0-3]_FPD": AXI},
        settings=r"PSU__USE__(IRQ0|M_AXI_GP[012]|S_AXI_GP[2-5])|PSU__FPGA_PL0_ENABLE|PSU__MAXIGP0__DATA_WIDTH"
        r"|PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ|PSU__SAXIGP[2-5]__DATA_WIDTH"
        r"|PSU__TTC0__(PERIPHERAL__ENABLE|WAVEOUT__ENABLE|WAVEOUT__IO)",
        needed=("maxihpm0_fpd_aclk", "pl_ps_irq0", "M_AXI_HPM0_FPD"),
    ),
    # PG164.
    "proc_sys_reset": Ip(
        inputs="slowest_sync_clk|ext_reset_in|aux_reset_in|dcm_locked",
        outputs="peripheral_reset|peripheral_aresetn|interconnect_aresetn|mb_reset|bus_struct_reset",
        needed=("slowest_sync_clk", "ext_reset_in"),
    ),
    # PG247.
    "smartconnect": Ip(
        inputs=r"aclk\d*|aresetn",
        masters={r"M\d\d_AXI": AXI},
        slaves={r"S\d\d_AXI": AXI},
        settings="NUM_SI|NUM_MI|NUM_CLKS",
        needed=("aclk", "aresetn", "S00_AXI", "M00_AXI"),
    ),
    "xlslice": Ip(inputs="Din", outputs="Dout", settings="DIN_(FROM|TO|WIDTH)", needed=("Din",)),
    "util_vector_logic": Ip(inputs="Op[12]", outputs="Res", settings="C_(OPERATION|SIZE)", needed=("Op1",)),
    "util_ds_buf": Ip(
        inputs="",
        outputs="IBUF_OUT|IBUF_DS_ODIV2",
        slaves={"CLK_IN_D": CLOCK},
        settings="C_BUF_TYPE|DIFF_CLK_IN_BOARD_INTERFACE",
        needed=("CLK_IN_D",),
    ),
    # PG065.
    "clk_wiz": Ip(
        inputs="clk_in1",
        outputs="clk_out[1-7]|locked",
        settings="PRIM_SOURCE|USE_RESET|USE_LOCKED|CLKOUT[1-7]_(USED|REQUESTED_OUT_FREQ)",
        needed=("clk_in1",),
    ),
    # PG195.
    "xdma": Ip(
        inputs="sys_clk|sys_clk_gt|sys_rst_n|usr_irq_req",
        outputs="axi_aclk|axi_aresetn|usr_irq_ack|user_lnk_up|msi_enable",
        masters={"M_AXI|M_AXI_LITE": AXI, "pcie_mgt": "pcie_7x_mgt_rtl:1.0"},
        settings="(PCIE|SYS_RST_N)_BOARD_INTERFACE|pl_link_cap_max_link_(width|speed)|pf0_device_id|xdma_axi_intf_mm"
        "|axi_(data|id)_width|axisten_freq|xdma_[rw]num_chnl|xdma_num_usr_irq|axilite_master_(en|scale|size)"
        "|pciebar2axibar_axil_master",
        needed=("sys_clk", "sys_clk_gt", "sys_rst_n", "usr_irq_req", "M_AXI", "M_AXI_LITE", "pcie_mgt"),
    ),
    # PG150; with ECC, which the board file of the U250 sets, the controller has registers.
    "ddr4": Ip(
        inputs="sys_rst|c0_ddr4_aresetn",
        outputs="c0_ddr4_ui_clk|c0_ddr4_ui_clk_sync_rst|c0_init_calib_complete",
        masters={"C0_DDR4": "ddr4_rtl:1.0"},
        slaves={"C0_DDR4_S_AXI|C0_DDR4_S_AXI_CTRL": AXI, "C0_SYS_CLK": CLOCK},
        settings="C0_(DDR4|CLOCK)_BOARD_INTERFACE",
        needed=("sys_rst", "c0_ddr4_aresetn", "C0_DDR4", "C0_DDR4_S_AXI", "C0_DDR4_S_AXI_CTRL", "C0_SYS_CLK"),
    ),
    # PG276.
    "hbm": Ip(
        inputs=r"HBM_REF_CLK_[01]|APB_[01]_PCLK|APB_[01]_PRESET_N|AXI_\d\d_(ACLK|ARESET_N)",
        outputs="DRAM_[01]_STAT_CATTRIP|DRAM_[01]_STAT_TEMP|apb_complete_[01]",
        slaves={r"SAXI_[0-3]\d": AXI},
        settings=r"USER_HBM_DENSITY|USER_HBM_STACK|USER_APB_EN|USER_SWITCH_ENABLE_0[01]|USER_HBM_REF_CLK_[01]"
        r"|USER_AXI_INPUT_CLK_FREQ|USER_CLK_SEL_LIST[01]|USER_MC\d+_EN_SBREF|USER_SAXI_[0-3]\d",
        needed=("HBM_REF_CLK_0", "HBM_REF_CLK_1", "APB_0_PCLK", "APB_1_PCLK", "APB_0_PRESET_N", "APB_1_PRESET_N"),
    ),
}

PORT = (
    r'\(\* X_INTERFACE_INFO = "([^"]*)" \*\)\s+(?:\(\* X_INTERFACE_PARAMETER = "([^"]*)" \*\)\s+)?'
    r"(input|output) +wire +(?:\[(\d+):0\])? +(\w+)"
)


def module_ip(verilog):
    """The same of a Verilog module, by its attributes; AXI interfaces with an address that it gives are masters."""
    ports = re.findall(PORT, verilog)
    plain = re.findall(r"^    (input|output) +wire +(?:\[\d+:0\])? +(\w+),?$", verilog, re.MULTILINE)
    signals = {name: direction for direction, name in plain}
    buses = {}
    for info, _, direction, _, name in ports:
        if info.startswith("xilinx.com:interface:aximm:1.0"):
            del signals[name]
            bus, signal = info.split()[1:]
            if signal in ("ARADDR", "AWADDR"):
                buses[bus] = direction
    return Ip(
        inputs="|".join(name for name, direction in signals.items() if direction == "input"),
        outputs="|".join(name for name, direction in signals.items() if direction == "output"),
        masters={bus: AXI for bus, direction in buses.items() if direction == "output"},
        slaves={bus: AXI for bus, direction in buses.items() if direction == "input"},
        needed=(*(name for name, direction in signals.items() if direction == "input"), *buses),
    )
