"""The documentation site: pages have rooms, the build is strict, none needs the network or is wider than a phone."""

import json
import os
import re
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path

import pytest
from mkdocs.utils.yaml import yaml_load
from rtlm.host.documentation import TOP_FILES, expanded, numpy_docstring, relinked, separated

from tests.browser import MISSING, browser, find_browser
from tests.documents import DOCS, ROOT

PHONE = 360
PAGES_OF_MKDOCS = ("404.html",)
ASSETS = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src", "object": "data"}
"""Elements that a browser fetches when a page is opened."""


def listed(nav):
    if isinstance(nav, str):
        return [nav]
    return [page for part in (nav.values() if isinstance(nav, dict) else nav) for page in listed(part)]


def navigation():
    with (ROOT / "mkdocs.yml").open(encoding="utf-8") as file:
        return yaml_load(file)["nav"]


def test_every_page_is_in_a_room():
    pages = listed(expanded(navigation(), DOCS))
    written = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    assert not written - set(pages), "add these pages to a room of nav in mkdocs.yml"
    assert not set(pages) - written - set(TOP_FILES.values()), "nav in mkdocs.yml names pages that do not exist"
    assert len(pages) == len(set(pages))


def test_links_lead_to_the_same_place_on_the_site():
    text = "[a](../README.md#models) [b](power.md) [c](decisions/0001-x.md#y) [d](https://e.org) [e](#f)"
    assert relinked(text, "report.md") == text.replace("../README.md", "readme.md")
    assert relinked("[a](docs/power.md) [b](LICENSE)", "readme.md") == "[a](power.md) [b](LICENSE.txt)"
    assert relinked("[a](../../CONTRIBUTING.md) [b](../power.md)", "decisions/0001-x.md") == (
        "[a](../contributing.md) [b](../power.md)"
    )


def test_lists_and_tables_are_set_apart():
    text = "Text:\n* one\n  more\n* two\n| a |\n|---|\nAfter\n```\n* code\n| code\n```\n"
    assert separated(text) == "Text:\n\n* one\n  more\n* two\n\n| a |\n|---|\n\nAfter\n\n```\n* code\n| code\n```\n"


def test_docstrings_have_an_entry_for_each_name():
    text = (
        "One.\n\nParameters\n----------\na, b : int\n    Two\n    lines.\nc\n    Own.\n\n"
        "Ports\n-----\nd, e\n    Three.\n"
    )
    assert numpy_docstring(text) == (
        "One.\n\nParameters\n----------\na : int\n    Two\n    lines.\nb : int\n    Two\n    lines.\nc\n    Own.\n\n"
        "Attributes\n----------\nd\n    Three.\ne\n    Three.\n"
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Build the site as `make docs` does, into a folder of its own."""
    types = ROOT / "build" / "types" / "rtlm"
    types.mkdir(parents=True, exist_ok=True)
    for package in ("hw", "gen", "sim", "host"):
        if not (types / package).exists():
            (types / package).symlink_to(Path("../../..") / package)
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    surroundings = os.environ | {"NO_MKDOCS_2_WARNING": "1"}  # an announcement of the theme's authors
    built = subprocess.run(command, cwd=ROOT, env=surroundings, capture_output=True, text=True)
    assert built.returncode == 0 and "WARNING" not in built.stderr, built.stderr
    return folder


class Assets(HTMLParser):
    """Addresses of what a page fetches, and of its links that leave the site's folder."""

    def __init__(self):
        super().__init__()
        self.fetched = []

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        if tag in ASSETS and values.get(ASSETS[tag]) and values.get("rel") not in ("canonical", "next", "prev"):
            self.fetched.append(values[ASSETS[tag]])


@pytest.mark.slow
def test_pages_fetch_nothing_from_elsewhere(site):
    for page in site.rglob("*.html"):
        reader = Assets()
        reader.feed(page.read_text(encoding="utf-8"))
        assert reader.fetched
        assert not [address for address in reader.fetched if re.match(r"(\w+:)?//", address)], page
    for style in (*site.rglob("*.css"), *site.rglob("*.svg")):
        assert not re.search(r"(url\(|@import )[\"']?(https?:)?//", style.read_text(encoding="utf-8")), style


@pytest.mark.slow
def test_search_knows_every_page(site):
    index = json.loads((site / "search" / "search_index.json").read_text(encoding="utf-8"))
    found = {entry["location"].partition("#")[0] for entry in index["docs"]}
    pages = {path.removesuffix(".md").replace("README", "index") for path in listed(expanded(navigation(), DOCS))}
    assert found >= {f"{page}.html" for page in pages} - {"index.html"}
    assert (site / "search" / "search_index.js").read_text(encoding="utf-8").startswith("var __index")


@pytest.fixture(scope="module")
def shown(site, tmp_path_factory):
    """Provide a browser."""
    with browser(tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.mark.slow
@pytest.mark.skipif(find_browser() is None, reason=MISSING)
def test_no_page_is_wider_than_a_phone(site, shown):
    shown.show(PHONE)
    wide = {}
    for page in sorted(site.rglob("*.html")):
        shown.open(page)
        width = shown.evaluate("document.documentElement.scrollWidth")
        if width > PHONE:
            wide[page.relative_to(site).as_posix()] = width
    assert not wide


@pytest.mark.slow
@pytest.mark.skipif(find_browser() is None, reason=MISSING)
def test_search_works_in_pages_that_are_opened_as_files(site, shown):
    shown.show(1400)
    shown.open(site / "index.html")
    shown.evaluate("document.querySelector('.md-search__input').focus()")
    shown.send("Input.insertText", text="prefetch")
    key = "document.querySelector('.md-search__input').dispatchEvent(new Event('keyup'))"
    links, end = [], time.monotonic() + 30
    while not links and time.monotonic() < end:
        shown.evaluate(key)
        time.sleep(0.2)
        links = shown.evaluate("[...document.querySelectorAll('.md-search-result__link')].map(link => link.href)")
    assert any("architecture.html" in link for link in links)
    assert not [event for event in shown.events if event["method"] == "Runtime.exceptionThrown"]
    requests = [
        each["params"]["request"]["url"] for each in shown.events if each["method"] == "Network.requestWillBeSent"
    ]
    assert all(address.startswith(("file:", "data:", "blob:")) for address in requests)
