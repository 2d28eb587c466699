    # Both stacks (PG276), each interface of which reaches all memory. Refresh bank by bank. Names as in esa-tu-darmstadt/tapasco
    # toolflow/vivado/platform/xupvvh/plugins/hbm.tcl and bsc-loca/100gb-ethernet tcl/gen_bd_alveo.tcl.
    create_bd_cell -type ip -vlnv xilinx.com:ip:hbm hbm
    set_property -dict {
        CONFIG.USER_HBM_DENSITY 8GB
        CONFIG.USER_HBM_STACK 2
        CONFIG.USER_APB_EN false
        CONFIG.USER_SWITCH_ENABLE_00 TRUE
        CONFIG.USER_SWITCH_ENABLE_01 TRUE
        CONFIG.USER_HBM_REF_CLK_0 100
        CONFIG.USER_HBM_REF_CLK_1 100
        CONFIG.USER_AXI_INPUT_CLK_FREQ @HBM_MHZ@
@HBM_SETTINGS@
    } [get_bd_cells hbm]
    create_bd_cell -type ip -vlnv xilinx.com:ip:util_ds_buf hbm_clock
    set_property CONFIG.C_BUF_TYPE IBUFDS [get_bd_cells hbm_clock]
    # Either stack's alarm: the card's controller then switches the power off.
    create_bd_cell -type ip -vlnv xilinx.com:ip:util_vector_logic cattrip
    set_property -dict {CONFIG.C_OPERATION or CONFIG.C_SIZE 1} [get_bd_cells cattrip]
    create_bd_port -dir O hbm_cattrip
    connect_bd_net [get_bd_pins cattrip/Res] [get_bd_ports hbm_cattrip]
