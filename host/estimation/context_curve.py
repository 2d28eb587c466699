"""Tokens a second against context: what is estimated beside the steps that a run has measured."""

from collections.abc import Sequence

from rtlm.gen.configuration.schema import Configuration
from rtlm.host.compiler.plan import make_plan
from rtlm.host.estimation.errors import stated_band
from rtlm.host.estimation.memory import memory_times
from rtlm.host.estimation.step import step_time
from rtlm.host.estimation.units import unit_times
from rtlm.host.models.stored import ModelShape
from rtlm.host.reports.measurements import ContextCurve
from rtlm.host.runtime.device import side_by_side


def context_curve(config: Configuration, shape: ModelShape, *, longest: int, batch: int) -> ContextCurve:
    """Estimate the speed of decoding at contexts that are powers of two, and at the longest one.

    Parameters
    ----------
    config
        The accelerator, which holds the model.
    shape
        The model.
    longest
        Positions of the longest sequence, the token itself among them; no more than the accelerator holds.
    batch
        Sequences that decode together, a token of each in a step.
    """
    params = config.to_params()
    plan = make_plan(params, shape, context=longest)
    units, memory = unit_times(params), memory_times(config, params)
    speeds = {}
    for context in contexts(longest):
        columns = side_by_side((0, context - 1, slot) for slot in range(batch))
        cycles = step_time(plan, units, memory, columns, logits=True).cycles
        speeds[context] = batch * config.clock_mhz * 1e6 / cycles
    band = stated_band()
    return ContextCurve(
        tokens_per_s=speeds,
        batch=batch,
        error={"mean": band.mean, "worst": band.worst, "points": band.points, "source": band.source},
    )


def contexts(longest: int) -> Sequence[int]:
    """Return the powers of two below a context, and the context itself."""
    return [*(1 << shift for shift in range((longest - 1).bit_length())), longest]
