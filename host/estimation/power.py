"""Size and power of what is estimated: the area model's elements at the rates of the step."""

from rtlm.gen.area.estimate import Area, estimate_area
from rtlm.gen.configuration.schema import Configuration
from rtlm.host.estimation.memory import MemoryTimes
from rtlm.host.estimation.result import StepEstimate
from rtlm.host.estimation.step import StepTime
from rtlm.host.reports.power import Power, estimate_power
from rtlm.hw.control.isa import Operator

MODELLED_TECHNOLOGIES = ("generic", "xilinx-us+")
"""Technologies whose size the area model knows."""

ATTENTION = (Operator.QK, Operator.PV)

MATRICES = (Operator.QKV, Operator.WO, Operator.MLP, Operator.LM_HEAD)


def area_of(config: Configuration) -> Area | None:
    """Return the size of an accelerator, or None where no model knows it."""
    return estimate_area(config) if config.technology in MODELLED_TECHNOLOGIES else None


def power_of(config: Configuration, area: Area, memory: MemoryTimes, time: StepTime, step: StepEstimate) -> Power:
    """Return the power of chip and memory while decoding.

    Parameters
    ----------
    config, area
        The accelerator.
    memory
        What stands behind it.
    time, step
        A decoding step.
    """
    hz = config.clock_mhz * 1e6
    busy = {
        unit: min(1.0, sum(time.tally.work[each] for each in operators) / time.cycles)
        for unit, operators in (("matmul", MATRICES), ("attention", ATTENTION))
    }
    moved = sum(step.read.values()) + sum(step.written.values())
    per_second = hz / step.cycles
    return estimate_power(
        elements={
            unit: {"luts": each.luts, "ffs": each.ffs, "dsps": each.dsps, "brams": each.brams}
            for unit, each in area.units.items()
        },
        activity=None,
        busy=busy,
        clock_mhz=config.clock_mhz,
        dram=memory.name,
        bytes_per_s=moved * per_second,
        tokens_per_s=step.tokens * per_second,
        weight_bytes_per_s=step.read["weights"] * per_second or None,
        bytes_source="estimated",
    )
