"""The recorded session: what stays on a terminal, and a picture that needs nothing from elsewhere."""

import json
import xml.etree.ElementTree as ET

import pytest
from rich.text import Text
from rtlm.host.figures.results import ROOT

from benchmarks import session

MAX_BYTES = 150_000
NAMESPACE = "http://www.w3.org/2000/svg"


def test_status_lines_are_gone():
    text = "packing (0 s)\rreading 1/2 (1 s)\rreading 2/2 (2 s)\r               \rThe sky\r\n\r\n model  x\r\n"
    assert session.final_lines(text) == ["The sky", "", " model  x", ""]


def test_a_picture_shows_the_command_and_what_it_printed():
    lines = ["The sky is blue", " tokens/s   187.4", "", "cycles by unit (measured in RTL)", " matmul  90 %"]
    texts = "".join(ET.fromstring(session.draw("rtlm run", lines)).itertext()).replace("\xa0", " ")
    assert "$ rtlm run" in texts and "The sky is blue" in texts and "187.4" in texts
    assert "matmul" not in texts and "[...]" in texts


@pytest.mark.parametrize("last", ("layers 11", "layers 3 m", "layers \x1b[2m[1\x1b[0m"))
def test_the_last_line_is_whole_whatever_it_ends_with(last):
    texts = "".join(ET.fromstring(session.draw("rtlm run", [last, "", "\x1b[1mcycles by unit"])).itertext())
    assert f"{Text.from_ansi(last).plain}\n" in texts.replace("\xa0", " ")


@pytest.mark.parametrize("picture", ("session.svg", "data-flow.svg"))
def test_pictures_are_small_and_complete(picture):
    text = (ROOT / "docs/pictures" / picture).read_text(encoding="utf-8")
    assert len(text.encode()) < MAX_BYTES
    assert ET.fromstring(text).tag == f"{{{NAMESPACE}}}svg"
    assert "http" not in text.replace(NAMESPACE, "").replace("https://www.textualize.io", "")


def test_the_picture_is_of_the_recorded_run():
    picture = ET.parse(ROOT / "docs/pictures/session.svg").getroot()
    texts = "".join(picture.itertext()).replace("\xa0", " ")
    results = json.loads((ROOT / "benchmarks/results/session.json").read_text(encoding="utf-8"))["values"]
    assert f"{results['cycles_per_token']:,.0f}" in texts and f"{results['tokens_per_s']:.4g} (batch 1" in texts
