"""Bench of reader, writer and registers."""
