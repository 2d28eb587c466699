"""Pages to look at: of a run that was measured, and what is in them."""

import json
from functools import cache
from typing import Any

import html5lib
from rtlm.host.report_page.page import render
from rtlm.host.report_page.run_file import parse_run

from tests.documents import DATA

HTML = "{http://www.w3.org/1999/xhtml}"
SVG = "{http://www.w3.org/2000/svg}"


def measured() -> dict[str, Any]:
    """Return what `rtlm run` wrote for SmolLM2-135M on kv260."""
    return json.loads((DATA / "kv260_run.json").read_text(encoding="utf-8"))


@cache
def page() -> str:
    """Return the page of that run."""
    return render(parse_run(measured(), "kv260_run.json"))


def tree(text: str) -> Any:
    """Return a page as a browser reads it; fails where it is not well formed."""
    return html5lib.HTMLParser(strict=True).parse(text)


def lookup(values: Any, path: str) -> Any:
    """Return what a report has at a path of the page."""
    for part in path.split("."):
        values = values[int(part) if isinstance(values, list) else part]
    return values


def table(root: Any, section: str) -> list[list[tuple[str, float | None]]]:
    """Return the rows of a section's table, each cell as its text and the number behind it."""
    part = next(each for each in root.iter(f"{HTML}section") if each.get("id") == section)
    rows = []
    for row in part.find(f".//{HTML}tbody").iter(f"{HTML}tr"):
        cells = []
        for cell in row:
            data = cell.find(f"{HTML}data")
            cells.append(("".join(cell.itertext()), None if data is None else float(data.get("value"))))
        rows.append(cells)
    return rows


def column(root: Any, section: str, place: int) -> list[float | None]:
    """Return the numbers of a column."""
    return [row[place][1] for row in table(root, section)]
