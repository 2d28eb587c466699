"""The comparison as tables on a terminal."""

from collections.abc import Iterable, Sequence

from rich.console import Group as Lines
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text
from rtlm.host.survey.point import Point
from rtlm.host.survey.ranges import BATCHES, QUANTITIES, SURVEY, Group, by_method, by_platform
from rtlm.host.survey.row import Boundary, Method, Platform
from rtlm.host.survey.selection import Selection

DASH = "-"
EN_DASH = "\N{EN DASH}"
RATED = "*"
"""Mark of watts that are a rating."""

LISTED = "As listed by the survey"
"""Begin of the note of a row whose source was not read."""

SHORT_METHODS = {
    Method.OPERATORS: "operators",
    Method.HETEROGENEOUS: "heterogeneous",
    Method.HOMOGENEOUS: "homogeneous",
    Method.NONE: DASH,
}
"""Names of methods that are too long for a table of points."""

OUR_STYLE = "bold magenta"


def number(value: float | None) -> str:
    """Write a figure with three digits, or as many as stand before the point."""
    if value is None:
        return DASH
    return f"{value:,.0f}" if value >= 100 else f"{value:#.3g}".rstrip(".") if value >= 0.01 else f"{value:.2g}"


def span(low: float, high: float) -> str:
    """Write a range."""
    return number(low) if number(low) == number(high) else f"{number(low)} {EN_DASH} {number(high)}"


def render(points: Sequence[Point], selection: Selection, *, summary: bool = False) -> RenderableType:
    """Return the comparison as something that `rich` prints.

    Parameters
    ----------
    points, selection
        What is compared, and by which conditions it was chosen.
    summary
        Whether only the ranges are printed, without the points.
    """
    groups = by_platform(points)
    parts: list[RenderableType] = [
        _ranges("published designs by platform, models of 6B to 9B", "platform", groups),
        _ranges("published designs by method, models of 6B to 9B", "method", by_method(points)),
    ]
    if not summary:
        parts.append(_points(points))
    elif ours := [point for point in points if point.ours]:
        parts.append(_points(ours))
    return Lines(*parts, *(Text(f"Note: {note}") for note in notes(points, selection)))


def notes(points: Sequence[Point], selection: Selection) -> tuple[str, ...]:
    """Return what the reader of a comparison has to know."""
    asked = [platform.value for platform in selection.platforms or Platform]
    found = []
    for batch in BATCHES:
        empty = [group.name for group in by_platform(points) if group.batch == batch and not group.points]
        empty = [name for name in empty if name in asked]
        if empty and batch in (selection.batches or BATCHES):
            found.append(f"At batch {batch} there is no published design with 6B to 9B among these for {_list(empty)}.")
    rated = sum(point.power_boundary == Boundary.TDP for point in points)
    if rated:
        found.append(f"The watts of {rated} of {len(points)} points ({RATED}) are a rating (TDP), not a reading.")
    without = sum(point.power_w is None for point in points)
    if without:
        found.append(f"{without} of {len(points)} points have no watts: no tokens/J, and no place in a plot.")
    listed = sum((point.note or "").startswith(LISTED) for point in points)
    if listed:
        found.append(
            f"{listed} of {len(points)} points are as the survey {SURVEY} lists them; of the others the source was "
            "read, or a note says what was not. --json and --csv have source and note of each."
        )
    if any(point.ours and point.power_w for point in points):
        found.append("The watts of rtlm's designs are of chip and memory, estimated; their band is in brackets.")
    return tuple(found)


def _list(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _ranges(title: str, what: str, groups: Iterable[Group]) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column(what)
    for name in ("batch", "designs", *QUANTITIES.values()):
        table.add_column(name, justify="right")
    for group in groups:
        if group.points:
            extents = (group.extents.get(quantity) for quantity in QUANTITIES)
            spans = (span(each.low, each.high) if each else DASH for each in extents)
            table.add_row(group.name, str(group.batch), str(group.points), *spans)
    return table


def _points(points: Sequence[Point]) -> Table:
    table = Table(title="tokens/s, W and tokens/J, best tokens/J first", title_justify="left")
    table.add_column("platform")
    table.add_column("work, chip", overflow="fold")
    table.add_column("year", justify="right")
    table.add_column("model", overflow="fold")
    table.add_column("batch", justify="right")
    table.add_column("method")
    for name in QUANTITIES.values():
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("kind", no_wrap=True)
    for platform in Platform:
        own = [point for point in points if point.platform == platform]
        for point in sorted(own, key=lambda point: (not point.ours, -(point.tokens_per_j or 0), -point.tokens_per_s)):
            # Names come from files and may hold what rich reads as markup.
            cells = (
                *(
                    platform.value,
                    f"{point.work}; {point.chip}",
                    str(point.year or DASH),
                    point.model,
                    str(point.batch),
                ),
                ", ".join(SHORT_METHODS.get(method, method.value) for method in point.methods),
                *(number(point.tokens_per_s), _power(point), number(point.tokens_per_j), point.kind),
            )
            table.add_row(*map(Text, cells), style=OUR_STYLE if point.ours else None)
        table.add_section()
    return table


def _power(point: Point) -> str:
    if point.power_low_w is None or point.power_high_w is None:
        return number(point.power_w) + (RATED if point.power_boundary == Boundary.TDP else "")
    return f"{number(point.power_w)} ({number(point.power_low_w)}{EN_DASH}{number(point.power_high_w)})"
