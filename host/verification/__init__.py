"""Benches of whole designs, with models and programs of the host."""
