"""The scatter: files that open, points where they belong, labels that do not overlap."""

import xml.etree.ElementTree as ET
from itertools import combinations

import matplotlib.image
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from rtlm.gen.common.plot_style import DOTS_PER_INCH
from rtlm.host.plots.labels import Layout
from rtlm.host.survey.load import published_rows
from rtlm.host.survey.ours import our_points
from rtlm.host.survey.plot import SIZE_INCHES, draw
from rtlm.host.survey.point import Point
from rtlm.host.survey.row import Platform

from tests.host.survey.files import report

PUBLISHED = tuple(Point.from_row(row) for row in published_rows())
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def svg(tmp_path_factory):
    path = tmp_path_factory.mktemp("plot") / "plot.svg"
    draw([*PUBLISHED, *our_points([report(model="odd $name_{x} <b>\N{CJK UNIFIED IDEOGRAPH-8A9E}")])], path)
    return path


def texts(path):
    return ["".join(element.itertext()).strip() for element in ET.parse(path).iter(f"{SVG}text")]


def test_svg_names_platforms_axes_lines_and_ours(svg):
    found = texts(svg)
    with_power = [point for point in PUBLISHED if point.power_w]
    for platform in Platform:
        assert f"{platform.value} ({sum(point.platform == platform for point in with_power)})" in found
    assert {"1 tokens/J", "0.1 tokens/J", "10 tokens/J"} <= {*found}
    assert any("decoding speed in tokens/s" in text for text in found)
    assert any("power in W" in text for text in found)
    # A name stands as it is: neither mathematics nor markup.
    assert any("rtlm sample, odd $name_{x} <b>" in text for text in found)
    assert any("RTL-simulated" in text for text in found)


def test_same_points_give_the_same_svg(svg, tmp_path):
    draw(PUBLISHED[:40], tmp_path / "a.svg")
    draw(PUBLISHED[:40], tmp_path / "b.svg")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes() != svg.read_bytes()


def test_png_opens_and_is_not_blank(tmp_path):
    path = tmp_path / "plot.PNG"
    draw(PUBLISHED, path)
    image = matplotlib.image.imread(path)
    height, width = (round(side * DOTS_PER_INCH) for side in reversed(SIZE_INCHES))
    assert image.shape[:2] == (height, width)
    assert (image[..., :3] < 0.5).any(axis=-1).mean() > 0.005


def test_a_single_point_can_be_drawn(tmp_path):
    draw(our_points([report()]), tmp_path / "one.svg")
    assert any("rtlm sample" in text for text in texts(tmp_path / "one.svg"))


def test_labels_overlap_neither_each_other_nor_points():
    figure = Figure(figsize=(6, 4), dpi=100)
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    places = [(0.1 * n, 0.5 + 0.01 * (n % 3)) for n in range(1, 10)]
    axes.plot(*zip(*places, strict=True), "o")
    axes.set(xlim=(0, 1), ylim=(0, 1))
    layout = Layout(axes, [(place, place) for place in places])
    placed = [layout.label(place, f"a long label {n}", important=n < 3) for n, place in enumerate(places)]
    assert all(placed[:3])
    figure.draw_without_rendering()
    # Without the line to the point, which counts to the extent of an annotation.
    boxes = [Text.get_window_extent(note) for note in axes.texts]
    assert len(boxes) == sum(placed) >= 3
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
    assert not any(box.contains(*axes.transData.transform(place)) for box in boxes for place in places)
    frame = axes.get_window_extent()
    assert all(frame.x0 <= box.x0 and box.x1 <= frame.x1 for box in boxes)


def test_a_label_that_finds_no_place_is_left_out():
    figure = Figure(figsize=(1, 1), dpi=100)
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.set(xlim=(0, 1), ylim=(0, 1))
    layout = Layout(axes, [((0.5, 0.5), (0.5, 0.5))])
    assert not layout.label((0.5, 0.5), "much too long for such a small plot")
    assert not axes.texts
