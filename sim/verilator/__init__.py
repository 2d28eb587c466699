"""Verilator: finding it, builds with the native bench or cocotb, cached by content, and coverage."""
