"""Bench of the self-test of a board."""
