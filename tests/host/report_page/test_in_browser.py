"""The page in a headless Chromium: no errors, no requests, no scrolling sideways, no texts one over the other."""

import itertools

import pytest

from tests.browser import MISSING, browser, find_browser
from tests.host.report_page.pages import page
from tests.host.report_page.pictures import FOLDER, MOST_BYTES, PICTURES, take

WIDTHS = (360, 820, 1400)
SMALLEST_TEXT_PIXELS = 9.0
"""Height of a font, in plots that are made as narrow as a phone."""

TEXTS = """
[...document.querySelectorAll("svg")].filter(svg => svg.getBoundingClientRect().width).map(svg => ({
  name: svg.id || svg.getAttribute("aria-labelledby"),
  frame: (({left, right}) => [left, right])(svg.parentElement.getBoundingClientRect()),
  scale: svg.getBoundingClientRect().width / svg.viewBox.baseVal.width,
  texts: [...svg.querySelectorAll("text")].filter(text => !/rotate\\(-[1-9]/.test(text.getAttribute("transform"))).map(
    text => (({left, right, top, bottom}) => [text.textContent, left, right, top, bottom,
      parseFloat(getComputedStyle(text).fontSize)])(text.getBoundingClientRect()))
}))
"""

pytestmark = [pytest.mark.slow, pytest.mark.skipif(find_browser() is None, reason=MISSING)]


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """Provide the browser with the page."""
    folder = tmp_path_factory.mktemp("browser")
    path = folder / "report.html"
    path.write_text(page(), encoding="utf-8")
    with browser(folder / "profile") as found:
        found.open(path)
        yield found


def test_no_errors_and_no_requests(shown):
    told = ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown")
    assert not [event for event in shown.events if event["method"] in told]
    requests = [
        event["params"]["request"]["url"] for event in shown.events if event["method"] == "Network.requestWillBeSent"
    ]
    assert len(requests) == 1 and requests[0].startswith("file:///")


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_wider_than_the_page(shown, width):
    shown.show(width)
    shown.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    assert shown.evaluate("document.documentElement.scrollWidth") == width
    shown.evaluate("document.querySelectorAll('details').forEach(each => each.open = false)")


@pytest.mark.parametrize("width", WIDTHS)
def test_texts_of_plots_are_legible_and_apart(shown, width):
    shown.show(width)
    plots = shown.evaluate(TEXTS)
    assert len(plots) == 9
    for plot in plots:
        left, right = plot["frame"]
        for text, x0, x1, _, _, size in plot["texts"]:
            assert left - 1 <= x0 and x1 <= right + 1, (width, plot["name"], text)
            assert size * plot["scale"] >= SMALLEST_TEXT_PIXELS, (width, plot["name"], text)
        for one, two in itertools.combinations(plot["texts"], 2):
            overlap = min(one[2], two[2]) - max(one[1], two[1]), min(one[4], two[4]) - max(one[3], two[3])
            # Boxes of lines have some room above and below the letters.
            assert overlap[0] < 1 or overlap[1] < 0.35 * min(one[4] - one[3], two[4] - two[3]), (width, one, two)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_pictures_have_the_ground_of_their_scheme(shown, width, dark, tmp_path):
    shown.show(width, dark=dark)
    picture = shown.screenshot()
    assert picture.startswith(b"\x89PNG") and len(picture) > 100_000
    ground, ink = shown.evaluate(
        "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.querySelector('svg')).fill]"
    )
    light, other = (sum(map(int, colour[4:-1].split(","))) > 3 * 128 for colour in (ground, ink))
    assert light != dark and other == dark


def test_printed_it_has_its_tables_and_no_links(shown):
    shown.show(700, media="print")
    heights = shown.evaluate(
        "[...document.querySelectorAll('tbody tr')].map(row => row.getBoundingClientRect().height)"
    )
    assert len(heights) > 300 and min(heights) > 0
    assert shown.evaluate("getComputedStyle(document.querySelector('nav')).display") == "none"
    assert shown.pdf().startswith(b"%PDF")
    shown.show(1400)


def test_pictures_of_the_page_are_small(shown, tmp_path):
    take(shown, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == PICTURES.keys()
    for path in (*tmp_path.iterdir(), *(FOLDER / name for name in PICTURES)):
        assert 10_000 < path.stat().st_size < MOST_BYTES, path
