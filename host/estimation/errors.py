"""Estimates of cycles beside those measured in RTL, and the error that every estimate states."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

from rtlm.host.compiler.plan import make_plan
from rtlm.host.estimation.memory import memory_times
from rtlm.host.estimation.points import GROUPS, Point, group_config, measured_cycles, shape_of
from rtlm.host.estimation.result import ErrorBand
from rtlm.host.estimation.step import step_time
from rtlm.host.estimation.units import unit_times

BAND = "error_band.json"
TABLE = "docs/estimates.md"


@dataclass(frozen=True, kw_only=True)
class PointError:
    """One step, estimated and measured.

    Parameters
    ----------
    group, point
        Which one.
    measured, estimated
        Its cycles.
    held_out
        Whether it was not looked at while the estimator was made.
    """

    group: str
    point: Point
    measured: int
    estimated: float
    held_out: bool

    @property
    def error(self) -> float:
        """Relative error of the estimate."""
        return self.estimated / self.measured - 1


def point_errors() -> list[PointError]:
    """Return every point that was measured, with its estimate."""
    found = []
    for name, cycles in measured_cycles().items():
        group, config = GROUPS[name], group_config(name)
        params = config.to_params()
        longest = max(point.context + point.prompt for point in group.points)
        plan = make_plan(params, shape_of(group.model), context=longest)
        units, memory = unit_times(params), memory_times(config, params)
        for point, measured in zip(group.points, cycles, strict=True):
            found.append(
                PointError(
                    group=name,
                    point=point,
                    measured=measured,
                    estimated=step_time(plan, units, memory, point.columns, logits=point.logits).cycles,
                    held_out=group.held_out,
                )
            )
    return found


def error_band(points: Sequence[PointError]) -> ErrorBand:
    """Return the error over points."""
    errors = [abs(each.error) for each in points]
    return ErrorBand(
        mean=round(sum(errors) / len(errors), 4),
        worst=round(max(errors), 4),
        points=len(points),
        held_out=sum(each.held_out for each in points),
        source=TABLE,
    )


@cache
def stated_band() -> ErrorBand:
    """Return the error over all points as `python -m rtlm.host.pages` has worked it out last."""
    text = resources.files("rtlm.host.estimation").joinpath(BAND).read_text(encoding="utf-8")
    return ErrorBand(**json.loads(text))
