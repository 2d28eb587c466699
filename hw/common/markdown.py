"""Tables of the pages that are generated from the source."""

from collections.abc import Iterable, Sequence


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
