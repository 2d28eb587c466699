"""Tables and paragraphs of the pages that are generated from the source."""

import re
import textwrap
from collections.abc import Iterable, Sequence

LINE_LENGTH = 120


def table(head: Sequence[object], rows: Iterable[Sequence[object]], *, numbers: bool = False) -> str:
    """Return a Markdown table; a vertical bar in a cell is escaped.

    Parameters
    ----------
    head, rows
        Titles of the columns, and the cells of each line.
    numbers
        Whether all columns but the first hold numbers, which are set flush right.
    """
    rule = ["---", *["---:" if numbers else "---"] * (len(head) - 1)]
    lines = [head, rule, *rows]
    return "".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def wrapped(page: str) -> str:
    """Return a page whose paragraphs and items of lists have short lines; tables and indented code stay."""
    return "\n".join(map(_wrapped_line, page.split("\n")))


def _wrapped_line(line: str) -> str:
    if len(line) <= LINE_LENGTH or line.startswith(("|", "    ")):
        return line
    indent = " " * (len(line) - len(re.sub(r"^([*]|\d+\.) ", "", line)))
    return textwrap.fill(line, LINE_LENGTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
