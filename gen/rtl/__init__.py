"""Amaranth to Verilog and RTLIL, units by name, and what each object of the netlist is in Python."""
