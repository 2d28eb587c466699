"""What the page is made of: headline figures, and sections with a plot and a table of the same numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from markupsafe import Markup
from rtlm.host.report_page.plot import Plot
from rtlm.host.report_page.run_file import RunFile

NO_CYCLES = "Nothing counted cycles in this run: the golden model has no clock."
OLD = "This JSON file has no {what}: an earlier version of rtlm wrote it. Run rtlm run --json again to have them."


class Kind(StrEnum):
    """What a figure is; a badge of the page's palette says so."""

    MEASURED = "measured in RTL"
    SYNTHESISED = "synthesised"
    COUNTED = "counted in the netlist"
    MODELLED = "modelled"
    SOURCED = "from published sources"
    HOST = "measured on this computer"

    @property
    def css_class(self) -> str:
        """Class of its badge."""
        if self in (Kind.MEASURED, Kind.SYNTHESISED, Kind.COUNTED):
            return "measured"
        return "modelled" if self is Kind.MODELLED else "sourced"


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A cell of a table, or a figure.

    Parameters
    ----------
    text
        As it is shown.
    value
        The number behind it, unrounded; None for words.
    path
        Where the JSON has that number, such as ``operators.0.share``; empty where it follows from others.
    """

    text: str
    value: float | None = None
    path: str = ""


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table.

    Parameters
    ----------
    caption
        What it shows.
    header
        Names of the columns.
    rows
        Their cells; a column is aligned to the right if its cells have values.
    words
        How many of the first columns are words.
    """

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    words: int = 1


@dataclass(frozen=True, kw_only=True)
class Headline:
    """A figure at the top.

    Parameters
    ----------
    label
        What it is of.
    figure
        The number, or a sign that there is none.
    unit
        Its unit.
    extra
        A second line: a range, or what it is compared with.
    kind
        What kind of figure it is.
    origin
        A sentence on how it was found.
    """

    label: str
    figure: Cell
    unit: str = ""
    extra: tuple[Cell, ...] = ()
    kind: Kind
    origin: str


@dataclass(frozen=True, kw_only=True)
class Section:
    """A section.

    Parameters
    ----------
    name
        Its id.
    title
        Its heading.
    kinds
        What kinds of figures are in it.
    finding
        What the figures say, in a sentence or two.
    origin
        How they were found.
    plot
        What is drawn; None for a table alone.
    table
        The numbers of the plot.
    missing
        Why there is nothing to show.
    """

    name: str
    title: str
    kinds: tuple[Kind, ...]
    finding: str = ""
    origin: str = ""
    plot: Plot | None = None
    table: Table | None = None
    missing: str = ""

    def plots(self) -> tuple[Markup, ...]:
        """Draw the plot for wide and for narrow pages; the finding describes it."""
        return self.plot.svg(name=self.name, title=self.title, description=self.finding) if self.plot else ()


def lacking(run: RunFile, key: str, what: str, otherwise: str = NO_CYCLES) -> str:
    """Say why there is nothing to show: the file is too old to have a key, or something else."""
    return OLD.format(what=what) if run.lacks(key) else otherwise


def words(text: str) -> Cell:
    """Return a cell of words."""
    return Cell(text=text)


def whole(value: float, path: str = "") -> Cell:
    """Return a number without decimals."""
    return Cell(text=f"{value:,.0f}", value=value, path=path)


def share(value: float, path: str = "") -> Cell:
    """Return a share in percent."""
    text = f"{value:.1%}" if value >= 0.0005 or not value else "<\N{NO-BREAK SPACE}0.1%"
    return Cell(text=text, value=value, path=path)


def rounded(value: float, path: str = "", *, digits: int = 3, scale: float = 1.0) -> Cell:
    """Return a number with so many significant digits, multiplied by a scale; the value behind it is not."""
    return Cell(text=significant(value * scale, digits), value=value, path=path)


def significant(value: float, digits: int = 3) -> str:
    """Write a number with so many significant digits, and never as a power of ten."""
    if not value:
        return "0"
    if abs(value) >= 10 ** (digits - 1):
        return f"{value:,.0f}"
    decimals = digits - len(f"{abs(value):.0f}") if abs(value) >= 1 else digits - 1 - _exponent(value)
    return f"{value:,.{max(0, min(decimals, 12))}f}"


def _exponent(value: float) -> int:
    return int(f"{abs(value):e}".partition("e")[2])


def origin(run: RunFile, path: str) -> str:
    """Return how the file says a figure was found, without the kind that its badge names."""
    text = run.pedigree.get(path, "")
    for kind in (*Kind, "estimated"):
        rest = text.removeprefix(kind)
        if rest != text and Kind.MODELLED not in rest:
            rest = rest.lstrip(": ")
            text = rest[1:].replace(")", "", 1) if rest.startswith("(") else rest
            break
    return text[:1].upper() + text[1:]


def dash() -> Cell:
    """Return the sign for what is not known."""
    return Cell(text="\N{EN DASH}")


def joined(items: Sequence[str]) -> str:
    """Return words as a list in a sentence."""
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} and {items[-1]}"
