import pytest
from rtlm.sim import build_model

from tests.sim.verilator.design import copier_verilog


@pytest.fixture(scope="session")
def copier():
    """The small AXI master, built once and kept in the user's cache."""
    return build_model(copier_verilog(ports=2, width=128, beats=16))
