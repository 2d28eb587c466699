"""Power of estimates: operators and boundaries add up, batches save energy, synthesis goes before the area model."""

from dataclasses import asdict, replace
from pathlib import Path

import pytest
from rtlm.gen.boards.constraints import FOLDER
from rtlm.gen.configuration.load import load_config
from rtlm.gen.synthesis import elements
from rtlm.host.estimation.estimate import EstimateRequest, estimate
from rtlm.host.estimation.power import power_of
from rtlm.host.models.paper import open_model
from rtlm.host.power.libraries import LIBRARIES
from rtlm.host.power.result import Boundary, Kind


def found(preset="kv260", batch=1):
    config = load_config(preset, [f"matmul.columns={batch}"])
    return estimate(EstimateRequest(config=config, model=open_model("smollm2-135m"), batch=batch, prompt=16))


def test_a_library_of_cells_can_be_chosen():
    asic, model = load_config("asic"), open_model("smollm2-135m")
    old, new = (estimate(EstimateRequest(config=asic, model=model, library=library)).power for library in LIBRARIES)
    assert any("liberty tables of nangate45" in each.method for each in new.components)
    chips = [power.within(Boundary.CHIP).nominal for power in (old, new)]
    assert chips[1] < chips[0] / 3
    # The memory is the same: no part of the library.
    assert old.total_w - chips[0] == pytest.approx(new.total_w - chips[1])


@pytest.mark.parametrize("preset", ["kv260", "asic"])
def test_a_point_of_a_sweep_reads_no_file_of_the_project(preset, tmp_path, monkeypatch):
    """Neither what power is estimated from nor the source of the hardware is read again for each point."""
    monkeypatch.setattr("rtlm.gen.synthesis.kept.cache_folder", lambda kind: tmp_path)
    found(preset, batch=4)
    config, model = load_config(preset, ["matmul.columns=4", "attention.context_limit=256"]), open_model("smollm2-135m")
    opened, real = [], Path.open
    monkeypatch.setattr(Path, "open", lambda path, *how, **more: (opened.append(path), real(path, *how, **more))[1])
    estimate(EstimateRequest(config=config, model=model, context=100, batch=4, prompt=16))
    assert any(path.is_relative_to(tmp_path) for path in opened)
    assert [path for path in opened if path.is_relative_to(FOLDER.parent)] == []


def test_operators_add_up_to_the_module():
    one = found()
    for power in (one.power, one.prefill_power):
        assert sum(each.nominal for each in power.operators.values()) == pytest.approx(power.total_w)
        assert power.operators["mlp"].nominal > power.operators["wo"].nominal
    assert one.power.within(Boundary.PLUG).nominal > one.power.total_w
    written = one.to_json()
    assert written["prefill_power"]["total_w"] == one.prefill_power.total_w
    assert sum(each["w"] for each in written["power"]["operators"]) == pytest.approx(written["power"]["total_w"])


def test_a_batch_takes_more_power_and_less_energy_a_token():
    one, eight = found().power, found(batch=8).power
    assert eight.total_w > one.total_w
    assert eight.j_per_token.nominal < one.j_per_token.nominal / 2


def test_twice_the_clock_is_twice_the_dynamic_power_of_the_logic(monkeypatch):
    monkeypatch.setattr("rtlm.host.estimation.power.synthesised_elements", lambda config: (None, ""))
    one = found()
    faster = power_of(replace_clock(one.config, 2.0), one.area, one.decode)
    for kind in (Kind.SWITCHING, Kind.CLOCK):
        slow, fast = (sum(each.w for each in power.components if each.kind is kind) for power in (one.power, faster))
        assert fast == pytest.approx(2 * slow)


def replace_clock(config, factor):
    return config.model_copy(update={"clock_mhz": config.clock_mhz * factor})


def test_synthesis_goes_before_the_area_model(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("rtlm.host.estimation.power.synthesised_elements", lambda config: (None, ""))
    one = found()
    assert "elements of the area model" in one.power.components[0].method
    monkeypatch.setattr(
        "rtlm.host.estimation.power.synthesised_elements",
        lambda config: (
            {unit: asdict(replace(area, luts=2 * area.luts)) for unit, area in one.area.units.items()},
            "synthesised elements",
        ),
    )
    twice = power_of(one.config, one.area, one.decode)
    assert "synthesised elements" in twice.components[0].method
    assert twice.components[0].w > one.power.components[0].w
    assert set(elements.RESOURCES) <= set(asdict(next(iter(one.area.units.values()))))
