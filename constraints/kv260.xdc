# AMD Kria KV260 starter kit, part xck26-sfvc784-2LV-c.
#
# The accelerator has no pins: its AXI ports go to S_AXI_HP0_FPD to S_AXI_HP3_FPD of the Zynq processing system, its registers to
# M_AXI_HPM0_FPD, its interrupt to pl_ps_irq0, all inside the device, and its clock is pl_clk0, for which Vivado derives the
# constraint from the processing system. Written from the sources named below; Vivado was not run on it.

# Fan of the SoM, active low: SOM240_1 C24, HDA20, bank 45.
# Source: analogdevicesinc/hdl projects/common/kv260/kv260_system_constr.xdc; litex-boards xilinx_kv260.py ("fan").
set_property -dict {PACKAGE_PIN A12 IOSTANDARD LVCMOS33 SLEW SLOW DRIVE 4} [get_ports fan_en_b]

# Source: litex-boards litex_boards/platforms/xilinx_kv260.py, bitstream_commands.
set_property BITSTREAM.GENERAL.COMPRESS TRUE [current_design]
