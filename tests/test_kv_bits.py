"""A KV cache with codes of 4 bits, through the gates: bits, memory, bytes and cycles."""

import numpy as np
import pytest
from rtlm.gen.common.progress import SilentProgress
from rtlm.gen.configuration.load import load_config
from rtlm.host.estimation.memory import memory_times
from rtlm.host.estimation.step import step_time
from rtlm.host.estimation.units import unit_times
from rtlm.host.golden.kv_cache import cache_words, random_cache
from rtlm.host.golden.model import ColumnView, GoldenModel
from rtlm.host.models.model import LlamaModel
from rtlm.host.reports.work import step_work
from rtlm.host.runtime.device import side_by_side
from rtlm.host.runtime.simulation import simulate

CONTEXT, KV_BITS = 112, 4
WORST = 0.03
"""Of the estimate's cycles, as in tests/host/estimation/test_errors.py."""
STEPS = [side_by_side([(5, position, 0)]) for position in (0, 1, 63, 95)]
CASES = {
    # Four positions a cycle.
    "tiny": ([], {"dim": 128, "heads": 4, "kv_heads": 2}),
    # The technology and the shape of heads of kv260: multipliers that hold the sums, a position a cycle.
    "like kv260": (
        [
            *("technology=xilinx-us+", "clock_mhz=300", "vector.interval=4"),
            *("attention.head_dim=64", "attention.group=3", "attention.bytes_per_cycle=32"),
            *("limits.dim=192", "limits.heads=3", "limits.kv_heads=1"),
        ],
        {"dim": 192, "heads": 3, "kv_heads": 1},
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_steps_with_codes_of_4_bits(case, random_model):
    settings, sizes = CASES[case]
    model = LlamaModel.open(random_model(layers=2, hidden_dim=192, vocab=320, context=CONTEXT, **sizes))
    golden = GoldenModel(model, kv_bits=KV_BITS)
    config = load_config("tiny", [*settings, f"attention.kv_bits={KV_BITS}", "memory.dram=ddr4-2400"])
    params = config.to_params()
    cache = random_cache(model, CONTEXT, filled=CONTEXT, seed=1, kv_bits=KV_BITS)
    errors = []
    with simulate(config, model, context=CONTEXT, progress=SilentProgress()) as simulation:
        plan, device, start = simulation.memory.plan, simulation.device, simulation.memory.regions["kv0"].start
        device.write_words(start, cache_words(params, cache))
        for columns in STEPS:
            before = device.model.counters()
            result = simulation.engine.step(columns, read_logits=True)
            moved = device.model.counters().since(before)
            (c,) = columns
            view = ColumnView(cache=cache, position=c.position, history=c.history, local_first=c.local_first)
            expected = golden.evaluate_columns([c.token], [view])
            np.testing.assert_array_equal(result.logits.view(np.uint32), expected.view(np.uint32))
            counted = sum(each.bytes for each in step_work(plan, columns, logits=True, stored_logits=True).values())
            assert counted == sum(moved.read_bytes.values()) + sum(moved.write_bytes.values())
            time = step_time(plan, unit_times(params), memory_times(config, params), columns, logits=True)
            errors.append(time.cycles / result.counters["CYCLES"] - 1)
        # What the golden model has written lies in memory, bit for bit.
        words = cache_words(params, cache)
        np.testing.assert_array_equal(device.read_words(start, len(words)).reshape(words.shape), words)
    print(errors)
    assert max(map(abs, errors)) <= WORST, errors
