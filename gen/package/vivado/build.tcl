# Vivado: accelerator @NAME@ on @BOARD@, part @PART@, clock @CLOCK_MHZ@ MHz. From the folder above:
#
@USAGE@
#
# Project, reports and checkpoint go to vivado/ and the mode's name. Exit code: 0 the clock is met, 1 it is missed or a step failed,
# 2 there is no such mode.
#
# Not run: there was no Vivado where this was made. It was run with stand-ins for Vivado's commands, which take their arguments and
# check names against Verilog and IP-XACT. Written from AMD UG835 (commands), UG994 (block designs), UG905 (out of context).

set folder [file dirname [file normalize [info script]]]
set mode [expr {$argc > 0 ? [lindex $argv 0] : "alone"}]
if {$mode ni {@MODES@}} {
    puts stderr "The mode must be one of @MODES@, got $mode."
    exit 2
}
set output [file join $folder $mode]

# Place and route the synthesised design, report, and return whether the clock is met.
proc implement {output} {
    opt_design
    place_design
    phys_opt_design
    route_design
    write_checkpoint -force [file join $output routed.dcp]
    report_timing_summary -file [file join $output timing.rpt]
    report_utilization -hierarchical -file [file join $output utilization.rpt]
    report_power -file [file join $output power.rpt]
    set met 1
    foreach {check delay} {setup max hold min} {
        set path [get_timing_paths -delay_type $delay -max_paths 1]
        if {[llength $path] == 0} {
            puts stderr "There is no path with a $check check: the clock is not constrained."
            return 0
        }
        set slack [get_property SLACK $path]
        puts "Slack of $check: $slack ns."
        if {$slack < 0} {
            set met 0
        }
    }
    return $met
}
@SYSTEM@
create_project -force @NAME@ $output -part @PART@
add_files [file join $folder .. @VERILOG@]
# Multipliers with sums are DSP48E2 blocks.
set_property verilog_define @BLOCK_MACRO@ [current_fileset]
if {$mode eq "alone"} {
    # All registers are on one clock and the reset is synchronous to it: there are no false paths. Ports have no delays outside, so
    # paths from and to them are not checked.
    add_files -fileset constrs_1 [file join $folder clock.xdc]
    set_property top @MODULE@ [current_fileset]
    synth_design -top @MODULE@ -part @PART@ -mode out_of_context
}@SYSTEM_BRANCH@
set met [implement $output]@SYSTEM_END@
exit [expr {!$met}]
