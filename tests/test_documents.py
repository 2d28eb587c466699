"""Documents agree with the tree: folders in the README, paths, links, docstrings of packages, and lengths of lines."""

import ast
import re
from pathlib import Path

import pytest

from tests.documents import ROOT

PACKAGES = ("hw", "gen", "sim", "host")
FOLDERS = (*PACKAGES, "constraints", "tests", "benchmarks", "docs", "stubs")
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
LONGEST_LINE = 140
PATH = re.compile(rf"`((?:{'|'.join(FOLDERS)}|\.ci)/[\w./-]*)`")
COMMENT = re.compile(r"<!--.*?-->")
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


def holds_files(folder: Path) -> bool:
    return any(path.is_file() and "__pycache__" not in path.parts for path in folder.rglob("*"))


def folders_of_tree() -> set[str]:
    inner = (path for name in FOLDERS for path in (ROOT / name).iterdir() if path.is_dir() and holds_files(path))
    return {f"{name}/" for name in FOLDERS} | {f"{path.parent.name}/{path.name}/" for path in inner}


def folders_of_readme() -> dict[str, str]:
    """Return what the README's tree says about each folder."""
    section = (ROOT / "README.md").read_text(encoding="utf-8").partition("## What is where")[2]
    said: dict[str, str] = {}
    outer = ""
    for indent, name, text in re.findall(r"^( *)(\w+/) +(.+)$", section.split("```")[1], re.MULTILINE):
        outer = outer if indent else name
        said[outer + name if indent else name] = text
    return said


def test_readme_has_a_line_for_each_folder():
    said = folders_of_readme()
    assert said.keys() == folders_of_tree()
    assert len(set(said.values())) == len(said)


@pytest.mark.parametrize("package", [path.parent for name in PACKAGES for path in (ROOT / name).rglob("__init__.py")])
def test_every_package_says_in_a_sentence_what_it_is(package):
    docstring = ast.get_docstring(ast.parse((package / "__init__.py").read_text(encoding="utf-8")))
    assert docstring, package
    first = docstring.partition("\n")[0]
    assert len(first) > 10 and first.endswith("."), first


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_paths_exist(page):
    text = page.read_text(encoding="utf-8")
    named = [ROOT / path for path in PATH.findall(text)]
    linked = [page.parent / path for path in LINK.findall(text)]
    assert not [str(path) for path in named + linked if not path.exists()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_lines_are_short(page):
    """But for rows of tables, which Markdown cannot break, and without the comments of marks."""
    lines = [COMMENT.sub("", line) for line in page.read_text(encoding="utf-8").splitlines()]
    assert not [n for n, line in enumerate(lines, 1) if len(line) >= LONGEST_LINE and not line.startswith("|")]
