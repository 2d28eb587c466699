"""Results files: what is written down, and what is refused."""

import sys

import pytest
from rtlm.host.figures import results
from rtlm.host.figures.results import FiguresError, command_line, load_results, record, text_hash

CYCLES = {"cycles": ("clock cycles", "measured in RTL")}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    monkeypatch.setattr(sys, "argv", ["benchmarks/decode.py", "--tokens", "3", "--record", "decode", "--check"])
    return tmp_path


def test_a_benchmark_records_what_it_measured(folder):
    record(
        "decode", {"steps": [{"cycles": 7, "equal": True}]}, CYCLES, source=["host/figures"], tools={"yosys": "0.70"}
    )
    found = load_results(folder)["decode"]
    assert found.command == "python benchmarks/decode.py --tokens 3 --check"
    assert found.renewal("decode") == "python benchmarks/decode.py --tokens 3 --check --record decode"
    assert found.values == {"steps": [{"cycles": 7, "equal": True}]}
    assert found.quantities["cycles"].unit == "clock cycles" and found.kinds == ("measured in RTL",)
    assert found.source.sha256 == text_hash(["host/figures"]) and found.tools == {"yosys": "0.70"}
    assert found.machine.endswith(" cores") and found.revision and found.seconds >= 0


def test_rtl_is_written_down_with_its_hash(folder, monkeypatch):
    monkeypatch.setattr(results, "todays_verilog", lambda config, overrides: f"{config} {'; '.join(overrides)}")
    record("decode", {"cycles": 7}, CYCLES, rtl=[("kv260", ["matmul.columns=8"]), ("u280", [])])
    rtl = load_results(folder)["decode"].rtl
    assert [each.verilog_sha256 for each in rtl] == ["kv260 matmul.columns=8", "u280 "]


def test_nothing_is_written_without_a_name(folder):
    record(None, {"cycles": 7}, CYCLES)
    assert not list(folder.iterdir())


def test_a_number_without_a_unit_is_refused(folder):
    with pytest.raises(ValueError, match=r"got none for seconds"):
        record("decode", {"steps": [{"cycles": 7, "seconds": 0.5}]}, CYCLES)


def test_units_may_stand_for_all_that_is_below(folder):
    record("decode", {"causes": {"refresh": 3, "rows": [1, 2]}}, {"causes": ("clock cycles", "measured in RTL")})
    assert load_results(folder)["decode"].values["causes"]["rows"] == [1, 2]


def test_a_damaged_file_is_named(folder):
    (folder / "decode.json").write_text('{"command": "python benchmarks/decode.py"}')
    with pytest.raises(FiguresError, match=r"decode\.json is not a results file: date: Field required"):
        load_results(folder)


def test_commands_are_those_of_the_repository():
    assert command_line(["benchmarks/a.py", "--record", "a", "b c"]) == "python benchmarks/a.py 'b c'"
    assert command_line(["benchmarks/a.py", "--all"], "benchmarks.a") == "python -m benchmarks.a --all"


def test_source_is_known_by_its_content(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "ROOT", tmp_path)
    (tmp_path / "hw").mkdir()
    before = tmp_path / "hw" / "unit.py"
    before.write_text("a = 1\n")
    first = text_hash(["hw"])
    before.write_text("a = 2\n")
    second = text_hash(["hw"])
    before.rename(tmp_path / "hw" / "other.py")
    assert len({first, second, text_hash(["hw"])}) == 3
