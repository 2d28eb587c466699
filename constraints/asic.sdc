# Process without a board: what is assumed around the accelerator. The clock itself is in NAME.sdc, made with the RTL for
# the configuration's frequency; read that file first. No timing tool was run on it.

# A fifth of the period for the outside on either side: a starting point, not a measurement.
set_input_delay [expr 0.2 * [get_property [get_clocks clk] period]] -clock clk [all_inputs]
set_output_delay [expr 0.2 * [get_property [get_clocks clk] period]] -clock clk [all_outputs]

# Load and drive in the units of the library; 0.05 pF is about ten inverter inputs in the 0.18 um OSU018 library.
set_load 0.05 [all_outputs]
set_input_transition 0.2 [all_inputs]

# Uncertainty for jitter and skew before clock-tree synthesis: 5 % of the period.
set_clock_uncertainty [expr 0.05 * [get_property [get_clocks clk] period]] [get_clocks clk]
