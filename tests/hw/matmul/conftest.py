collect_ignore = ["qmatmul_cocotb.py"]  # runs inside the simulator, started by test_qmatmul.py
