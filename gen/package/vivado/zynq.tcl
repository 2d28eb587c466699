
# Make a block design: processing system, accelerator, reset, and the way to the registers.
proc create_system {folder} {
    begin_system $folder
    create_bd_cell -type ip -vlnv xilinx.com:ip:zynq_ultra_ps_e ps
    apply_bd_automation -rule xilinx.com:bd_rule:zynq_ultra_ps_e -config {apply_board_preset 1} [get_bd_cells ps]
    # M_AXI_GP0 is HPM0_FPD, S_AXI_GP2 to S_AXI_GP5 are HP0_FPD to HP3_FPD (PG201).
    set_property -dict {
        CONFIG.PSU__FPGA_PL0_ENABLE 1
        CONFIG.PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ @CLOCK_MHZ@
        CONFIG.PSU__USE__IRQ0 1
        CONFIG.PSU__USE__M_AXI_GP0 1
        CONFIG.PSU__MAXIGP0__DATA_WIDTH 32
        CONFIG.PSU__USE__M_AXI_GP1 0
        CONFIG.PSU__USE__M_AXI_GP2 0
@SLAVES@
    } [get_bd_cells ps]
    create_bd_cell -type module -reference @WRAPPER@ accelerator
    create_bd_cell -type ip -vlnv xilinx.com:ip:proc_sys_reset reset
    create_bd_cell -type ip -vlnv xilinx.com:ip:smartconnect registers
    set_property -dict {CONFIG.NUM_SI 1 CONFIG.NUM_MI 1} [get_bd_cells registers]

    connect_pins {
@NETS@
    }
    connect_interfaces {
@INTERFACES@
    }
@FAN@
    # Registers at the beginning of HPM0_FPD (UG1085, system address map); memory where the processing system has it.
    assign_addresses {
@ADDRESSES@
    }
    foreach {space slave} {
@SPACES@
    } {
        foreach segment [get_bd_addr_segs $slave] {
            assign_bd_address -target_address_space [get_bd_addr_spaces $space] $segment
        }
    }
    finish_system
}
