"""Shipped toggle rates: of the presets as they are now, chosen by hash, else the nearest, and named."""

import re

import pytest
from rtlm.gen.configuration.load import config_hash, load_config, preset_names
from rtlm.gen.rtl.verilog import build_rtl, verilog_sha256
from rtlm.host.estimation.estimate import EstimateRequest, estimate
from rtlm.host.models.paper import open_model
from rtlm.host.power import shipped
from rtlm.host.power.shipped import RENEW, default_rates, default_shipped, shipped_for, write_activity
from rtlm.host.power.technology import ShippedActivity, TechnologyError, parse, shipped_activity

PRESETS = sorted(shipped_activity().presets)
BUILT_HERE = "tiny"
"""The preset whose RTL is made for the test; that of others is looked for in the cache."""


def stale(what: str, name: str) -> str:
    return f"{what} of {name} is not the one whose toggles were counted; run: {RENEW} {name}"


@pytest.mark.parametrize("name", PRESETS)
def test_the_rates_are_of_todays_preset(name):
    assert name in preset_names()
    config, rates = load_config(name), shipped_activity().presets[name]
    assert rates.config == config_hash(config), stale("the configuration", name)
    verilog = build_rtl(config).manifest["verilog_sha256"] if name == BUILT_HERE else verilog_sha256(config)
    assert verilog is None or verilog.startswith(rates.verilog), stale("the RTL", name)


def test_another_hash_is_said_to_be_stale():
    assert stale("the RTL", "kv260").endswith("run: python benchmarks/activity_rates.py --record --config kv260")


@pytest.mark.parametrize("name", PRESETS)
def test_rates_are_those_of_the_preset_with_the_hash(name):
    found = shipped_for(load_config(name))
    assert (found.preset, found.own) == (name, True) and found.note == f"the shipped rates of {name}"
    assert found.rates is shipped_activity().presets[name] and found.rates.config in found.source
    assert all(0 < rate < 1 for rate in (*found.rates.busy.values(), *found.rates.always.values(), found.rates.other))


def test_another_configuration_gets_the_nearest_preset_and_says_so():
    near = shipped_for(load_config("kv260", ["matmul.lanes=256"]))
    assert not near.own and near.preset == "kv260"
    assert near.note == "the shipped rates of kv260, the nearest preset that was counted,"
    # An array whose columns are all in use toggles as one of a single column, not as one of two with one idle.
    assert shipped_for(load_config("kv260", ["matmul.columns=8"])).preset == "kv260"
    # The technology counts before the size.
    assert shipped_for(load_config("kv260", ["matmul.lanes=32"])).preset != "ecp5-85k"
    assert shipped_for(load_config("ecp5-85k", ["matmul.lanes=64"])).preset == "ecp5-85k"
    # What does not change the hardware does not change the rates.
    assert shipped_for(load_config("kv260", ["memory.dram=ideal"])).own


@pytest.mark.parametrize(("name", "overrides"), [("kv260", []), ("kv260", ["matmul.lanes=256"])])
def test_estimates_take_them_and_name_them(name, overrides):
    config = load_config(name, overrides)
    request = EstimateRequest(config=config, model=open_model("smollm2-135m"), context=128)
    power, rates = estimate(request).power, shipped_for(config)
    assert any(note.startswith(f"No toggles were counted: {rates.note} are used") for note in power.notes)
    reader = next(each for each in power.components if each.name == "reader")
    assert f"shipped toggle rate {rates.rates.always['reader']:.1%}" in reader.method


def test_what_is_written_is_read_again(tmp_path, monkeypatch):
    monkeypatch.setattr(shipped, "ACTIVITY", tmp_path / "power-activity.yaml")
    presets = {"kv260": default_rates(), "tiny": default_rates()}
    write_activity(presets)
    text = shipped.ACTIVITY.read_text()
    assert parse(ShippedActivity, "x.yaml", text).presets == presets and text.startswith("# Toggles for each net bit")
    assert default_shipped().preset == "kv260"
    with pytest.raises(TechnologyError, match=re.escape("presets must have kv260, got other")):
        parse(ShippedActivity, "x.yaml", text.replace("kv260:", "other:").replace("tiny:", "other:"))
