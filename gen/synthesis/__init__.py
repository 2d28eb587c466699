"""yosys and nextpnr: size, clock, bitstreams."""
