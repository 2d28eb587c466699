"""Decoding steps: engine and devices, generation, sampling, speculation, traces."""
