# AMD Alveo U250, part xcu250-figd2104-2-e.
#
# Each AXI port of the accelerator goes to one of the four DDR4 controllers, its registers to the PCIe DMA. The memory
# controllers' own pins come with their IP. Source of every line, unless another is named: corundum/corundum
# fpga/mqnic/AU250/fpga_100g/fpga.xdc (revision 1248ca1a). Vivado was not run on this file.

set_property CFGBVS GND [current_design]
set_property CONFIG_VOLTAGE 1.8 [current_design]
set_property BITSTREAM.GENERAL.COMPRESS true [current_design]
set_property BITSTREAM.CONFIG.CONFIGFALLBACK ENABLE [current_design]
set_property BITSTREAM.CONFIG.EXTMASTERCCLK_EN DISABLE [current_design]
set_property BITSTREAM.CONFIG.CONFIGRATE 63.8 [current_design]
set_property BITSTREAM.CONFIG.SPI_32BIT_ADDR YES [current_design]
set_property BITSTREAM.CONFIG.SPI_BUSWIDTH 4 [current_design]
set_property BITSTREAM.CONFIG.SPI_FALL_EDGE YES [current_design]
set_property BITSTREAM.CONFIG.UNUSEDPIN PULLUP [current_design]
set_operating_conditions -design_power_budget 160

# 300 MHz reference of each DDR4 channel.
set_property -dict {PACKAGE_PIN AY37 IOSTANDARD LVDS} [get_ports clk_300mhz_0_p]
set_property -dict {PACKAGE_PIN AY38 IOSTANDARD LVDS} [get_ports clk_300mhz_0_n]
set_property -dict {PACKAGE_PIN AW20 IOSTANDARD LVDS} [get_ports clk_300mhz_1_p]
set_property -dict {PACKAGE_PIN AW19 IOSTANDARD LVDS} [get_ports clk_300mhz_1_n]
set_property -dict {PACKAGE_PIN F32 IOSTANDARD LVDS} [get_ports clk_300mhz_2_p]
set_property -dict {PACKAGE_PIN E32 IOSTANDARD LVDS} [get_ports clk_300mhz_2_n]
set_property -dict {PACKAGE_PIN J16 IOSTANDARD LVDS} [get_ports clk_300mhz_3_p]
set_property -dict {PACKAGE_PIN H16 IOSTANDARD LVDS} [get_ports clk_300mhz_3_n]
create_clock -period 3.333 -name clk_300mhz_0 [get_ports clk_300mhz_0_p]
create_clock -period 3.333 -name clk_300mhz_1 [get_ports clk_300mhz_1_p]
create_clock -period 3.333 -name clk_300mhz_2 [get_ports clk_300mhz_2_p]
create_clock -period 3.333 -name clk_300mhz_3 [get_ports clk_300mhz_3_p]

# LEDs.
set_property -dict {PACKAGE_PIN BC21 IOSTANDARD LVCMOS12 SLEW SLOW DRIVE 8} [get_ports {led[0]}]
set_property -dict {PACKAGE_PIN BB21 IOSTANDARD LVCMOS12 SLEW SLOW DRIVE 8} [get_ports {led[1]}]
set_property -dict {PACKAGE_PIN BA20 IOSTANDARD LVCMOS12 SLEW SLOW DRIVE 8} [get_ports {led[2]}]
set_false_path -to [get_ports {led[*]}]
