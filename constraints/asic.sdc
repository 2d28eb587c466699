# Process without a board: what is assumed around the accelerator. The clock itself is in NAME.sdc, made with the RTL for
# the configuration's frequency; read that file first. OpenSTA 2.0.17 reads both without a warning; no layout was made.

# The clock is no input that data comes by. Collections are lists in OpenSTA and the tools of OpenROAD.
set data_inputs [all_inputs]
set clock_index [lsearch $data_inputs [get_ports clk]]
if { $clock_index >= 0 } { set data_inputs [lreplace $data_inputs $clock_index $clock_index] }

# A fifth of the period for the outside on either side: a starting point, not a measurement.
set_input_delay [expr 0.2 * [get_property [get_clocks clk] period]] -clock clk $data_inputs
set_output_delay [expr 0.2 * [get_property [get_clocks clk] period]] -clock clk [all_outputs]

# Load and drive in the units of the library; 0.05 pF is about ten inverter inputs in the 0.18 um OSU018 library.
set_load 0.05 [all_outputs]
set_input_transition 0.2 $data_inputs

# Uncertainty for jitter and skew before clock-tree synthesis: 5 % of the period.
set_clock_uncertainty [expr 0.05 * [get_property [get_clocks clk] period]] [get_clocks clk]
