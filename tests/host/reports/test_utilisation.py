"""A decoding step with a filled KV cache: its bits, and the cycles by cause, which add up to the step exactly."""

from fractions import Fraction

import numpy as np
import pytest
from rtlm.gen.common.progress import SilentProgress
from rtlm.gen.configuration.load import load_config
from rtlm.host.golden.kv_cache import cache_words, random_cache
from rtlm.host.golden.model import GoldenModel
from rtlm.host.models.model import LlamaModel
from rtlm.host.reports.causes import CAUSES, cycles_by_cause, idle_cause, whole_cycles
from rtlm.host.reports.layers import cycles_by_layer, layer_name
from rtlm.host.reports.traffic import needed_bytes
from rtlm.host.reports.work import operator_name
from rtlm.host.runtime.device import ColumnInput
from rtlm.host.runtime.simulation import simulate
from rtlm.hw.control.counters import ACTIVITY, Requests
from rtlm.hw.control.isa import Operator
from rtlm.sim.memory.dram import ddr4_2400, ideal

CONTEXT = 64
MEMORIES = {
    # The memory clock is a whole multiple of the accelerator's (6), or not (5.33), or there are several channels.
    "ddr4-2400": [],
    "odd ratio": ["clock_mhz=225"],
    "channels": ["memory.dram={base: hbm2, change: {channels: 4}}"],
}


@pytest.fixture(scope="module")
def model(random_model):
    path = random_model(layers=2, dim=128, hidden_dim=256, heads=4, kv_heads=2, vocab=320, context=CONTEXT)
    return LlamaModel.open(path)


@pytest.mark.slow
@pytest.mark.parametrize("memory", MEMORIES)
def test_steps_on_a_filled_cache(model, memory):
    golden = GoldenModel(model)
    config = load_config("tiny", ["memory.dram=ddr4-2400", *MEMORIES[memory]])
    with simulate(config, model, context=CONTEXT, progress=SilentProgress()) as simulation:
        device = simulation.device
        for history in (0, 1, 37):
            cache = random_cache(model, CONTEXT, filled=history, seed=history)
            device.write_words(simulation.memory.regions["kv0"].start, cache_words(device.params, cache))
            columns = [ColumnInput(token=9, position=history, history=history, local_first=0, slot=0)]
            before = device.model.counters()
            result = simulation.engine.step(columns, read_logits=True)
            running = device.model.counters().since(before).running
            expected = golden.evaluate([9], cache)
            np.testing.assert_array_equal(result.logits.view(np.uint32), expected.view(np.uint32))

            assert running["cycles"] == result.counters["CYCLES"]
            layers = cycles_by_layer(device.model.operator_spans())
            assert [*layers] == ["embedding", "layer 0", "layer 1", "head"]
            for operator in Operator:
                found = sum(layer.get(operator_name(operator), 0) for layer in layers.values())
                assert found == result.counters[f"OPERATOR_{operator.name}"]
            assert layers["head"]["lm_head"] and all(layers[layer_name(i)]["mlp"] for i in range(2))
            by_purpose = needed_bytes(simulation.memory.plan, columns, logits=True, stored_logits=True)
            needed = sum(by_purpose.values())
            cycles = cycles_by_cause(running, device.model.dram, needed)
            assert sum(cycles.values()) == result.counters["CYCLES"]
            assert sum(whole_cycles(cycles).values()) == result.counters["CYCLES"]
            assert all(value >= 0 for value in cycles.values()), cycles
            # What the bytes alone take at the memory's peak.
            peak = device.model.dram.peak_bytes_per_second / (config.clock_mhz * 1e6)
            assert float(cycles["needed"]) == pytest.approx(needed / peak, rel=1e-2)
            assert {name.split("_")[0] for name in cycles} <= {name.split("_")[0] for name in CAUSES}
            assert cycles["drain"] > 0


def test_every_activity_code_has_a_cause():
    causes = {
        idle_cause(ACTIVITY.const({"requests": requests, "operator": operator}).as_value().value >> 1)
        for requests in Requests
        for operator in Operator
    }
    assert causes == {"latency", "control", "drain", *(f"dependency_{operator.name.lower()}" for operator in Operator)}


def test_rounding_keeps_the_sum():
    thirds = {name: Fraction(value, 3) for name, value in zip("abcd", (1, 1, 4, 6), strict=True)}
    assert whole_cycles(thirds) == {"a": 1, "b": 0, "c": 1, "d": 2}


def test_books_that_do_not_add_up_show():
    running = {"cycles": 10, "clocks": 40, "data": 20, "refresh": 8, "rows": 4, "turnaround": 0, "timing": 0}
    running |= {"idle_4": 8}
    assert sum(cycles_by_cause(running, ddr4_2400(), 160).values()) == 10
    assert sum(cycles_by_cause(running | {"rows": 5}, ddr4_2400(), 160).values()) != 10
    assert cycles_by_cause(running, ideal(), 160) == {}


def test_a_cache_that_is_too_long_is_refused(model):
    params = load_config("tiny").to_params()
    positions = params.context_limit + 1
    with pytest.raises(ValueError, match=f"{positions} positions do not fit configuration tiny"):
        cache_words(params, random_cache(model, positions, filled=positions, seed=0))
    with pytest.raises(ValueError, match="9 positions do not fit a cache of 8"):
        random_cache(model, 8, filled=9, seed=0)
