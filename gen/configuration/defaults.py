"""Defaults of the command line; plain values, so that it stays quick to load."""

DEFAULT_PRESET = "kv260"
"""Configuration of a command that names none."""
