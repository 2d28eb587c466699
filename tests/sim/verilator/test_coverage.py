"""Points that benches record, Verilator's coverage data, and both added up by unit."""

import json

import pytest
from rtlm.host.verification import coverage_table
from rtlm.sim.unit_benches.points import POINTS_FILE, Points, extent
from rtlm.sim.verilator.coverage import Covered, add, missed_lines, read_coverage, read_points


def line(kind, module, number, count, outcome=""):
    fields = f"\x01f\x02x.v\x01l\x02{number}\x01page\x02v_{kind}/{module}\x01o\x02{outcome}\x01h\x02top"
    return f"C '{fields}' {count}\n"


def test_points_are_kept_as_they_are_made(tmp_path):
    points = Points(tmp_path)
    points.cross("format x lanes", ["Q4_0", "Q8_0"], [64])
    points.hit("format x lanes", "Q8_0", 64)
    assert read_points([tmp_path / POINTS_FILE]) == {"format x lanes": {"Q4_0, 64": 0, "Q8_0, 64": 1}}
    with pytest.raises(ValueError, match="'Q8_0, 65' is not a point of 'format x lanes'; there are Q4_0, 64"):
        points.hit("format x lanes", "Q8_0", 65)
    Points(tmp_path)
    assert read_points([tmp_path / POINTS_FILE]) == {}


def test_points_of_runs_are_added_up(tmp_path):
    for name, lanes in (("a", 64), ("b", 128)):
        (tmp_path / name).mkdir()
        points = Points(tmp_path / name)
        points.cross("lanes", [lanes])
        points.cross("kind", ["x", "y"])
        points.hit("kind", "x")
    paths = [tmp_path / name / POINTS_FILE for name in ("a", "b", "missing")]
    assert read_points(paths) == {"lanes": {"64": 0, "128": 0}, "kind": {"x": 2, "y": 0}}


def test_extents():
    assert [extent(n, 5) for n in (1, 3, 5)] == ["least", "between", "most"]


def test_missed_lines_come_with_their_text(tmp_path):
    trigger = "    if (\\$auto$verilog_backend.cc:2355:dump_module$3 ) begin end"
    (tmp_path / "design.v").write_text(f"module m;\n  assign a = b ? c : d;\n{trigger}\nendmodule\n")
    entries = [line("line", "m", 1, 3), line("branch", "m", 2, 0, "cond_then"), line("toggle", "m", 2, 0, "a:0->1")]
    entries.append(line("branch", "m", 3, 0, "if"))
    (tmp_path / "coverage.dat").write_text("".join(entries))
    missed = missed_lines(tmp_path / "coverage.dat", tmp_path / "design.v")
    assert missed == ["line 2, branch then, m: assign a = b ? c : d;"]
    coverage = read_coverage([tmp_path / "coverage.dat"], tmp_path / "design.v")
    assert coverage["m", "branch"] == Covered(hit=0, total=1)


def test_units_are_summed_and_say_what_they_never_did(tmp_path):
    records = []
    for name, count in (("unit/one", 1), ("unit/two", 0)):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        points = Points(folder)
        points.cross("kind", ["x"] if count else ["x", "y"])
        if count:
            points.hit("kind", "x")
        (folder / "design.v").write_text("module m;\n")
        (folder / "coverage.dat").write_text(line("line", "m", 1, count) + line("toggle", "m", 1, 0))
        coverage = coverage_table.of_bench(folder / "coverage.dat", folder / POINTS_FILE, folder / "design.v")
        records.append({"bench": name, "coverage": coverage})
    assert (tmp_path / "unit/two/missed.txt").read_text() == "line 1, line, m: module m;\n"
    units = coverage_table.by_unit(records)
    assert units["unit"]["rtl"]["line"] == {"hit": 1, "total": 2}
    assert units["unit"]["points"]["kind"] == {"hit": 1, "total": 2, "missed": ["y"]}
    text = coverage_table.lines(units)
    assert text[0] == "unit: line 50.0 % (1 of 2), branch 100.0 % (0 of 0), toggle 0.0 % (0 of 2)"
    assert text[1].split() == ["1", "of", "2", "kind"] and text[2].split() == ["never:", "y"]
    assert json.loads(json.dumps(units)) == units
    assert add(Covered(hit=1, total=2), Covered(hit=0, total=2)).percent == 25
