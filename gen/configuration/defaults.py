"""What is taken where nothing is said; plain values, so that the command line stays quick to load."""

DEFAULT_PRESET = "kv260"
"""Configuration of a command that names none."""
