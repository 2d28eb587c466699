"""Our DRAM model against litedram's controller RTL: recorded figures, and the controller where it is installed."""

import dataclasses
import importlib
import json
import re
import subprocess
import sys

import pytest

from tests.documents import ROOT

MEMORIES = ("ddr3-800", "ddr4-2400")
LINE = re.compile(
    r"^\| (.+?) \| (one|bank|two) \| ([\d.]+)% \| ([\d.]+)% \| ([+-][\d.]+) \| ([\d.]+)% \| ([\d.]+)% \|$"
)


@pytest.fixture(scope="module")
def check():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "benchmarks")
        yield importlib.import_module("dram_litedram.compare")


@pytest.fixture(scope="module")
def tables(check):
    return {name: check.compare(check.recorded(name)) for name in MEMORIES}


@pytest.mark.slow
@pytest.mark.parametrize("name", MEMORIES)
def test_every_pattern_is_within_three_points_of_litedram(check, tables, name):
    assert len(tables[name]) == len(check.recorded(name).efficiency) >= 17
    assert {row.ports for row in tables[name]} == {"one", "bank", "two"}
    assert check.LIMIT == 3
    assert not [row for row in tables[name] if not row.good]


@pytest.mark.parametrize("name", MEMORIES)
def test_deeper_queues_and_finer_timings_only_help(tables, name):
    for row in tables[name]:
        assert row.shipped > row.ours
        assert row.shipped < 0.956  # refresh


@pytest.mark.parametrize("timing", ["tRP", "tRCD", "tRAS", "tRRD", "tRFC", "tREFI", "tWR", "tWTR", "tCCD", "tFAW"])
def test_the_comparison_sees_a_wrong_timing(check, timing):
    recorded = check.recorded("ddr3-800")
    wrong = recorded.litedram.timing | {timing: 3 * recorded.litedram.timing[timing]}
    recorded = dataclasses.replace(recorded, litedram=dataclasses.replace(recorded.litedram, timing=wrong))
    assert [row for row in check.compare(recorded) if not row.good]


def test_the_documented_tables_are_the_measured_ones(tables):
    text = (ROOT / "docs" / "dram-model.md").read_text()
    for name, rows in tables.items():
        section = text.split(f"### {name}\n")[1].split("\n#")[0]
        lines = [match.groups() for match in map(LINE.match, section.splitlines()) if match]
        assert [line[:2] for line in lines] == [(row.pattern, row.ports) for row in rows]
        for line, row in zip(lines, rows, strict=True):
            expected = [100 * row.litedram, 100 * row.ours, row.difference, 100 * row.window, 100 * row.shipped]
            assert [float(value) for value in line[2:]] == pytest.approx(expected, abs=0.051)


def run(*arguments):
    command = [sys.executable, str(ROOT / "benchmarks" / "dram_check.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def test_the_script_prints_a_table_and_writes_json(tmp_path):
    target = tmp_path / "dram.json"
    done = run("--recorded", "--memory", "ddr3-800", "--json", str(target))
    assert done.returncode == 0, done.stderr
    assert "| sequential read | one | 88.5% |" in done.stdout
    data = json.loads(target.read_text())
    assert data["good"] and 0.94 < data["ceiling"] < 0.96
    assert list(data["memories"]) == ["ddr3-800"]


def test_without_litedram_the_script_says_what_to_install(check):
    try:
        importlib.import_module("litedram")
    except ImportError:
        done = run()
        assert done.returncode == 3
        assert "pip install -e '.[dram-check]'" in done.stderr
    else:
        pytest.skip("litedram is installed")


def test_litedram_itself_gives_the_recorded_figures(request, check):
    if not request.config.getoption("--litedram"):
        pytest.skip("LiteDRAM's controller builds for minutes; ask for it with --litedram")
    for package in check.PACKAGES:
        pytest.importorskip(package)
    recorded = check.recorded("ddr3-800")
    live = check.measure("ddr3-800", accesses=recorded.accesses, seed=recorded.seed, progress=lambda text: None)
    assert live.litedram == recorded.litedram
    assert live.efficiency == pytest.approx(recorded.efficiency, abs=0.001)
    assert live.checked == recorded.checked
