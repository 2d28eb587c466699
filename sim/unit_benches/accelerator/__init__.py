"""Bench of the whole accelerator."""
