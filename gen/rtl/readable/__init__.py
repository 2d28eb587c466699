"""Verilog that a person reads: expressions in one piece, names without numbers of tools, comments, short lines."""
