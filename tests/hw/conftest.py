"""Modules called ``*_cocotb`` hold benches that run inside the simulator, started by the test beside them."""

collect_ignore_glob = ["*_cocotb.py"]
