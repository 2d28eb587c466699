"""Results of earlier hardware or source: a warning that names the command which renews them."""

import datetime

import pytest
from rtlm.host.figures import freshness
from rtlm.host.figures.freshness import reasons, warnings
from rtlm.host.figures.results import FOLDER, ROOT, Results, RtlSource, TextSource, load_results, text_hash


def results(**depends):
    return Results(
        command="python benchmarks/decode.py",
        date=datetime.date(2026, 11, 29),
        revision="0123abcd",
        machine="a machine",
        quantities={},
        values={},
        **depends,
    )


def on_rtl(sha256):
    return results(rtl=(RtlSource(config="kv260", overrides=("matmul.columns=8",), verilog_sha256=sha256),))


@pytest.fixture
def today(monkeypatch):
    known = {"verilog": "today"}
    monkeypatch.setattr(freshness, "todays_verilog", lambda config, overrides, generate: known["verilog"])
    return known


def test_results_of_today_have_no_warning(today):
    paths = ("host/figures",)
    assert not reasons(on_rtl("today"))
    assert not warnings({"source": results(source=TextSource(paths=paths, sha256=text_hash(paths)))})


def test_other_rtl_is_a_warning_with_the_command(today):
    (sentence,) = warnings({"decode": on_rtl("yesterday")})
    assert "the RTL of kv260 with 1 change has changed" in sentence and "revision 0123abcd" in sentence
    assert sentence.endswith("Renew it with: python benchmarks/decode.py --record decode")


def test_rtl_that_is_not_there_is_not_called_the_same(today):
    today["verilog"] = None
    assert "was not compared" in reasons(on_rtl("today"))[0]
    assert "not written down" in reasons(on_rtl(None))[0]


def test_other_source_is_a_warning():
    assert reasons(results(source=TextSource(paths=("host/figures",), sha256="0"))) == ["host/figures have changed"]
    assert "not written down" in reasons(results(source=TextSource(paths=("host/figures",))))[0]


def test_commands_of_all_results_exist():
    """Each is a script that takes --record, or make figures could not renew its results."""
    for name, each in load_results(FOLDER).items():
        program, script, *rest = each.command.split()
        assert program == "python", name
        script = f"{rest[0].replace('.', '/')}.py" if script == "-m" else script
        assert "@record_option" in (ROOT / script).read_text(encoding="utf-8"), name
