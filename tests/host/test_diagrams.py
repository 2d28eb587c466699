"""Drawn figures: what they show is what the components are, and their text has contrast on light and dark grounds."""

import re
import xml.etree.ElementTree as ElementTree

import pytest
from rtlm.gen.common.errors import RtlmError
from rtlm.gen.configuration.load import load_config
from rtlm.host.plots import architecture
from rtlm.host.plots.diagram import STYLE, Arrow, Box, diagram
from rtlm.host.report_page.palette import contrast

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def config():
    return load_config("tiny")


@pytest.fixture(scope="module")
def found(config):
    return architecture.structure(config)


def test_structure_is_that_of_the_components(config, found):
    assert found.parts["matmul"] == ("array", "scales", "accumulate", "results")
    streams = {(each.source, each.port, each.sink): each for each in found.streams}
    assert streams["reader", "o_words", "sequencer"].bits == 8 * config.to_params().word_bytes
    assert streams["matmul", "o", "vector"].sliced and not streams["vector", "o_bank", "banks"].sliced
    assert {"sequencer", "attention", "vector"} <= set(found.configured)


def test_picture_has_every_unit_and_width(config, found):
    picture = architecture.drawn(config, found)
    assert all(f">{title}<" in picture for title, _ in architecture.BOXES.values())
    assert all(f"{each.bits} bit" in picture for each in found.streams if each.port != "read__block")


def test_a_stream_without_a_place_is_refused(config, found, monkeypatch):
    missing = {key: route for key, route in architecture.ROUTES.items() if key[1] != "o_scale"}
    monkeypatch.setattr(architecture, "ROUTES", missing)
    with pytest.raises(RtlmError, match="o_scale"):
        architecture.drawn(config, found)


def test_diagram_is_a_readable_file():
    arrow = Arrow(points=((10, 10), (10, 60)), label=("a < b",), slice=True)
    root = ElementTree.fromstring(diagram(100, 80, "A & B", [Box(name="A", x=0, y=0, width=20, height=20), arrow]))
    assert root.find(f"{SVG}title").text == "A & B"
    assert [text.text for text in root.iter(f"{SVG}text")] == ["A", "a < b"]


@pytest.mark.parametrize("scheme", STYLE.split("@media"), ids=("light", "dark"))
def test_text_has_contrast(scheme):
    colour = dict(re.findall(r"(\.?\w+) \{ fill: (#\w+)", scheme))
    for text in ("text", ".small"):
        for ground in (".ground", ".box", ".outside"):
            assert contrast(colour[text], colour[ground]) >= 4.5, (text, ground)
