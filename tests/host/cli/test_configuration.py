"""``rtlm list``, ``rtlm show``, ``rtlm schema`` and ``rtlm generate`` on the command line."""

import json

import pytest
import yaml
from rtlm.gen.common.errors import OK, USER_ERROR
from rtlm.gen.configuration.load import load_config, preset_names
from rtlm.gen.configuration.schema import BOARDS
from rtlm.gen.rtl.units import UNITS
from rtlm.host.cli import main as cli


def out(capsys, *arguments):
    assert cli.run_command(list(arguments)) == OK
    return capsys.readouterr().out


def test_list_names_everything(capsys):
    text = out(capsys, "list")
    for name in [*UNITS, *preset_names(), *BOARDS, "matmul.lanes", "xilinx-us+", "ddr4-2400", "accelerator"]:
        assert f"  {name} " in text, name
    assert "a power of two from 32 to 8192" in text
    found = json.loads(out(capsys, "list", "parameters", "--json"))
    lanes = next(entry for entry in found if entry["name"] == "matmul.lanes")
    assert (lanes["type"], lanes["default"]) == ("integer", 128)
    assert set(json.loads(out(capsys, "list", "--json"))) >= {"units", "presets", "boards", "parameters"}


def test_show_is_a_configuration_again(capsys, tmp_path):
    text = out(capsys, "show", "u250", "--set", "matmul.columns=2")
    assert "# word_bytes: 256" in text
    path = tmp_path / "again.yaml"
    path.write_text(text)
    assert load_config(path) == load_config("u250", ["matmul.columns=2"])
    values = json.loads(out(capsys, "show", "tiny", "--json"))
    assert values["derived"]["beat_bytes"] == 32
    assert values["config"] == yaml.safe_load(out(capsys, "show", "tiny"))


def test_schema_knows_the_keys(capsys):
    schema = json.loads(out(capsys, "schema"))
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert schema["$defs"]["MemoryConfig"]["properties"]["ports"]["description"] == "AXI4 ports."


def test_every_unit_has_a_command_with_its_parameters(capsys):
    assert "gemv" in out(capsys, "generate", "--help")
    text = out(capsys, "generate", "gemv", "--help")
    assert "max_k_blocks" in text


@pytest.mark.parametrize(
    ("arguments", "code", "part"),
    [
        (["gemvv", "-o", "x"], USER_ERROR, "No such command 'gemvv'"),
        (["swiglu"], USER_ERROR, "Missing option '--output'"),
        (["swiglu", "-o", "x", "--set", "lane=2"], USER_ERROR, "did you mean lanes?"),
        (["swiglu", "-o", "x", "--set", "lanes=0"], USER_ERROR, "lanes must be at least 1, got 0"),
        (["swiglu", "-o", "x", "--set", "matmul.lanes=3"], USER_ERROR, "nearest valid value is 32"),
        (["accelerator", "-o", "x", "--config", "kv26"], USER_ERROR, "did you mean kv260?"),
        (["kernel", "x.py:f", "-o", "x", "--technology", "tsmc"], USER_ERROR, "tsmc is none of"),
    ],
)
def test_wrong_usage_writes_nothing(arguments, code, part, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.run_command(["generate", *arguments]) == code
    assert part in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_unit_with_its_own_settings_and_those_of_the_configuration(capsys, tmp_path):
    folder = tmp_path / "swiglu"
    arguments = [
        "generate",
        "swiglu",
        "--config",
        "tiny",
        "--set",
        "lanes=3",
        "--set",
        "clock_mhz=200",
        "-o",
        str(folder),
    ]
    files = out(capsys, *arguments).split()
    manifest = json.loads((folder / "manifest.json").read_text())
    assert (manifest["parameters"]["lanes"], manifest["clock_mhz"]) == (3, 200)
    assert sorted(files) == sorted(str(path) for path in folder.iterdir())
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "theirs").write_text("")
    assert cli.run_command([*arguments[:-1], str(tmp_path / "other")]) == USER_ERROR
    assert "--force" in capsys.readouterr().err
