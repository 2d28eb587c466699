"""Bench of the attention unit."""
