"""`rtlm compare`: filters, files, and what is refused."""

import csv
import io
import json
import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest
from rtlm.gen.common.errors import OK, USER_ERROR
from rtlm.host.cli import compare
from rtlm.host.cli import main as cli
from rtlm.host.survey.export import SCHEMA
from rtlm.host.survey.row import COLUMNS, Kind, Method, Platform

from tests.host.survey.files import report, table_text


@pytest.fixture
def run(capsys):
    """Run the command and return exit code, output and errors."""

    def run_compare(*arguments):
        ours = [] if "--ours" in arguments else ["--only-published"]
        code = cli.run_command(["compare", *map(str, arguments), *ours])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run_compare


def points(run, *arguments):
    code, out, err = run("--json", "-", *arguments)
    assert code == OK, err
    return json.loads(out)["points"]


def test_tables(run):
    code, out, err = run()
    assert (code, err) == (OK, "")
    assert "published designs by platform" in out and "published designs by method" in out
    assert "Hummingbird" in out and "At batch 8 there is no published design" in out
    code, summary, _ = run("--summary")
    assert code == OK and "Hummingbird" not in summary and len(summary) < len(out) / 5


def test_names_of_options_are_those_of_the_table():
    assert tuple(map(compare._option_name, Platform)) == compare.PLATFORMS
    assert tuple(map(compare._option_name, Method)) == compare.METHODS
    assert tuple(map(compare._option_name, Kind)) == compare.KINDS


@pytest.mark.parametrize(
    "arguments, holds",
    [
        (["--platform", "pim"], lambda point: point["platform"] == "PIM/NDP"),
        (["--platform", "FPGA", "--platform", "asic"], lambda point: point["platform"] in ("FPGA", "ASIC")),
        (["--method", "fast-decoding"], lambda point: "fast decoding" in point["methods"]),
        (["--kind", "vendor"], lambda point: point["kind"] == "vendor"),
        (["--batch", "8"], lambda point: point["performance"]["batch"] == 8),
        (["--year", "2022"], lambda point: point["year"] == 2022),
        (["--year", "2025:2026"], lambda point: point["year"] >= 2025),
        (["--model-size", "6:9"], lambda point: point["parameters_b"] and 6 <= point["parameters_b"] <= 9),
    ],
)
def test_filters(run, arguments, holds):
    everything = points(run)
    found = points(run, *arguments)
    assert found == [point for point in everything if holds(point)]
    assert 0 < len(found) < len(everything)


def test_filters_hold_together(run):
    found = points(run, "--platform", "fpga", "--method", "sparsity", "--model-size", "6:9", "--kind", "measured")
    assert {point["id"] for point in found} == {"flightllm-u280", "edgellm-vcu128", "edgellm-vcu128-glm"}


def test_ours_stand_among_the_published(run, tmp_path):
    path = tmp_path / "report.json"
    path.write_text(json.dumps(report()))
    estimate = tmp_path / "estimate.json"
    estimate.write_text(json.dumps(report(error_band={"mean": 0.01, "worst": 0.03})))
    found = points(run, "--ours", path, "--ours", estimate, "--platform", "cpu")
    assert [point["kind"] for point in found[:2]] == ["RTL-simulated", "estimated ± 3.0%"]
    assert all(point["ours"] for point in found[:2]) and not any(point["ours"] for point in found[2:])
    assert found[0]["power"]["low_w"] < found[0]["power"]["total_w"] < found[0]["power"]["high_w"]
    code, out, _ = run("--ours", path, "--summary")
    assert code == OK and "rtlm sample" in out and "RTL-simulated" in out


def test_json_speaks_the_schema_of_reports(run):
    code, out, _ = run("--json", "-")
    written = json.loads(out)
    assert code == OK and (written["schema"], written["version"]) == (SCHEMA, 1)
    reported = report()
    for point in written["points"]:
        assert point["performance"].keys() <= reported["performance"].keys()
        if point["power"]:
            assert {"total_w", "low_w", "high_w", "tokens_per_j"} <= point["power"].keys() & reported["power"].keys()
            ratio = point["performance"]["tokens_per_s"] / point["power"]["total_w"]
            assert point["power"]["tokens_per_j"] == pytest.approx(ratio)
        assert point["source"] and point["kind"] in {*Kind}
    assert {group["name"] for group in written["by_platform"]} == {*Platform}
    fpga = next(group for group in written["by_platform"] if (group["name"], group["batch"]) == ("FPGA", 1))
    assert fpga["tokens_per_s"]["high_id"].startswith("glitches")
    assert written["notes"]


def test_csv_can_be_read_again(run, tmp_path):
    path = tmp_path / "all.csv"
    assert run("--csv", path, "--quiet") == (OK, "", "")
    rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))
    assert len(rows) == len(points(run))
    assert tuple(rows[0])[: len(COLUMNS)] == COLUMNS
    row = next(row for row in rows if row["id"] == "flightllm-u280")
    assert (row["method"], row["power_boundary"]) == ("quantisation; sparsity", "board")
    assert float(row["tokens_per_j"]) == pytest.approx(55 / 45)


def test_csv_of_a_name_that_a_spreadsheet_would_run(run, tmp_path):
    path = tmp_path / "report.json"
    path.write_text(json.dumps(report(model="=cmd()")))
    _, out, _ = run("--csv", "-", "--ours", path, "--platform", "pim")
    assert next(csv.DictReader(io.StringIO(out)))["model"] == "'=cmd()"


def test_further_rows(run, tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text(table_text({"id": "mine", "work": "Mine [bold]", "tokens_per_s": "2000"}))
    assert points(run, "--add", path)[-1]["id"] == "mine"
    code, out, _ = run("--add", path, "--platform", "fpga", "--year", "2024")
    assert code == OK and "Mine [bold]" in out


def test_plots(run, tmp_path):
    svg, png = tmp_path / "a.svg", tmp_path / "a.png"
    code, out, err = run("--quiet", "--platform", "fpga", "--plot", svg, "--plot", png)
    assert (code, out, err) == (OK, "", "")
    assert ET.parse(svg).getroot().tag.endswith("svg")
    assert png.read_bytes().startswith(b"\x89PNG\r\n")


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["--platform", "tpu"], "'tpu' is not one of"),
        (["--method", "magic"], "'magic' is not one of"),
        (["--batch", "0"], "--batch must be a whole number, at least 1, got 0."),
        (["--year", "then"], "--year must be a number, or a smaller and a larger one with a colon between, got then."),
        (["--year", "2025:2023"], "--year must be a number, or a smaller and a larger one"),
        (["--model-size", "nan"], "--model-size must be a number"),
        (["--platform", "fpga", "--batch", "8"], "None of the 195 published designs meets all conditions."),
        (["--plot", "x.pdf"], "--plot must end in .svg or .png, got x.pdf."),
        (["--plot", "/nowhere/x.svg"], "--plot /nowhere/x.svg cannot be written: there is no folder /nowhere."),
        (["--json", "/nowhere/x"], "--json /nowhere/x cannot be written"),
        (["--csv", "-", "--json", "-"], "Standard output can be written once"),
        (["--add", "/nowhere/x.csv"], "/nowhere/x.csv cannot be read: No such file or directory."),
        (["--ours", "/nowhere/x.json"], "/nowhere/x.json cannot be read: No such file or directory."),
        (["--year", "2024", "--platform", "asic", "--model-size", "1000"], "None of the"),
    ],
)
def test_what_is_refused(run, arguments, sentence):
    code, out, err = run(*arguments)
    assert (code, out) == (USER_ERROR, "")
    assert sentence in err and "Traceback" not in err


def test_bad_row_is_one_sentence(run, tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text(table_text({"tokens_per_s": "fast"}))
    assert run("--add", path) == (
        USER_ERROR,
        "",
        f"{path}, line 2, column tokens_per_s: must be a number from 0.001 to 1e+06, got 'fast'.\n",
    )


def test_plot_without_watts_is_refused(run, tmp_path):
    path = tmp_path / "x.svg"
    code, _, err = run("--platform", "asic", "--year", "2024", "--method", "homogeneous-cooperation", "--plot", path)
    assert code == OK
    path.unlink()
    added = tmp_path / "mine.csv"
    added.write_text(table_text({"year": "2099", "power_w": "", "power_boundary": ""}))
    code, _, err = run("--add", added, "--year", "2099", "--plot", path)
    assert (code, err) == (USER_ERROR, "--plot needs a point with watts, which none of the 1 has.\n")
    assert not path.exists()


def test_matplotlib_is_loaded_for_a_plot_only():
    code = (
        "import sys; from rtlm.host.cli.main import run_command; "
        "run_command(['compare', '--summary']); print([m for m in sys.modules if m.startswith('matplotlib')])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.rstrip().endswith("[]")


def test_presets_are_shown_where_no_report_is_given(capsys):
    assert cli.run_command(["compare", "--batch", "8", "--json", "-"]) == OK
    points = json.loads(capsys.readouterr().out)["points"]
    ours = [point for point in points if point["ours"]]
    assert {point["work"] for point in ours} == {"rtlm kv260", "rtlm u250", "rtlm u280"}
    assert {point["performance"]["batch"] for point in ours} == {1, 8}
    assert all(point["kind"].startswith("estimated") and point["power"]["total_w"] > 0 for point in ours)
    assert cli.run_command(["compare", "--only-published", "--ours", "report.json"]) == USER_ERROR
