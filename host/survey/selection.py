"""Which published points a comparison is about."""

from collections.abc import Iterable
from dataclasses import dataclass

from rtlm.host.survey.point import Point
from rtlm.host.survey.row import Kind, Method, Platform

SEVEN_BILLION = (6.0, 9.0)
"""Parameters in billions of what the survey calls a model of about 7B: 6B to 8B families."""


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Conditions that a published point meets all of; an empty one is met by every point.

    Parameters
    ----------
    platforms, methods, kinds, batches
        Allowed values; one of a point's methods is enough.
    years, parameters_b
        Smallest and largest allowed value. A model whose size is not known is in no range of sizes.
    """

    platforms: tuple[Platform, ...] = ()
    methods: tuple[Method, ...] = ()
    kinds: tuple[Kind, ...] = ()
    batches: tuple[int, ...] = ()
    years: tuple[float, float] | None = None
    parameters_b: tuple[float, float] | None = None

    def holds(self, point: Point) -> bool:
        """Return whether a point meets the conditions."""
        return (
            (not self.platforms or point.platform in self.platforms)
            and (not self.methods or not {*self.methods}.isdisjoint(point.methods))
            and (not self.kinds or point.kind in self.kinds)
            and (not self.batches or point.batch in self.batches)
            and _within(point.year, self.years)
            and _within(point.parameters_b, self.parameters_b)
        )

    def of(self, points: Iterable[Point]) -> tuple[Point, ...]:
        """Return those published points that meet the conditions, and all of ours."""
        return tuple(point for point in points if point.ours or self.holds(point))


def _within(value: float | None, span: tuple[float, float] | None) -> bool:
    return span is None or (value is not None and span[0] <= value <= span[1])
