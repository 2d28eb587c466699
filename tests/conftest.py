import sys
from pathlib import Path

import pytest
from hypothesis import settings

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


def pytest_addoption(parser):
    parser.addoption("--fuzz", type=int, default=1, metavar="N", help="N times as many damaged files of each kind")
    parser.addoption("--faults", type=int, default=1, metavar="N", help="N times as many random faults")
    parser.addoption("--fault-seed", type=int, default=None, metavar="SEED", help="seed of the random faults")
    parser.addoption("--matrix", action="store_true", help="all configurations of the pairwise matrix, not only two")
    parser.addoption("--presets", default="ecp5-85k", help="presets to generate and lint: names with commas, or all")
    parser.addoption("--bitstream", action="store_true", help="place and route the self-test: half an hour and more")


def pytest_configure(config):
    # Before modules with tests are imported, for they take the number of examples from the profile then.
    if (times := config.getoption("--fuzz")) > 1:
        settings.register_profile("fuzz", settings.default, max_examples=100 * times)
        settings.load_profile("fuzz")


@pytest.fixture(scope="session")
def mutations():
    """The script that breaks the source, as a module."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        import mutations
    finally:
        sys.path.pop(0)
    return mutations
