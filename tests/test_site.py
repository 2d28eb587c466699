"""The documentation site: pages have rooms, the build is strict, none needs the network or is wider than a phone."""

import functools
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from html.parser import HTMLParser
from pathlib import Path

import pytest
from mkdocs.utils.yaml import yaml_load
from rtlm.host.documentation import TOP_FILES, expanded, relinked, separated

from tests.documents import DOCS, ROOT

PHONE = 360
PAGES_OF_MKDOCS = ("404.html",)
ASSETS = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src", "object": "data"}
"""Elements that a browser fetches when a page is opened."""
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

HARNESS = """<!doctype html><body><pre id="out"></pre><script>
async function measure(page) {
  const frame = document.createElement("iframe")
  frame.style.width = "WIDTHpx"
  frame.style.border = "0"
  frame.src = page
  document.body.append(frame)
  await new Promise((loaded) => (frame.onload = loaded))
  const root = frame.contentDocument.documentElement
  const found = [page, root.scrollWidth, frame.contentWindow.innerWidth]
  frame.remove()
  return found
}
(async () => {
  const found = []
  for (const page of PAGES) found.push(await measure(page))
  document.getElementById("out").textContent = JSON.stringify(found)
})()
</script>"""


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
    assert found >= {path.removesuffix(".md") + ".html" for path in listed(expanded(navigation(), DOCS))} - {
        "index.html"
    }
    assert (site / "search" / "search_index.js").read_text(encoding="utf-8").startswith("var __index")


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium to lay pages out; on Debian: apt install chromium")
def test_no_page_is_wider_than_a_phone(site, tmp_path):
    pages = sorted(path.relative_to(site).as_posix() for path in site.rglob("*.html"))
    text = HARNESS.replace("WIDTH", str(PHONE)).replace("PAGES", json.dumps(pages))
    (site / "harness.html").write_text(text, encoding="utf-8")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(site))) as server:
        threading.Thread(target=server.serve_forever).start()
        address = f"http://127.0.0.1:{server.server_port}/harness.html"
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=600000", "--dump-dom"]
        command = [CHROMIUM, *options, f"--user-data-dir={tmp_path}", address]
        try:
            shown = subprocess.run(command, capture_output=True, text=True, timeout=600)
        finally:
            server.shutdown()
    (site / "harness.html").unlink()
    found = json.loads(re.search(r'<pre id="out">(\[.*?)</pre>', shown.stdout)[1])
    assert len(found) == len(pages)
    assert not [page for page, width, inner in found if inner != PHONE or width > inner]
