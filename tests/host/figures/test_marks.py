"""Marks in pages: filled from results, and every page as its results say."""

import datetime

import pytest
from rtlm.host.figures import marks
from rtlm.host.figures.marks import FILTERS, OTHERS, disagreements, filled, marked_pages
from rtlm.host.figures.results import ROOT, FiguresError, Quantity, Results, load_results

RESULTS = {
    "decode": Results(
        command="python benchmarks/decode.py",
        date=datetime.date(2026, 11, 29),
        revision="0123abcd",
        machine="a machine",
        quantities={"cycles": Quantity(unit="clock cycles", kind="measured in RTL")},
        values={"steps": [{"cycles": 1598230}, {"cycles": 1601740}]},
    )
}


@pytest.mark.parametrize("page", marked_pages(), ids=lambda page: page.name)
def test_page_agrees_with_its_results(page):
    assert not disagreements(page, load_results()), "run: .venv/bin/python -m rtlm.host.pages"


def test_the_pages_of_figures_have_marks():
    assert {"README.md", "results.md", "utilisation.md", "accuracy.md", "synthesis.md"} <= {
        p.name for p in marked_pages()
    }


def test_files_of_other_formats_are_named_on_the_page_of_results():
    page = (ROOT / "docs/results.md").read_text(encoding="utf-8")
    assert not [path for path in OTHERS.values() if f"`{path}`" not in page]


def test_a_mark_in_a_line():
    page = (
        "It takes <!--= decode.steps[0].cycles | thousands -->5<!--/--> cycles, by <!--= origin('decode') --><!--/-->."
    )
    text = filled(page, RESULTS)
    assert "<!--= decode.steps[0].cycles | thousands -->1,598,230<!--/--> cycles" in text
    assert "-->`python benchmarks/decode.py`, 29 November 2026<!--/-->." in text
    assert filled(text, RESULTS) == text


def test_a_table():
    rows = "{% for step in decode.steps %}\n| {{ step.cycles }} |\n{% endfor %}"
    page = f"<!--=\n| n |\n|---|\n{rows}\n-->\nold\n<!--/-->\nend"
    text = filled(page, RESULTS)
    assert text.endswith("-->\n\n| n |\n|---|\n| 1598230 |\n| 1601740 |\n\n<!--/-->\nend")
    assert filled(text, RESULTS) == text


def test_a_changed_figure_is_a_disagreement(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(filled("a <!--= decode.steps[0].cycles -->x<!--/-->\n", RESULTS))
    assert not disagreements(page, RESULTS)
    page.write_text(page.read_text().replace("1598230", "1598231"))
    assert any("1598231" in line for line in disagreements(page, RESULTS))


@pytest.mark.parametrize(
    "template", ("decode.stops", "nothing.here", "decode.steps[7].cycles", "1 |", "'a' | thousands")
)
def test_a_mark_that_cannot_be_filled_is_named(template):
    with pytest.raises(FiguresError, match=r"The mark .* cannot be filled"):
        filled(f"a <!--= {template} --><!--/-->", RESULTS)


def test_a_mark_that_is_not_closed_is_refused():
    with pytest.raises(FiguresError, match="must be closed"):
        filled("a <!--= 1 + 1 --> and <!--= 2 + 2 -->4<!--/-->", RESULTS)


@pytest.mark.parametrize("page", ("some\n<!--= 1 --><!--/-->", "some <!--=\n1\n--><!--/-->"))
def test_where_marks_stand(page):
    with pytest.raises(FiguresError, match="A mark of one line must not begin a line"):
        filled(page, RESULTS)


def test_pages_are_written_in_place(tmp_path, monkeypatch):
    monkeypatch.setattr(marks, "load_results", lambda: RESULTS)
    (tmp_path / "docs").mkdir()
    page = tmp_path / "docs" / "page.md"
    page.write_text("on <!--= day('decode') --><!--/-->")
    (tmp_path / "README.md").write_text("no marks")
    assert marks.fill_pages(tmp_path) == [page]
    assert page.read_text() == "on <!--= day('decode') -->29 November 2026<!--/-->"


@pytest.mark.parametrize(
    ("name", "arguments", "text"),
    [
        ("thousands", (1598230.4,), "1,598,230"),
        ("percent", (0.9462, 1), "94.6 %"),
        ("change", (0.0029,), "+0.29 %"),
        ("change", (-0.0025,), "\u22120.25 %"),
        ("change_with_error", ({"perplexity_change": 0.0029, "perplexity_change_error": 0.0013},), "+0.29 % ± 0.13 %"),
        ("span", (iter([188.2, 187.1]),), "187 to 188"),
        ("span", ([1598230, 1601740], 2, 1e-6), "1.60"),
        ("slashed", ([34433, 39.5],), "34,433 / 39.5"),
        ("slashed", ([0.946, 0.947], 1, 100), "94.6 / 94.7"),
        ("spread", ({"nominal": 4.12, "low": 2.2, "high": 6.1},), "4.1 (2.2 to 6.1)"),
        ("total", ({"dependency_qkv": 2, "dependency_output": 3, "drain": 5}, "dependency"), 5),
    ],
)
def test_how_numbers_are_written(name, arguments, text):
    assert FILTERS[name](*arguments) == text
