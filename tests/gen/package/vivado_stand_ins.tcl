# Stand-ins for Vivado's commands: each call is printed between STX and ETX (0x02, 0x03), its words apart by US (0x1f). Arguments:
# script, slack of setup, slack of hold, board files, and the script's own.
set argv [lassign $argv script slacks(max) slacks(min) boards]
set argc [llength $argv]
proc unknown {name args} {
    puts "\x02[join [list $name {*}$args] \x1f]\x03"
    switch -glob $name {
        get_board_parts { return $::boards }
        get_timing_paths { return [dict get $args -delay_type] }
        get_property { return [expr {[lindex $args 0] eq "SLACK" ? $::slacks([lindex $args 1]) : "part"}] }
        make_wrapper { return system_wrapper.v }
        get_* { return [lindex $args end] }
    }
}
source $script
