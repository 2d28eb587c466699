"""Formal proofs of the parts that everything else relies on; see `rtlm.sim.proofs.properties`."""
