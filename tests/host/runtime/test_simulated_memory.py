"""From the configuration's memory to the simulator's."""

import pytest
from rtlm.gen.common.errors import ConfigError
from rtlm.gen.configuration.load import load_config, preset_names
from rtlm.gen.configuration.schema import DRAM_GRADES
from rtlm.host.runtime.simulated_memory import simulated_memory
from rtlm.sim.memory.dram import GRADES, Timing


def test_configuration_knows_the_simulators_memories():
    assert set(DRAM_GRADES) == set(GRADES)


@pytest.mark.parametrize("name", preset_names())
def test_preset_memory_is_as_fast_as_the_ports(name):
    config = load_config(name)
    if simulated_memory(config).ideal:
        assert name in ("tiny", "ecp5-85k", "ulx3s-sdram", "ulx3s-selftest")
        return
    assert simulated_memory(config).peak_bytes_per_second == pytest.approx(config.port_bytes_per_s)


def test_parameters_can_be_changed():
    changes = ["memory.dram.change.rcd={ns: 14.5}", "memory.dram.change.cl=20", "memory.dram.change.outstanding=4"]
    memory = simulated_memory(load_config("kv260", changes))
    assert (memory.rcd, memory.cl, memory.outstanding) == (Timing(0, "14.5"), Timing(20), 4)
    assert memory.name == "ddr4-2400 (changed)"
    assert simulated_memory(load_config("kv260")).name == "ddr4-2400"


@pytest.mark.parametrize(
    ("change", "part"),
    [("bus_bytes=3", "power of two"), ("bus_bytes=wide", "cannot be used")],
)
def test_impossible_change_is_refused(change, part):
    config = load_config("kv260", [f"memory.dram.change.{change}"])
    with pytest.raises(ConfigError) as caught:
        simulated_memory(config)
    assert part in str(caught.value)
