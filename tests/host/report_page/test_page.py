"""The page without a browser: well formed, alone, legible, and safe whatever the file says."""

import re

import pytest
from rtlm.gen.common.errors import OK, USER_ERROR, RtlmError
from rtlm.host.cli.main import run_command
from rtlm.host.report_page.cycles import cycle_sections
from rtlm.host.report_page.page import STYLE, render
from rtlm.host.report_page.palette import DARK, GRAPHICS, LIGHT, OF_PLOTS, TEXT_PAIRS, contrast
from rtlm.host.report_page.run_file import parse_run, printable
from rtlm.host.report_page.speed import speed_sections

from tests.documents import ROOT
from tests.host.dissection.reports import run_report
from tests.host.report_page.pages import HTML, SVG, measured, page, tree

PHONE_PIXELS = 328
"""Of a page that is 360 wide, without its margins."""
HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)>\x1b[2J\ud800\N{RIGHT-TO-LEFT OVERRIDE}{{ 7 * 7 }}'


@pytest.fixture(scope="module")
def root():
    return tree(page())


def test_nothing_is_fetched_and_nothing_runs(root):
    assert "default-src 'none'" in page()
    names = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert not names & {"script", "iframe", "object", "embed", "img", "image", "base", "form", "foreignObject"}
    for element in root.iter():
        for name, value in element.attrib.items():
            assert not name.startswith("on"), name
            if name.rpartition("}")[2] in ("href", "src"):
                assert value.startswith("#") or value == "data:,", value
    assert not re.search(r"@import|url\((?!#)|https?://(?!www\.w3\.org)", page())


def test_ids_are_unique_and_references_lead_to_them(root):
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    for element in root.iter():
        for name, value in element.attrib.items():
            wanted = re.findall(r"url\(#([^)]+)\)", value)
            if name.rpartition("}")[2] == "href" and value.startswith("#"):
                wanted.append(value[1:])
            if name == "aria-labelledby":
                wanted += value.split()
            assert {*wanted} <= {*ids}, (name, value)


def test_plots_are_named_and_their_text_is_text(root):
    plots = [*root.iter(f"{SVG}svg")]
    assert len(plots) == 2 * 9
    for plot in plots:
        assert plot.get("role") == "img"
        title, description = plot[0], plot[1]
        assert (title.tag, description.tag) == (f"{SVG}title", f"{SVG}desc")
        assert title.text and len(description.text) > 20
        assert len([*plot.iter(f"{SVG}text")]) >= 4
        assert not re.search(r"#[0-9a-f]{6}\b", " ".join(each.get("style", "") for each in plot.iter()))


def test_each_plot_has_a_table_and_each_table_a_caption(root):
    parts = [part for part in root.iter(f"{HTML}section") if part.find(f".//{SVG}svg") is not None]
    assert len(parts) == 9
    for part in parts:
        found = part.find(f".//{HTML}table")
        assert found.find(f"{HTML}caption").text
        header = [*found.find(f"{HTML}thead")[0]]
        assert all(cell.get("scope") == "col" for cell in header)
        for row in found.find(f"{HTML}tbody"):
            assert len(row) == len(header) and row[0].get("scope") == "row"


def test_headings_go_down_one_by_one(root):
    levels = [int(element.tag[-1]) for element in root.iter() if re.fullmatch(rf"{HTML}h[1-6]", str(element.tag))]
    assert levels[0] == 1 and {*levels[1:]} == {2}


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_contrast_meets_wcag_aa(palette):
    for text, ground in TEXT_PAIRS:
        assert contrast(palette[text], palette[ground]) >= 4.5, (text, ground)
    for name in GRAPHICS:
        assert contrast(palette[name], palette["card"]) >= 3, name


def test_contrast_is_that_of_wcag():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


def test_every_colour_has_a_dark_one_and_every_name_is_defined():
    assert LIGHT.keys() == DARK.keys() >= {*OF_PLOTS.values(), *GRAPHICS}
    assert {*re.findall(r"var\(--([\w-]+)\)", page())} <= LIGHT.keys()


def test_no_width_is_wider_than_a_phone():
    style = (ROOT / "host/report_page" / STYLE).read_text(encoding="utf-8")
    wide = style.partition("@media")[0]
    for pixels in (float(size) * 16 for size in re.findall(r"(?<!max-)width:\s*([\d.]+)rem", wide)):
        assert pixels <= PHONE_PIXELS
    assert not re.search(r"width:\s*\d{3,}px", wide)
    assert "overflow-x: auto" in wide and "prefers-color-scheme: dark" in page() and "@media print" in style


@pytest.mark.slow
def test_whatever_a_file_says_is_only_text():
    values = run_report(model=HOSTILE)
    values["text"] = values["sequences"][0]["text"] = values["sequences"][0]["prompt"] = HOSTILE
    values["config"]["name"] = values["memory"]["name"] = HOSTILE
    values["notes"] = [HOSTILE, "a `code` and <b>"]
    values["operators"][0]["name"] = values["causes"][1]["name"] = values["layers"][0]["name"] = HOSTILE
    values["bytes"]["read"][HOSTILE] = 1_000
    values["elements"][HOSTILE] = {"luts": 1}
    values["power"]["components"][0]["name"] = HOSTILE
    text = render(parse_run(values, "hostile.json"))
    text.encode()
    found = tree(text)
    assert not [*found.iter(f"{HTML}script")] and not [*found.iter(f"{HTML}img")]
    said = next(each for each in found.iter(f"{HTML}p") if each.get("class") == "said")
    assert said.text == printable(HOSTILE) and "\x1b" not in text and "{{ 7 * 7 }}" in said.text
    assert "<code>code</code> and &lt;b&gt;" in text


def test_a_conversation_shows_its_turns():
    turn = {"question": "Who?", "answer": "Me & you", "ending": "stop"}
    text = render(parse_run(golden() | {"turns": [turn]}, "chat.json"))
    assert "Who?" in text and "Me &amp; you" in text and "The capital of France" not in text


def test_older_files_say_what_they_lack():
    values = measured()
    del values["layers"], values["causes"], values["context_curve"], values["power"]
    for step in values["steps"]:
        del step["needed_bytes"], step["units"]
    run = parse_run(values, "old.json")
    sections = {section.name: section for section in (*cycle_sections(run), *speed_sections(run))}
    missing = {name: section.missing for name, section in sections.items()}
    assert missing["operators"] == missing["roofline"] == missing["context"] == ""
    assert missing["layers"].startswith("This JSON file has no cycles by layer: an earlier version")
    assert "no cycles by cause" in missing["causes"] and "no utilisation by step" in missing["utilisation"]
    assert "no estimated speed" in sections["context"].finding and "Without power" in missing["published"]


def golden():
    """Return the report of the same run with the golden model."""
    values = measured() | dict.fromkeys(("bytes", "memory", "power", "elements", "context_curve"))
    values |= {"operators": [], "layers": [], "causes": [], "units": []}
    values["performance"] = dict.fromkeys(values["performance"]) | {"batch": 1, "context": 8}
    for step in values["steps"]:
        step["cycles"] = None
    return values


def test_the_golden_model_has_an_answer_and_no_figures():
    text = render(parse_run(golden(), "golden.json"))
    assert "Paris" in text and "<svg" not in text and text.count("the golden model has no clock") >= 4
    tree(text)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"schema": "rtlm.dissection"}, "The schema of x.json must be rtlm.report, as rtlm run --json writes it, got"),
        ({"estimate": True}, "x.json is an estimate (rtlm estimate --json); a report page is made of a run"),
        ({"version": 2}, "The version of the report x.json must be 1, got 2"),
        ({"performance": None}, "wrong value in performance, got None"),
        (
            {"operators": [{"name": "a", "cycles_per_token": float("nan"), "share": 0.5}]},
            "operators.0.cycles_per_token",
        ),
        ({"model": 3}, "wrong value in model, got 3"),
        ({"tokens": -1}, "wrong value in tokens, got -1"),
        ({"simulator": {"backend": "uio:/dev/uio0", "wall_s": 1.0}}, "x.json must not be of a run on a board, got"),
    ],
)
def test_other_files_are_refused_in_a_sentence(change, sentence):
    with pytest.raises(RtlmError) as error:
        parse_run(run_report() | change, "x.json")
    assert sentence in str(error.value)
    with pytest.raises(RtlmError, match=r"The schema of x\.json must be"):
        parse_run([1], "x.json")
    values = run_report()
    del values["simulator"]
    with pytest.raises(RtlmError, match=r"has no simulator; rtlm run --json writes it"):
        parse_run(values, "x.json")


def test_a_run_writes_its_page(random_model, tmp_path, capsys):
    model = random_model(layers=2, dim=128, hidden_dim=256, heads=4, kv_heads=2, vocab=320, context=64)
    options = ["--model", str(model), "--config", "tiny", "--backend", "golden", "--max-tokens", "1", "--quiet"]
    assert run_command(["run", "--prompt", "<abc>", *options, "--report", str(tmp_path / "out")]) == OK
    path = tmp_path / "out" / "report.html"
    assert f"The report is in {path}." in capsys.readouterr().err
    assert "&lt;abc&gt;" in path.read_text(encoding="utf-8")


def test_the_command_writes_where_it_is_told(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("rtlm.host.report_page.page.render", lambda run: f"page of {run.model}")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.json").write_text((ROOT / "tests/data/kv260_run.json").read_text(encoding="utf-8"))
    for arguments, path in (
        ([], "run.html"),
        (["-o", "a/b"], "a/b/report.html"),
        (["-o", "one.html"], "one.html"),
    ):
        assert run_command(["report", "run.json", *arguments]) == OK
        assert (tmp_path / path).read_text() == "page of SmolLM2-135M-Instruct.Q4_1.gguf"
        assert capsys.readouterr().out == f"The report is in {path}.\n"
    (tmp_path / "file").touch()
    for arguments, sentence in (
        (["none.json"], "none.json cannot be read: No such file or directory"),
        (["file"], "The report file is not JSON; rtlm run --json writes it"),
        (["run.json", "-o", "file"], "--output file cannot be made: File exists"),
        (["run.json", "-o", "no/x.html"], "there is no folder no"),
        (["run.json", "-o", "/proc/x.html"], "--output /proc/x.html cannot be written"),
    ):
        assert run_command(["report", *arguments]) == USER_ERROR
        assert sentence in capsys.readouterr().err
