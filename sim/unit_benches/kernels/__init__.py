"""Bench of kernels."""
