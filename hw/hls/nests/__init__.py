"""Nests of loops in gates: counters in front of the pipeline of an iteration."""
