"""``rtlm dissect``: sources, files, exit codes, one sentence for what goes wrong."""

import json

import pytest
from rtlm.gen.common.errors import OK, USER_ERROR
from rtlm.host.cli.main import run_command

from tests.host.dissection.reports import run_report


@pytest.fixture
def report(tmp_path, monkeypatch):
    """Name of a report in the working folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "report.json").write_text(json.dumps(run_report()))
    return "report.json"


def test_a_report_is_printed_and_written(report, tmp_path, capsys):
    files = ["--json", "parts.json", "--roofline", "a.svg", "--roofline", "a.png"]
    assert run_command(["dissect", report, *files]) == OK
    out = capsys.readouterr().out
    assert "made-up on kv260 at 300 MHz" in out and "qk^t" in out
    assert max(map(len, out.splitlines())) <= 120
    assert json.loads((tmp_path / "parts.json").read_text())["schema"] == "rtlm.dissection"
    assert (tmp_path / "a.svg").stat().st_size and (tmp_path / "a.png").stat().st_size


def test_json_alone_goes_to_standard_output(report, capsys):
    assert run_command(["dissect", report, "--json", "-"]) == OK
    assert json.loads(capsys.readouterr().out)["view"] == "micro"
    assert run_command(["dissect", report, "--quiet"]) == OK
    assert capsys.readouterr().out == ""


def test_a_model_is_estimated(report, capsys):
    options = ["--set", "matmul.columns=2", "--batch", "2", "--context", "77", "--prompt", "9", "--group", "64"]
    assert run_command(["dissect", "--model", "smollm2-135m", *options]) == OK
    out = capsys.readouterr().out
    assert "smollm2-135m on kv260 at 300 MHz, batch 2, context 77; cycles estimated" in out
    assert "prefill (18 tokens)" in out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "must be one of REPORT.json, --model or --macro, got none of them"),
        (["report.json", "--macro"], "got REPORT.json and --macro"),
        (["report.json", "--batch", "2"], "--batch needs --model"),
        (["--macro", "--output-weights", "q8_0"], "--output-weights needs --model"),
        (["report.json", "--config", "u280"], "--config needs --model or --macro"),
        (["report.json", "--set", "clock_mhz=100"], "--set needs --model or --macro"),
        (["report.json", "--accepted", "1"], "--accepted needs --macro"),
        (["--macro", "--accepted", "3"], "at most the 2 guesses, got 3"),
        (["--macro", "--guesses", "8"], "--guesses must be a whole number, between 1 and 7, got 8"),
        (["--macro", "--roofline", "a.svg"], "--roofline needs REPORT.json or --model"),
        (["report.json", "--roofline", "a.pdf"], "--roofline must end in .svg or .png, got a.pdf"),
        (["report.json", "--roofline", "no/a.svg"], "there is no folder no"),
        (["report.json", "--json", "no/a.json"], "there is no folder no"),
        (["missing.json"], "missing.json cannot be read: No such file or directory"),
        (["--model", "smollm2"], "there is no model 'smollm2'"),
        (["--model", "smollm2-135m", "--batch", "2"], "add --set matmul.columns=2"),
        (["--model", "smollm2-135m", "--config", "kv26"], "did you mean kv260?"),
    ],
)
def test_what_cannot_be_done_is_refused_in_a_sentence(report, capsys, arguments, sentence):
    assert run_command(["dissect", *arguments]) == USER_ERROR
    out, err = capsys.readouterr()
    assert sentence in err
    assert not out
    assert "Traceback" not in err


def test_a_full_disk_is_said(report, capsys):
    assert run_command(["dissect", report, "--json", "/dev/full"]) == USER_ERROR
    assert "--json /dev/full could not be written: No space left on device" in capsys.readouterr().err
