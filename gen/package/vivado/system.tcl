
# Begin a block design for the board's file, with the Verilog beside this script.
proc begin_system {folder} {
    set board [lindex [lsort -dictionary [lsearch -all -inline [get_board_parts] @VIVADO_BOARD@:*]] end]
    if {$board eq ""} {
        error "The board file @VIVADO_BOARD@ is missing, which has @BOARD_FILE_HAS@; install it."
    }
    set_property board_part $board [current_project]
    foreach source {@SOURCES@} {
        add_files [file join $folder $source]
    }
    # Pins that the board file leaves open, configuration, and paths between clocks.
    foreach constraints {@CONSTRAINTS@} {
        add_files -fileset constrs_1 [file join $folder $constraints]
    }
    update_compile_order -fileset sources_1
    create_bd_design system
}

# Connect pins, and interfaces, pair by pair.
proc connect_pins {pairs} {
    foreach {from to} $pairs {
        connect_bd_net [get_bd_pins $from] [get_bd_pins $to]
    }
}
proc connect_interfaces {pairs} {
    foreach {from to} $pairs {
        connect_bd_intf_net [get_bd_intf_pins $from] [get_bd_intf_pins $to]
    }
}

# Put segments into address spaces.
proc assign_addresses {entries} {
    foreach {offset range space segment} $entries {
        assign_bd_address -offset $offset -range $range \
            -target_address_space [get_bd_addr_spaces $space] [get_bd_addr_segs $segment]
    }
}

# Check and save the block design, and make it the top.
proc finish_system {} {
    validate_bd_design
    save_bd_design
    # Synthesis of the whole at once, as alone.
    set_property synth_checkpoint_mode None [get_files system.bd]
    generate_target all [get_files system.bd]
    add_files [make_wrapper -files [get_files system.bd] -top]
    set_property top system_wrapper [current_fileset]
}
