    # A controller for each port (PG150): memory and pins from the board file. They are reset with the PCIe interface.
    foreach {cell memory clock} {
@CONTROLLERS@
    } {
        create_bd_cell -type ip -vlnv xilinx.com:ip:ddr4 $cell
        set_property -dict [list CONFIG.C0_DDR4_BOARD_INTERFACE $memory CONFIG.C0_CLOCK_BOARD_INTERFACE $clock] [get_bd_cells $cell]
    }
    create_bd_cell -type ip -vlnv xilinx.com:ip:util_vector_logic not_perstn
    set_property -dict {CONFIG.C_OPERATION not CONFIG.C_SIZE 1} [get_bd_cells not_perstn]
