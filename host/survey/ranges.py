"""Ranges per platform: of a table, and those that the survey publishes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from rtlm.host.survey.point import Point
from rtlm.host.survey.row import Method, Platform
from rtlm.host.survey.selection import SEVEN_BILLION, Selection

BATCHES = (1, 8)
"""Batch sizes that the survey compares."""

QUANTITIES = {"tokens_per_s": "tokens/s", "power_w": "W", "tokens_per_j": "tokens/J"}
"""What has a range, with its unit."""

SURVEY = "arXiv:2410.04466"
SURVEY_RANGES: dict[Platform, dict[str, tuple[str, str]]] = {
    Platform.CPU: {"tokens_per_s": ("3", "50"), "power_w": ("3", "880"), "tokens_per_j": ("0.0057", "2.38")},
    Platform.GPU: {"tokens_per_s": ("18", "343"), "power_w": ("40", "700"), "tokens_per_j": ("0.06", "0.86")},
    Platform.FPGA: {"tokens_per_s": ("3.6", "450"), "power_w": ("2.5", "572"), "tokens_per_j": ("0.15", "6.30")},
    Platform.ASIC: {"tokens_per_s": ("9.95", "2700"), "power_w": ("1.63", "15000"), "tokens_per_j": ("0.11", "13.99")},
    Platform.PIM: {"tokens_per_s": ("10", "1998"), "power_w": ("11.5", "300"), "tokens_per_j": ("0.14", "46.7")},
}
"""Smallest and largest value for decoding with a model of about 7B at batch 1, to the digits of the authors' table."""


@dataclass(frozen=True, kw_only=True)
class Extent:
    """Smallest and largest value of a quantity.

    Parameters
    ----------
    quantity
        A key of `QUANTITIES`.
    lowest, highest
        The points that have them.
    """

    quantity: str
    lowest: Point
    highest: Point

    @property
    def low(self) -> float:
        """Smallest value."""
        return getattr(self.lowest, self.quantity)

    @property
    def high(self) -> float:
        """Largest value."""
        return getattr(self.highest, self.quantity)


@dataclass(frozen=True, kw_only=True)
class Group:
    """Points of one platform, or with one method.

    Parameters
    ----------
    name
        Of the platform or method.
    batch
        Sequences that decode together.
    points
        How many points there are.
    extents
        Ranges by quantity; those of which no point knows a value are missing.
    """

    name: str
    batch: int
    points: int
    extents: dict[str, Extent]

    def to_json(self) -> dict[str, Any]:
        """Return the group as plain values."""
        spans = {
            name: {"low": each.low, "low_id": each.lowest.id, "high": each.high, "high_id": each.highest.id}
            for name, each in self.extents.items()
        }
        return {"name": self.name, "batch": self.batch, "points": self.points, **spans}


def by_platform(points: Sequence[Point]) -> tuple[Group, ...]:
    """Return the ranges of published models of about 7B per platform at batch 1 and 8, empty groups among them."""
    return tuple(
        _group(platform.value, batch, Selection(platforms=(platform,)), points)
        for platform in Platform
        for batch in BATCHES
    )


def by_method(points: Sequence[Point]) -> tuple[Group, ...]:
    """Return the ranges of published models of about 7B per optimisation method at batch 1 and 8."""
    return tuple(
        _group(method.value, batch, Selection(methods=(method,)), points)
        for method in Method
        if method is not Method.NONE
        for batch in BATCHES
    )


def _group(name: str, batch: int, selection: Selection, points: Iterable[Point]) -> Group:
    comparable = Selection(batches=(batch,), parameters_b=SEVEN_BILLION)
    found = [point for point in points if not point.ours and selection.holds(point) and comparable.holds(point)]
    extents = {}
    for quantity in QUANTITIES:
        known = [point for point in found if getattr(point, quantity) is not None]
        if known:
            ordered = sorted(known, key=lambda point: getattr(point, quantity))
            extents[quantity] = Extent(quantity=quantity, lowest=ordered[0], highest=ordered[-1])
    return Group(name=name, batch=batch, points=len(found), extents=extents)


@dataclass(frozen=True, kw_only=True)
class Difference:
    """An end of a range that is not the survey's.

    Parameters
    ----------
    platform, quantity, end
        Which: a platform, a key of `QUANTITIES`, ``lowest`` or ``highest``.
    published
        What the survey has.
    point
        What has the end of our range.
    survey_point
        A point of the table that has the survey's value, but is no model of about 7B; None where one of about 7B has
        it, or none at all.
    """

    platform: Platform
    quantity: str
    end: str
    published: str
    point: Point
    survey_point: Point | None


def differences(points: Sequence[Point]) -> tuple[Difference, ...]:
    """Return where the table's ranges at batch 1 are not the survey's, to the digits that it publishes."""
    found = []
    for group in by_platform(points):
        platform = Platform(group.name)
        for quantity, extent in group.extents.items() if group.batch == 1 else ():
            for end, published in zip(("lowest", "highest"), SURVEY_RANGES[platform][quantity], strict=True):
                point = getattr(extent, end)
                if _same(getattr(point, quantity), published):
                    continue
                others = (each for each in points if each.platform == platform and each.batch == 1 and not each.ours)
                same = [each for each in others if _same(getattr(each, quantity), published)]
                inside = any(Selection(parameters_b=SEVEN_BILLION).holds(each) for each in same)
                found.append(
                    Difference(
                        platform=platform,
                        quantity=quantity,
                        end=end,
                        published=published,
                        point=point,
                        survey_point=None if inside else next(iter(same), None),
                    )
                )
    return tuple(found)


@dataclass(frozen=True, kw_only=True)
class Pair:
    """The same design, model and context at batch 1 and 8.

    Parameters
    ----------
    one, eight
        The points.
    """

    one: Point
    eight: Point

    @property
    def speedup(self) -> float:
        """Tokens a second at batch 8 by those at batch 1."""
        return self.eight.tokens_per_s / self.one.tokens_per_s


def pairs(points: Sequence[Point]) -> tuple[Pair, ...]:
    """Return the published designs that are in the table at batch 1 and 8."""

    def design(point: Point) -> tuple[object, ...]:
        # A context counts the tokens of one sequence.
        return point.work, point.chip, point.model, point.format, point.context

    ones = {design(point): point for point in points if point.batch == 1 and not point.ours}
    eights = (point for point in points if point.batch == 8 and not point.ours)
    return tuple(Pair(one=ones[design(point)], eight=point) for point in eights if design(point) in ones)


def _same(value: float | None, published: str) -> bool:
    """Return whether a value is what was published, rounded to its digits."""
    digits = Decimal(published)
    return value is not None and Decimal(repr(value)).quantize(digits) == digits
