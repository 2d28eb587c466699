"""Hooks of the documentation site (mkdocs.yml): pages of the top folder, lists of pages, Markdown as GitHub reads.

Docstrings come as this house writes them: ports have a section of their own, and entries may share a text.
"""

import posixpath
import re
from pathlib import Path
from typing import Any

from griffe import Extension, Object
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
TOP_FILES = {
    "README.md": "readme.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "LICENSE": "LICENSE.txt",
    "CITATION.cff": "CITATION.cff",
}
"""Files of the repository's top folder that the site has too, and their names there."""

FENCE = re.compile(r"^( *)(```|~~~)")
ITEM = re.compile(r"^ {0,3}([*-]|\d+\.) ")
MARK = re.compile(r"<!--[=/].*?-->", re.DOTALL)
"""Comments that say which results a figure comes from (`rtlm.host.figures.marks`)."""
LINK = re.compile(r"(\]\()([^)#:\s]+)(?=[)#])")

PORTS = re.compile(r"^Ports\n-----$", re.MULTILINE)
SHARED = re.compile(r"^(\w+(?:, \w+)+)((?: : .*)?(?:\n +.*)+)", re.MULTILINE)
"""Names of several entries of a section, and the text that they share."""


class HouseDocstrings(Extension):
    """Makes docstrings what readers of NumPy's style expect."""

    def on_object(self, *, obj: Object, **others: Any) -> None:
        """Give each entry its text, and ports the section of attributes."""
        if obj.docstring:
            obj.docstring.value = numpy_docstring(obj.docstring.value)


def numpy_docstring(text: str) -> str:
    """Return a docstring whose entries stand one by one, and whose ports are attributes."""
    text = PORTS.sub("Attributes\n----------", text)
    return SHARED.sub(lambda found: "\n".join(name + found[2] for name in found[1].split(", ")), text)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the pages that a pattern of the navigation matches in its place."""
    config.nav = expanded(config.nav, Path(config.docs_dir))
    return config


def expanded(nav: Any, docs: Path) -> Any:
    """Return a navigation whose patterns (``decisions/*.md``) are lists of pages."""
    if isinstance(nav, dict):
        return {title: expanded(part, docs) for title, part in nav.items()}
    if isinstance(nav, list):
        parts: list[Any] = []
        for part in nav:
            pattern = isinstance(part, str) and "*" in part
            parts += sorted(path.relative_to(docs).as_posix() for path in docs.glob(part)) if pattern else [part]
        return [expanded(part, docs) if not isinstance(part, str) else part for part in parts]
    return nav


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the `TOP_FILES`."""
    for source, name in TOP_FILES.items():
        files.append(File.generated(config, name, abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead links within the repository to their pages of the site, and set lists and tables apart."""
    return separated(relinked(MARK.sub("", markdown), page.file.src_uri))


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Drop the double colons that announce code in docstrings."""
    return html.replace("<p>::</p>", "")


def relinked(markdown: str, page: str) -> str:
    """Return a page with links for the site; `page` is its name there."""
    places = {name: source for source, name in TOP_FILES.items()}
    here = posixpath.dirname(places.get(page, f"docs/{page}"))

    def moved(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(here, link[2]))
        on_site = TOP_FILES.get(target, target.removeprefix("docs/"))
        return link[1] + posixpath.relpath(on_site, posixpath.dirname(page) or ".")

    return LINK.sub(moved, markdown)


def separated(markdown: str) -> str:
    """Return a page with an empty line before lists and around tables, which GitHub can do without."""
    lines: list[str] = []
    fenced = listed = False
    for line in markdown.split("\n"):
        before = lines[-1] if lines else ""
        fence = FENCE.match(line)
        if not fenced and before.strip():
            item = bool(ITEM.match(line))
            starts = (
                (item and not listed) or (fence and not fence[1]) or (line.startswith("|") != before.startswith("|"))
            )
            if starts and line.strip():
                lines.append("")
                listed = False
        fenced ^= bool(fence)
        listed = bool(line.strip()) and not fenced and (listed or bool(ITEM.match(line)))
        lines.append(line)
    return "\n".join(lines)
