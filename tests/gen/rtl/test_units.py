"""Every unit on its own: it builds from a preset's sizes and from its own parameters."""

import dataclasses

import pytest
from rtlm.gen.common.errors import ConfigError
from rtlm.gen.configuration.load import load_config
from rtlm.gen.rtl.units import UNITS, KernelParams
from rtlm.gen.rtl.verilog import emit
from rtlm.hw.unit_params import unit_params
from rtlm.sim.unit_benches.sequencer import bench as sequencer


@pytest.mark.parametrize("preset", ["tiny", "kv260", "u280"])
def test_defaults_are_those_of_the_accelerator(preset):
    config = load_config(preset)
    sizes = unit_params(config.to_params())
    for name, unit in UNITS.items():
        params = unit.defaults(config)
        assert isinstance(params, unit.params), name
        assert unit.summary.endswith("."), name
    assert UNITS["qmatmul"].defaults(config) == sizes.matmul
    assert UNITS["gemv"].defaults(config).matmul.lanes == config.matmul.lanes
    assert UNITS["softmax"].defaults(config).max_length * config.vector.lanes >= config.attention.context_limit


def test_impossible_sizes_are_one_sentence():
    config = load_config("tiny")
    broken = config.model_copy(update={"memory": config.memory.model_copy(update={"prefetch_kib": 1})})
    with pytest.raises(ConfigError, match="axi-reader: prefetch_words must be a power of two, at least"):
        UNITS["axi-reader"].defaults(broken)
    with pytest.raises(ValueError, match="lanes must be at least 1, got 0"):
        KernelParams(lanes=0)
    assert dataclasses.replace(UNITS["gemv"].defaults(config), lanes=64).matmul.word_cycles == 2


@pytest.mark.slow
def test_a_bench_tests_the_verilog_that_is_handed_over():
    params = sequencer.SETS["one-column"]
    component = UNITS["sequencer"].build(params, clock_mhz=100, technology="generic")
    assert sequencer.prepare(params).verilog == emit(component, "sequencer").verilog
