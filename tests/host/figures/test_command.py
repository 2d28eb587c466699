"""The commands: check, list, renew."""

import datetime

import pytest
from click.testing import CliRunner
from rtlm.host.figures import __main__ as command
from rtlm.host.figures.results import Quantity, Results, TextSource

RESULTS = {
    name: Results(
        command=f"python benchmarks/{name}.py",
        date=datetime.date(2026, 11, 29),
        revision="0123abcd",
        machine="a machine",
        seconds=130,
        source=TextSource(paths=("host/figures",), sha256="another"),
        quantities={"cycles": Quantity(unit="clock cycles", kind="measured in RTL")},
        values={"cycles": 7},
    )
    for name in ("decode", "ladder")
}


@pytest.fixture
def page(tmp_path, monkeypatch):
    path = tmp_path / "page.md"
    path.write_text("a <!--= decode.cycles -->7<!--/-->")
    monkeypatch.setattr(command, "load_results", lambda: RESULTS)
    monkeypatch.setattr(command, "marked_pages", lambda: [path])
    monkeypatch.setattr(command, "fill_pages", list)
    return path


def run(*arguments):
    result = CliRunner().invoke(command.cli, arguments, standalone_mode=False)
    assert result.exception is None or result.return_value is None, result.exception
    return result


def test_agreement_is_success_with_warnings(page):
    result = run("check")
    assert result.return_value == 0
    assert "Renew it with: python benchmarks/ladder.py --record ladder" in result.output


def test_disagreement_is_failure(page):
    page.write_text("a <!--= decode.cycles -->8<!--/-->")
    result = run("check")
    assert result.return_value == 1
    assert "-->8<" in result.output and "python -m rtlm.host.pages" in result.output


def test_list_says_how_long_each_takes(page):
    assert "ladder" in run("list").output and "2 min  python benchmarks/ladder.py" in run("list").output


@pytest.mark.parametrize(("names", "ran"), [((), ["decode", "ladder"]), (("ladder",), ["ladder"])])
def test_renewal_runs_what_is_out_of_date_or_named(page, monkeypatch, names, ran):
    calls = []

    def call(arguments, **options):
        calls.append(arguments[1:])
        return type("Done", (), {"returncode": 0})

    monkeypatch.setattr(command.subprocess, "run", call)
    result = run("renew", *names)
    assert result.return_value == 0 and calls == [[f"benchmarks/{name}.py", "--record", name] for name in ran]
    assert f"1 of {len(ran)}: {ran[0]} (the last time 2 min)" in result.output


def test_a_failed_benchmark_does_not_stop_the_next(page, monkeypatch):
    monkeypatch.setattr(command.subprocess, "run", lambda *_, **__: type("Done", (), {"returncode": 1}))
    result = run("renew")
    assert result.return_value == 1 and "Not renewed: decode, ladder." in result.output


def interrupt(*_, **__):
    raise KeyboardInterrupt


def test_an_interruption_says_what_is_kept(page, monkeypatch, capsys):
    monkeypatch.setattr(command.subprocess, "run", interrupt)
    monkeypatch.setattr(command.sys, "argv", ["figures", "renew", "decode"])
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == 130 and "are kept" in capsys.readouterr().err


def test_unknown_names_are_refused(page):
    result = run("renew", "nothing")
    assert "NAME must be one of decode, ladder, got nothing." in str(result.exception)
