"""Bench of the SDRAM of a board behind its controller."""
