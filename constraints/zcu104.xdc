# AMD ZCU104 evaluation kit, part xczu7ev-ffvc1156-2-e.
#
# As on the KV260 the accelerator's AXI ports and clock (pl_clk0) stay inside the device. The pins below are for designs that take
# the board's own clock and show a state. Source of every pin: litex-boards litex_boards/platforms/xilinx_zcu104.py.
# Vivado was not run on this file.

# 125 MHz, "clk125".
set_property -dict {PACKAGE_PIN F23 IOSTANDARD LVDS} [get_ports clk_125mhz_p]
set_property -dict {PACKAGE_PIN E23 IOSTANDARD LVDS} [get_ports clk_125mhz_n]
create_clock -period 8.000 -name clk_125mhz [get_ports clk_125mhz_p]

# "cpu_reset", a button.
set_property -dict {PACKAGE_PIN M11 IOSTANDARD LVCMOS33} [get_ports reset]
set_false_path -from [get_ports reset]

# "user_led" 0 to 3.
set_property -dict {PACKAGE_PIN D5 IOSTANDARD LVCMOS33} [get_ports {led[0]}]
set_property -dict {PACKAGE_PIN D6 IOSTANDARD LVCMOS33} [get_ports {led[1]}]
set_property -dict {PACKAGE_PIN A5 IOSTANDARD LVCMOS33} [get_ports {led[2]}]
set_property -dict {PACKAGE_PIN B5 IOSTANDARD LVCMOS33} [get_ports {led[3]}]
set_false_path -to [get_ports {led[*]}]
