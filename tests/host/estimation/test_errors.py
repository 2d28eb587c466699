"""Estimates against RTL: the points that were measured, a few of them measured again."""

from dataclasses import replace

import pytest
from rtlm.gen.common.progress import SilentProgress
from rtlm.host.compiler.plan import make_plan
from rtlm.host.estimation.errors import error_band, point_errors, stated_band
from rtlm.host.estimation.memory import memory_times
from rtlm.host.estimation.points import GROUPS, SMOLLM2, Point, group_config, measured_cycles, shape_of
from rtlm.host.estimation.step import step_time
from rtlm.host.estimation.units import unit_times
from rtlm.host.models.download import cached
from rtlm.host.models.model import LlamaModel
from rtlm.host.models.stored import ModelShape
from rtlm.host.runtime.simulation import simulate

WORST, MEAN = 0.03, 0.01


@pytest.fixture(scope="module")
def errors():
    return point_errors()


def test_errors_are_within_what_is_promised_and_stated(errors):
    band = error_band(errors)
    assert band == stated_band(), "run: .venv/bin/python -m rtlm.host.pages"
    assert band.mean <= MEAN and band.worst <= WORST
    assert {each.group for each in errors} == set(measured_cycles())


def test_shape_on_paper_is_that_of_the_file():
    path = cached()
    if path is None:
        pytest.skip("SmolLM2 is not in the cache")
    found = ModelShape.of(LlamaModel.open(path))
    assert found.rms_eps == pytest.approx(1e-5)
    assert replace(found, rms_eps=1e-5) == shape_of(SMOLLM2)


@pytest.mark.slow
def test_rtl_takes_what_was_measured_and_what_is_estimated(random_model):
    """Points of a small group once more, and a context that is not among them."""
    name = "tiny-ddr4"
    config, group = group_config(name), GROUPS[name]
    path = random_model(layers=3, dim=128, hidden_dim=256, heads=4, kv_heads=2, context=256)
    shape = shape_of(group.model)
    params = config.to_params()
    points = (*group.points, Point(context=133))
    longest = max(each.context + each.prompt for each in group.points)
    with simulate(config, LlamaModel.open(path), context=longest, progress=SilentProgress()) as simulation:
        cycles = [simulation.engine.step(each.columns).counters["CYCLES"] for each in points]
    # Where the memory stands in its refresh when a step starts depends on what was read before: some cycles.
    assert cycles[:-1] == pytest.approx(measured_cycles()[name], rel=2e-3)
    plan = make_plan(params, shape, context=longest)
    estimated = step_time(plan, unit_times(params), memory_times(config, params), points[-1].columns, logits=True)
    assert abs(estimated.cycles / cycles[-1] - 1) <= WORST
