"""What a run's memory is compared with: the slower of DRAM and ports."""

from types import SimpleNamespace

import pytest
from rtlm.gen.configuration.load import load_config
from rtlm.host.reports.collect import measure_memory
from rtlm.host.runtime.simulated_memory import simulated_memory
from rtlm.sim import Counters


@pytest.mark.parametrize(
    ("changes", "ceiling"), [([], (0.93, 0.96)), (["memory.port_bits=32", "memory.ports=1"], (0.99, 1))]
)
def test_the_ceiling_is_a_share_of_the_stated_peak(changes, ceiling):
    config = load_config("kv260", changes)
    device = SimpleNamespace(model=SimpleNamespace(dram=simulated_memory(config)), params=config.to_params())
    memory = measure_memory(config, device, Counters({}, {}, {}, [], {}))
    assert memory.peak_bytes_per_s == min(device.model.dram.peak_bytes_per_second, config.port_bytes_per_s)
    low, high = ceiling
    assert low <= memory.stream_ceiling <= high
