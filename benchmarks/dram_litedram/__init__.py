"""Our DRAM model and litedram's controller on the same accesses: the parts of benchmarks/dram_check.py."""
