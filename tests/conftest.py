def pytest_addoption(parser):
    parser.addoption("--faults", type=int, default=1, metavar="N", help="N times as many random faults")
    parser.addoption("--fault-seed", type=int, default=None, metavar="SEED", help="seed of the random faults")
    parser.addoption("--matrix", action="store_true", help="all configurations of the pairwise matrix, not only two")
    parser.addoption("--presets", default="ecp5-85k", help="presets to generate and lint: names with commas, or all")
