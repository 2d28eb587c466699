"""Power in the steps of a run: counted toggles, bytes and DRAM commands through the model of `rtlm.host.power`."""

from collections.abc import Mapping, Sequence
from typing import Any

from rtlm.host.power.dram import DramCommands
from rtlm.host.power.estimate import PowerRequest, Traffic, estimate_power
from rtlm.host.power.result import OperatorUse, Power
from rtlm.host.reports.measurements import MemoryMeasurement, RunMeasurements, StepMeasurement
from rtlm.host.reports.work import multiplying_unit

CLOCKS = ("data_clocks", "refresh_clocks", "row_clocks", "turnaround_clocks", "timing_clocks", "idle_clocks")
"""Counters of the DRAM model that add up to the clocks of all channels."""
COMMANDS = ("activates", "precharges", "reads", "writes")


def power_of(run: RunMeasurements, steps: Sequence[StepMeasurement]) -> Power | None:
    """Estimate the power in some steps of a run; None where nothing was counted in them.

    The memory was counted over the whole run: what it moved is divided among the steps by the bytes that they need.

    Parameters
    ----------
    run
        The run.
    steps
        Some of its steps.
    """
    memory = run.memory
    cycles = sum(step.cycles or 0 for step in steps)
    tokens = sum(step.tokens for step in steps)
    if memory is None or run.elements is None or not cycles or not tokens or not all(step.cycles for step in steps):
        return None
    clock_mhz: float = run.config["clock_mhz"]
    seconds = cycles / (clock_mhz * 1e6)
    all_needed = sum(step.needed_bytes for step in run.steps)
    scale = sum(step.needed_bytes for step in steps) / seconds / all_needed if all_needed else 0.0
    moved = sum(memory.read_bytes.values()) + sum(memory.written_bytes.values())
    return estimate_power(
        PowerRequest(
            technology=run.config.get("technology", "xilinx-us+"),
            board=run.config.get("board", ""),
            elements=run.elements,
            elements_are=run.elements_are,
            cells=run.cells,
            cells_are=run.cells_are,
            rates=run.activity.toggles if run.activity else None,
            shipped=run.shipped,
            rates_are=run.activity.source if run.activity else "",
            busy=_busy(steps, cycles),
            clock_mhz=clock_mhz,
            traffic=Traffic(
                dram=memory.dram,
                name=memory.name,
                commands=_commands(memory, scale, clock_mhz),
                bytes_per_s=moved * scale,
            ),
            tokens_per_s=tokens / seconds,
            weight_bytes_per_s=memory.read_bytes.get("weights", 0) * scale or None,
            uses=_uses(steps),
        )
    )


def _commands(memory: MemoryMeasurement, scale: float, clock_mhz: float) -> DramCommands | None:
    """Return the commands of a second, from what the DRAM model counted in the run."""
    counters = memory.counters
    clocks = sum(counters.get(name, 0) for name in CLOCKS)
    if not clocks or not counters.get("cycles") or any(name not in counters for name in COMMANDS):
        return None
    run_s = counters["cycles"] / (clock_mhz * 1e6)
    per_second: Mapping[str, Any] = {name: counters[name] * scale for name in COMMANDS}
    return DramCommands(
        **per_second,
        refreshes=counters["refreshes"] / run_s,
        seconds=1.0,
        open_share=min(1.0, counters["clocks_open"] / clocks),
        source="counted in the DRAM model",
    )


def _busy(steps: Sequence[StepMeasurement], cycles: int) -> dict[str, float]:
    """Return the share of the cycles in which each unit with such a counter is busy."""
    units = dict.fromkeys(name for step in steps for name, states in step.units.items() if "busy" in states)
    return {name: sum(step.units.get(name, {}).get("busy", 0) for step in steps) / cycles for name in units}


def _uses(steps: Sequence[StepMeasurement]) -> dict[str, OperatorUse]:
    """Return what each operator takes of the steps."""
    found = {}
    for name in dict.fromkeys(name for step in steps for name in step.operators):
        work = [step.work[name] for step in steps if name in step.work]
        use = OperatorUse(
            cycles=sum(step.operators.get(name, 0) for step in steps),
            bytes=sum(each.bytes for each in work),
            macs=sum(each.macs for each in work),
            unit=multiplying_unit(name),
        )
        if use.cycles or use.bytes:
            found[name] = use
    return found
