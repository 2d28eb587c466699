"""Attention, one query group after the other: parameters, unit, parts, model."""
