"""Layers that attend to a window, through the gates: bits, bytes and cycles, next to layers that attend to all."""

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
from rtlm.host.runtime.device import ColumnInput, side_by_side, successive
from rtlm.host.runtime.simulation import simulate

from tests.host.small_models import with_windows

CONTEXT, WINDOW = 112, 23
WORST = 0.03
"""Of the estimate's cycles, as in tests/host/estimation/test_errors.py."""
STEPS: dict[str, tuple[ColumnInput, ...]] = {
    "nothing before": side_by_side([(5, 0, 0)]),
    "all of the history": side_by_side([(5, WINDOW - 1, 0)]),
    "one position less": side_by_side([(5, WINDOW, 0)]),
    "from the start of a word": side_by_side([(5, 64 + WINDOW - 1, 0)]),
    "two sequences": side_by_side([(5, 95, 0), (17, 22, 1)]),
    "two tokens, from two words": successive([5, 17], 63 + WINDOW - 1, slot=0),
}


@pytest.fixture(scope="module")
def model(random_model):
    path = random_model(layers=4, dim=128, hidden_dim=192, heads=4, kv_heads=2, vocab=320, context=CONTEXT)
    return with_windows(LlamaModel.open(path), WINDOW, (0, 1, 3))


@pytest.mark.slow
def test_steps_with_windows(model):
    golden = GoldenModel(model)
    config = load_config("tiny", ["matmul.columns=2", "attention.windows=true", "memory.dram=ddr4-2400"])
    params = config.to_params()
    caches = [random_cache(model, CONTEXT, filled=CONTEXT, seed=slot) for slot in range(2)]
    errors = {}
    with simulate(config, model, context=CONTEXT, progress=SilentProgress()) as simulation:
        plan, device = simulation.memory.plan, simulation.device
        for slot, cache in enumerate(caches):
            device.write_words(simulation.memory.regions[f"kv{slot}"].start, cache_words(params, cache))
        for name, columns in STEPS.items():
            before = device.model.counters()
            result = simulation.engine.step(columns, read_logits=True)
            moved = device.model.counters().since(before)
            views = [
                ColumnView(cache=caches[c.slot], position=c.position, history=c.history, local_first=c.local_first)
                for c in columns
            ]
            expected = golden.evaluate_columns([c.token for c in columns], views)
            np.testing.assert_array_equal(result.logits.view(np.uint32), expected.view(np.uint32), name)
            counted = sum(each.bytes for each in step_work(plan, columns, logits=True, stored_logits=True).values())
            assert counted == sum(moved.read_bytes.values()) + sum(moved.write_bytes.values()), name
            time = step_time(plan, unit_times(params), memory_times(config, params), columns, logits=True)
            errors[name] = time.cycles / result.counters["CYCLES"] - 1
    print(errors)
    assert max(map(abs, errors.values())) <= WORST, errors
