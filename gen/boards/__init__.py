"""Constraints: the clock of a configuration, and the pins of its board."""
