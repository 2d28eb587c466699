"""Bench of the matrix unit with its activation banks."""
