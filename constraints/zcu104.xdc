# AMD ZCU104 evaluation kit, part xczu7ev-ffvc1156-2-e.
#
# As on the KV260 the accelerator's AXI ports and clock (pl_clk0) stay inside the device, and the processing system's own pins are no
# business of the programmable logic: there is no port to constrain. Vivado was not run on this file.

# As for the KV260, which has the same family of devices.
set_property BITSTREAM.GENERAL.COMPRESS TRUE [current_design]
