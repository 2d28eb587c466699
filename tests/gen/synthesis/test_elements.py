"""Elements of syntheses: kept by unit for the configuration they are of, and only where they can be read."""

import pytest
from rtlm.gen.common.cache import cache_folder
from rtlm.gen.configuration.load import load_config
from rtlm.gen.configuration.schema import config_hash
from rtlm.gen.rtl.verilog import verilog_sha256
from rtlm.gen.synthesis import elements
from rtlm.gen.synthesis.elements import RENEW, RESOURCES, keep_elements, shipped_elements, synthesised_elements
from rtlm.gen.synthesis.synthesise import ModuleUse, SynthResult

OWN = {"lut": 1.0, "ff": 2.0, "dsp": 0.0, "bram": 0.5, "uram": 0.0}
MATMUL = {"lut": 100.0, "ff": 200.0, "dsp": 30.0, "bram": 4.0, "uram": 1.0}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def result(target="xilinx-us+"):
    whole = {name: OWN[name] + MATMUL[name] for name in OWN}
    modules = (
        ModuleUse(path="", own=OWN, total=whole, cells={}),
        ModuleUse(path="matmul", own=OWN, total=MATMUL, cells={}),
        ModuleUse(path="matmul.array", own=OWN, total=OWN, cells={}),
    )
    return SynthResult(target=target, top="accelerator", modules=modules, tools={}, seconds=1.0, notes=())


def test_units_of_a_synthesis_are_found_again():
    config = load_config("tiny")
    assert synthesised_elements(config) == (None, "")
    keep_elements(config, result())
    units, how = synthesised_elements(config)
    assert how == "synthesised elements"
    assert units == {
        "top": {"luts": 1.0, "ffs": 2.0, "dsps": 0.0, "brams": 0.5, "urams": 0.0},
        "matmul": {"luts": 100.0, "ffs": 200.0, "dsps": 30.0, "brams": 4.0, "urams": 1.0},
    }
    assert synthesised_elements(load_config("tiny", ["matmul.columns=2"]))[0] is None


def test_other_targets_and_damaged_files_are_passed_over():
    config = load_config("tiny")
    keep_elements(config, result(target="ecp5"))
    assert synthesised_elements(config)[0] is None
    keep_elements(config, result())
    (path,) = cache_folder("elements").iterdir()
    for text in (
        "",
        "[1]",
        '{"a": 1}',
        '{"a": {"luts": 1}}',
        '{"a": {"luts": NaN, "ffs": 1, "dsps": 1, "brams": 1, "urams": 1}}',
    ):
        path.write_text(text)
        assert synthesised_elements(config)[0] is None


NONE_SHIPPED = pytest.param("", marks=pytest.mark.skip(reason="gen/synthesis/elements.json has no preset"))


@pytest.mark.parametrize("name", sorted(shipped_elements()) or [NONE_SHIPPED])
def test_shipped_elements_are_of_todays_preset(name, monkeypatch):
    config, preset = load_config(name), shipped_elements()[name]
    again = f"{name} is not what was synthesised; run: {RENEW} {name}"
    assert preset["config"] == config_hash(config), again
    assert all(set(counts) == set(RESOURCES) for counts in preset["units"].values())
    assert synthesised_elements(config) == (preset["units"], f"synthesised elements of {name}, shipped")
    monkeypatch.undo()  # the RTL is looked for in the cache that other tests fill
    verilog = verilog_sha256(config)
    assert verilog is None or verilog.startswith(preset["verilog"]), again


def test_shipped_elements_are_for_their_hash_alone_and_come_after_a_synthesis(monkeypatch):
    config = load_config("tiny")
    units = {"matmul": dict.fromkeys(RESOURCES, 7.0)}
    shipped = {"tiny": {"config": config_hash(config), "verilog": "", "tools": {}, "units": units}}
    monkeypatch.setattr(elements, "shipped_elements", lambda: shipped)
    assert synthesised_elements(config) == (units, "synthesised elements of tiny, shipped")
    assert synthesised_elements(load_config("tiny", ["matmul.columns=2"])) == (None, "")
    keep_elements(config, result())
    assert synthesised_elements(config)[1] == "synthesised elements"
