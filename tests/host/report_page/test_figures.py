"""Figures of the page are those of the JSON."""

import math
import re

import pytest
from rtlm.host.dissection.micro import dissect
from rtlm.host.dissection.report_file import ReportFile
from rtlm.host.report_page.parts import significant

from tests.host.report_page.pages import HTML, column, lookup, measured, page, table, tree

HEADLINES = {
    "Decoding speed": "performance.tokens_per_s",
    "Time to first token": "performance.ttft_s",
    "Cycles a token": "performance.cycles_per_token",
    "Bandwidth utilisation": "performance.bandwidth_utilisation",
    "Memory's peak": "memory.peak_bytes_per_s",
    "Power, chip and memory": "power.total_w",
    "Energy efficiency": "power.tokens_per_j",
}
SCALES = (1, 1e3, 1e-6, 1e-9, 100)


@pytest.fixture(scope="module")
def root():
    return tree(page())


@pytest.fixture(scope="module")
def values():
    return measured()


def test_every_figure_with_a_path_is_that_of_the_json(root, values):
    found = [each for each in root.iter(f"{HTML}data") if each.get("data-path")]
    assert len(found) > 250
    for each in found:
        assert float(each.get("value")) == lookup(values, each.get("data-path")), each.get("data-path")


def test_every_figure_is_written_as_the_number_behind_it(root):
    for each in root.iter(f"{HTML}data"):
        text, value = each.text.replace(",", ""), float(each.get("value"))
        if text.startswith("<"):
            assert 0 < value < 0.0005
            continue
        shown = float(text.removesuffix("%"))
        half = 0.5 * 10 ** -len(text.removesuffix("%").partition(".")[2]) * (1 + 1e-9)
        scales = (100,) if text.endswith("%") else SCALES
        assert any(abs(shown - value * scale) <= half for scale in scales), (text, value)


def test_headlines_are_there_with_what_they_are(root, values):
    found = {}
    for each in root.iter(f"{HTML}div"):
        if each.get("class") == "headline":
            label, figure, _, how = each
            data = figure.find(f".//{HTML}data")
            found[label.text] = (data.get("data-path"), how.find(f"{HTML}span").text)
    assert {label: path for label, (path, _) in found.items() if path} == HEADLINES
    kinds = {label: kind for label, (_, kind) in found.items()}
    assert kinds["Decoding speed"] == kinds["Cycles a token"] == "measured in RTL"
    assert kinds["Power, chip and memory"] == kinds["Energy efficiency"] == "modelled"
    assert kinds["Memory's peak"] == "from published sources"
    assert kinds["Size"] == "counted in the netlist" and values["elements_are"] == "elements counted in the netlist"
    ranges = [each.get("data-path") for each in root.iter(f"{HTML}data")]
    assert {"power.low_w", "power.high_w", "power.j_per_token.low"} <= {*ranges}


@pytest.mark.parametrize(("section", "key"), [("operators", "operators"), ("layers", "layers"), ("causes", "causes")])
def test_tables_of_cycles_are_whole_and_add_up(root, values, section, key):
    place = -3 if section == "operators" else -2
    cycles = column(root, section, place)
    assert sorted(cycles) == sorted(each["cycles_per_token"] for each in values[key])
    assert sum(cycles) == pytest.approx(values["performance"]["cycles_per_token"])


def test_parts_of_a_layer_add_up_to_it(root):
    for row in table(root, "layers"):
        *parts, cycles, _ = [number for _, number in row[1:]]
        assert sum(parts) == pytest.approx(cycles)


def test_bytes_add_up(root, values):
    assert sum(column(root, "bytes", 2)) == values["bytes"]["total"]


def test_components_add_up_with_their_ranges(root, values):
    rows = [row for row in table(root, "power") if row[1][0] != "board"]
    for place, key in ((2, "total_w"), (3, "low_w"), (4, "high_w")):
        assert sum(row[place][1] for row in rows) == pytest.approx(values["power"][key])


def test_sizes_add_up(root, values):
    *units, everything = table(root, "size")
    assert len(units) == len(values["elements"])
    assert [cell[1] for cell in everything[1:]] == [
        sum(each[key] for each in values["elements"].values()) for key in ("luts", "ffs", "dsps", "brams")
    ]


def test_roofline_has_the_figures_of_the_dissection(root, values):
    found = dissect(ReportFile.parse(values, "kv260_run.json"))
    expected = [row.cycles for stage in found.stages for row in stage.operators]
    assert column(root, "roofline", 3) == expected
    reached = [
        row.work.macs * found.machine.clock_hz / row.cycles if row.work.macs else None
        for stage in found.stages
        for row in stage.operators
    ]
    assert column(root, "roofline", 7) == [pytest.approx(each) if each else None for each in reached]


def test_utilisation_of_the_steps_is_that_of_the_run(root, values):
    rows = [row for row in table(root, "utilisation") if row[0][0] == "decode"]
    assert [row[3][1] for row in rows] == [each["context"] for each in values["steps"] if each["phase"] == "decode"]
    cycles = [row[4][1] for row in rows]
    weighted = sum(row[5][1] * each for row, each in zip(rows, cycles, strict=True)) / sum(cycles)
    assert weighted == pytest.approx(values["performance"]["bandwidth_utilisation"])
    busy = [each["units"]["matmul"]["busy"] / each["cycles"] for each in values["steps"] if each["phase"] == "decode"]
    assert [row[6][1] for row in rows] == pytest.approx(busy)


def test_measured_and_estimated_speeds_are_told_apart(root, values):
    rows = table(root, "context")
    hz = values["config"]["clock_mhz"] * 1e6
    decode = [each for each in values["steps"] if each["phase"] == "decode"]
    assert [(row[1][1], row[2][1]) for row in rows if row[0][0] == "measured in RTL"] == [
        (each["context"], pytest.approx(each["tokens"] * hz / each["cycles"])) for each in decode
    ]
    curve = values["context_curve"]["points"]
    assert [(row[1][1], row[2][1]) for row in rows if row[0][0] == "estimated"] == [
        (each["context"], each["tokens_per_s"]) for each in curve
    ]
    # The measured steps are within the error that the curve states.
    worst = values["context_curve"]["error"]["worst"]
    assert all(abs(curve[3]["tokens_per_s"] / row[2][1] - 1) < worst for row in rows[: len(decode)])


def test_ours_is_first_among_the_published(root, values):
    ours, *published = table(root, "published")
    assert ours[0][0] == "rtlm kv260" and len(published) > 80
    assert ours[5][1] == values["performance"]["tokens_per_s"] and ours[6][1] == values["power"]["total_w"]
    assert all(re.search(r"\w", row[8][0]) for row in published)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (1234567, "1,234,567"), (187.26, "187"), (99.96, "100"), (9.996, "10.0"), (0.000123, "0.000123")],
)
def test_numbers_have_three_digits_and_no_powers_of_ten(value, text):
    shown = significant(value)
    assert shown == text
    assert math.isclose(float(shown.replace(",", "")), value, rel_tol=5e-3)
