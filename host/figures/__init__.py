"""Figures of README and docs: results files that benchmarks write, pages filled from them, and a check of both."""
