"""Bench of the vector engine."""
