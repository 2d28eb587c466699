"""Memory behind the accelerator: grades of DRAM, and what a linear stream reaches in them."""
