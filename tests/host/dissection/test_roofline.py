"""The roofline: what is drawn where, and the same file for the same figures."""

import re
from dataclasses import replace

import pytest
from matplotlib.figure import Figure
from rtlm.host.dissection import roofline
from rtlm.host.dissection.micro import dissect
from rtlm.host.dissection.report_file import ReportFile

from tests.host.dissection.reports import estimated, run_report


@pytest.fixture(scope="module")
def svg(tmp_path_factory):
    path = tmp_path_factory.mktemp("plot") / "roofline.svg"
    roofline.draw(estimated(), path)
    return path.read_text(encoding="utf-8")


def test_every_operator_that_multiplies_is_labelled_in_both_stages(svg):
    for stage in estimated().stages:
        shown = [row for row in stage.operators if row.work.macs]
        assert len(shown) == 6
        for row in shown:
            share = roofline.share_of_roof(row, estimated().machine)
            assert f"{row.name} {share:.1%}" in svg


def test_every_roof_is_named_in_both_panels(svg):
    machine = estimated().machine
    for name, macs in (
        ("matrix array, 4-bit", machine.nibble_macs),
        ("matrix array, 8-bit", machine.byte_macs),
        ("attention's array", machine.attention_macs),
    ):
        assert len(re.findall(f"{name}: {macs / 1e9:,.1f}<", svg)) == 2
    assert f"linear stream: {machine.stream_bytes / 1e9:,.1f} GB/s" in svg


def test_points_are_the_figures_of_the_table():
    found = dissect(ReportFile.parse(run_report(), "report.json"))
    qkv = next(found.stages[1].operators)
    # 2 MAC for each byte; 360,000 in 1,800 cycles at 300 MHz.
    assert roofline._place(qkv, found.machine) == pytest.approx((2, 60))
    assert roofline.share_of_roof(qkv, found.machine) == pytest.approx(60 / (2 * 0.95 * 19.2))


def test_same_figures_same_file(svg, tmp_path):
    roofline.draw(estimated(), tmp_path / "again.svg")
    assert (tmp_path / "again.svg").read_text(encoding="utf-8") == svg


def test_png_and_a_single_stage(tmp_path):
    one = replace(estimated(), stages=estimated().stages[1:])
    roofline.draw(one, tmp_path / "decode.png")
    assert (tmp_path / "decode.png").read_bytes().startswith(b"\x89PNG")


def test_operators_without_bytes_or_products_are_left_out(tmp_path, monkeypatch):
    found = dissect(ReportFile.parse(run_report(), "report.json"))
    values = run_report()
    for step in values["steps"]:
        for operator in step["operators"]:
            operator["macs"] = 0
    none = dissect(ReportFile.parse(values, "report.json"))
    drawn: list[str] = []
    monkeypatch.setattr(Figure, "suptitle", lambda self, text, **how: drawn.append(text))
    roofline.draw(none, tmp_path / "none.svg")
    assert drawn == ["made-up on kv260, batch 1, context 7: cycles measured in RTL"]
    assert len(roofline.points(found.stages[0])) == 2
    assert not roofline.points(none.stages[0])
