"""Regions: kernels on streams, with FIFOs between them."""
