
# Make a block design: processing system, accelerator, reset, and the way to the registers.
proc create_system {folder} {
    set board [lindex [lsort -dictionary [lsearch -all -inline [get_board_parts] @VIVADO_BOARD@:*]] end]
    if {$board eq ""} {
        error "The board file @VIVADO_BOARD@ is missing, which has the settings of DRAM and processing system; install it."
    }
    set_property board_part $board [current_project]

    add_files [file join $folder @WRAPPER@.v]
    update_compile_order -fileset sources_1
    create_bd_design system
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

    foreach pin {
@CLOCKED@
    } {
        connect_bd_net [get_bd_pins ps/pl_clk0] [get_bd_pins $pin]
    }
    foreach {from to} {
        ps/pl_resetn0 reset/ext_reset_in
        reset/peripheral_reset accelerator/@RESET@
        reset/peripheral_aresetn registers/aresetn
        accelerator/@INTERRUPT@ ps/pl_ps_irq0
    } {
        connect_bd_net [get_bd_pins $from] [get_bd_pins $to]
    }
    foreach {from to} {
@INTERFACES@
    } {
        connect_bd_intf_net [get_bd_intf_pins $from] [get_bd_intf_pins $to]
    }

    # Registers at the beginning of HPM0_FPD (UG1085, system address map); memory where the processing system has it.
    assign_bd_address -offset @REGISTERS_BASE@ -range @REGISTERS_RANGE@ \
        -target_address_space [get_bd_addr_spaces ps/Data] [get_bd_addr_segs accelerator/s_axi/reg0]
    foreach {space slave} {
@SPACES@
    } {
        foreach segment [get_bd_addr_segs $slave] {
            assign_bd_address -target_address_space [get_bd_addr_spaces $space] $segment
        }
    }

    validate_bd_design
    save_bd_design
    # Synthesis of the whole at once, as alone.
    set_property synth_checkpoint_mode None [get_files system.bd]
    generate_target all [get_files system.bd]
    add_files [make_wrapper -files [get_files system.bd] -top]
    set_property top system_wrapper [current_fileset]
}
