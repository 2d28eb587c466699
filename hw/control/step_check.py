"""The check of the step registers before a step starts."""

from amaranth.hdl import Cat, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from rtlm.hw.common.layouts import REGISTER_BITS
from rtlm.hw.control.legality import STEP_RULES, StepLimits


class StepCheck(wiring.Component):
    """Say which of the `STEP_RULES` the step registers break.

    Latency: one cycle. The registers are written some cycles before a step starts, and are locked from then on.

    Parameters
    ----------
    limits
        Sizes of the accelerator.

    Ports
    -----
    columns, position, history, local_first
        The registers, the last three for each column.
    broken
        A bit for each of `STEP_RULES`.
    """

    def __init__(self, limits: StepLimits):
        self._limits = limits
        of_columns = In(REGISTER_BITS).array(limits.columns)
        super().__init__(
            {
                "columns": In(REGISTER_BITS),
                "position": of_columns,
                "history": of_columns,
                "local_first": of_columns,
                "broken": Out(len(STEP_RULES)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Evaluate each rule in gates."""
        m = Module()
        m.d.sync += self.broken.eq(Cat(rule.broken_by(self, self._limits) for rule in STEP_RULES))
        return m
