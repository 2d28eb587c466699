"""Benches of every unit in cocotb, for ``rtlm test`` and for pytest alike; see `rtlm.sim.unit_benches.catalog`."""
