# AMD Alveo U280, part xcu280-fsvh2892-2L-e.
#
# Each AXI port of the accelerator goes to a port of the HBM controller (through a width and clock converter: the controller has
# 256 bits at up to 450 MHz), its registers to the PCIe DMA; all inside the device. Source of every line: corundum/corundum
# fpga/mqnic/AU280/fpga_100g/fpga.xdc (revision 1248ca1a). Vivado was not run on this file.

set_property CFGBVS GND [current_design]
set_property CONFIG_VOLTAGE 1.8 [current_design]
set_property BITSTREAM.CONFIG.CONFIGFALLBACK ENABLE [current_design]
set_property BITSTREAM.GENERAL.COMPRESS TRUE [current_design]
set_property CONFIG_MODE SPIx4 [current_design]
set_property BITSTREAM.CONFIG.SPI_BUSWIDTH 4 [current_design]
set_property BITSTREAM.CONFIG.CONFIGRATE 85.0 [current_design]
set_property BITSTREAM.CONFIG.EXTMASTERCCLK_EN DISABLE [current_design]
set_property BITSTREAM.CONFIG.SPI_FALL_EDGE YES [current_design]
set_property BITSTREAM.CONFIG.UNUSEDPIN PULLUP [current_design]
set_property BITSTREAM.CONFIG.SPI_32BIT_ADDR YES [current_design]
set_operating_conditions -design_power_budget 160

# 100 MHz, reference of the HBM controller and of the accelerator's clock generator.
set_property -dict {PACKAGE_PIN BJ43 IOSTANDARD LVDS} [get_ports clk_100mhz_0_clk_p]
set_property -dict {PACKAGE_PIN BJ44 IOSTANDARD LVDS} [get_ports clk_100mhz_0_clk_n]
create_clock -period 10.000 -name clk_100mhz_0 [get_ports clk_100mhz_0_clk_p]

# Must be driven: high means that the HBM is too hot and makes the card controller switch the power off. Drive it from the HBM
# controller, or low.
set_property -dict {PACKAGE_PIN D32 IOSTANDARD LVCMOS18} [get_ports hbm_cattrip]
