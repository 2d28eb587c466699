# AMD Alveo U250, part xcu250-figd2104-2-e.
#
# Each AXI port of the accelerator goes to one of the four DDR4 controllers, its registers to the PCIe DMA. Their pins, and those of the
# controllers' 300 MHz references, come from Vivado's board file. Source of every line: corundum/corundum
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
