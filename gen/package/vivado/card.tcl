
# Make a block design: PCI Express with its DMA, memory, accelerator, clocks and resets. PG195 (XDMA), PG247 (SmartConnect), PG065
# (clocks), PG164 (resets); settings as in firesim/firesim platforms/xilinx_alveo_u250 and binfu1/vivado-dma, which were run.
proc create_system {folder} {
    begin_system $folder
    # The PCIe interface has its pins from the board file. Device 903F is one that the driver knows.
    create_bd_cell -type ip -vlnv xilinx.com:ip:util_ds_buf pcie_clock
    set_property -dict {CONFIG.C_BUF_TYPE IBUFDSGTE CONFIG.DIFF_CLK_IN_BOARD_INTERFACE pcie_refclk} [get_bd_cells pcie_clock]
    create_bd_cell -type ip -vlnv xilinx.com:ip:xdma xdma
    set_property -dict {
        CONFIG.PCIE_BOARD_INTERFACE pci_express_x16
        CONFIG.SYS_RST_N_BOARD_INTERFACE pcie_perstn
        CONFIG.pl_link_cap_max_link_width X16
        CONFIG.pl_link_cap_max_link_speed 8.0_GT/s
        CONFIG.pf0_device_id 903F
        CONFIG.xdma_axi_intf_mm AXI_Memory_Mapped
        CONFIG.axi_data_width @HOST_BITS@_bit
        CONFIG.axi_id_width @HOST_ID_BITS@
        CONFIG.axisten_freq 250
        CONFIG.xdma_rnum_chnl 1
        CONFIG.xdma_wnum_chnl 1
        CONFIG.xdma_num_usr_irq 1
        CONFIG.axilite_master_en true
        CONFIG.axilite_master_scale Megabytes
        CONFIG.axilite_master_size @BAR_MIB@
        CONFIG.pciebar2axibar_axil_master 0x00000000
    } [get_bd_cells xdma]
    create_bd_cell -type module -reference @HOST@ host
    create_bd_cell -type module -reference @WRAPPER@ accelerator
    create_bd_cell -type ip -vlnv xilinx.com:ip:clk_wiz clocks
    set_property -dict {
@CLOCKS@
    } [get_bd_cells clocks]
    foreach cell {@RESETS@} {
        create_bd_cell -type ip -vlnv xilinx.com:ip:proc_sys_reset $cell
    }
    # Interconnects with so many slave interfaces, master interfaces and clocks.
    foreach {cell slaves masters domains} {
@INTERCONNECTS@
    } {
        create_bd_cell -type ip -vlnv xilinx.com:ip:smartconnect $cell
        set_property -dict [list CONFIG.NUM_SI $slaves CONFIG.NUM_MI $masters CONFIG.NUM_CLKS $domains] [get_bd_cells $cell]
    }
@MEMORY@
    connect_pins {
@NETS@
    }
    connect_interfaces {
@INTERFACES@
    }
    # Ports: name, direction or mode, type, pins.
    create_bd_port -dir I -type rst pcie_perstn
    set_property CONFIG.POLARITY ACTIVE_LOW [get_bd_ports pcie_perstn]
    foreach pin {@PERSTN@} {
        connect_bd_net [get_bd_ports pcie_perstn] [get_bd_pins $pin]
    }
    foreach {port mode type pin} {
@PORTS@
    } {
        create_bd_intf_port -mode $mode -vlnv xilinx.com:interface:$type $port
        connect_bd_intf_net [get_bd_intf_ports $port] [get_bd_intf_pins $pin]
    }
    foreach {port hertz} {
@FREQUENCIES@
    } {
        set_property CONFIG.FREQ_HZ $hertz [get_bd_intf_ports $port]
    }

    # Registers at the BAR's beginning, the accelerator's byte address 0 at DMA address 0.
    assign_addresses {
@ADDRESSES@
    }
    finish_system
}
