"""Cycles by cause: what the memory's data bus did in each cycle of a step, and if nothing, why.

Memory bandwidth bounds decoding, so time is lost whenever the data bus moves nothing. The DRAM model assigns every
memory clock of a step to one cause; one without any request in its queue goes to what the accelerator was doing.
"""

from collections.abc import Mapping
from fractions import Fraction

from rtlm.hw.control.counters import ACTIVITY, Requests
from rtlm.hw.control.isa import Operator
from rtlm.sim.memory.dram import Dram

MEMORY_CAUSES = {
    "refresh": "memory refresh, with closing and reopening the rows",
    "rows": "opening another row",
    "turnaround": "the bus changed between reading and writing",
    "timing": "other minimum distances between commands",
}
"""What keeps the memory from moving data although it has been asked."""

CAUSES = {
    "needed": "bytes moved that the step cannot do without",
    "other_bytes": "other bytes moved: program, padding, unwanted burst parts",
    **MEMORY_CAUSES,
    "latency": "requests were on their way, or bound for other channels",
    "dependency": "prefetch buffer full: the operator taking words waited",
    "control": "no instruction had asked for words yet",
    "drain": "all words requested: last results computed and written",
}
"""Every cause; `dependency` is split by operator, as `dependency_softmax`."""

IDLE = {
    Requests.MADE: "latency",
    Requests.NO_ROOM: "dependency",
    Requests.NOTHING: "control",
    Requests.ENDED: "drain",
}
"""Cause of a clock without a request, by what the accelerator does about requests."""


def cycles_by_cause(running: Mapping[str, int], dram: Dram, needed_bytes: int) -> dict[str, Fraction]:
    """Divide a step's cycles among the causes.

    Parameters
    ----------
    running
        `rtlm.sim.accelerator.Counters.running` of the step.
    dram
        The memory.
    needed_bytes
        Bytes that the step cannot do without.

    Returns
    -------
    dict
        Cycles by cause, exact; their sum is ``running["cycles"]``. Empty for an ideal memory, which has no clocks.
    """
    if not running["clocks"] or dram.ideal:
        return {}
    needed = Fraction(needed_bytes * (dram.burst_length // 2), dram.burst_bytes)
    clocks: dict[str, Fraction] = {"needed": needed, "other_bytes": running["data"] - needed}
    clocks |= {name: Fraction(running[name]) for name in MEMORY_CAUSES}
    for name, value in running.items():
        if name.startswith("idle_") and value:
            cause = idle_cause(int(name.removeprefix("idle_")))
            clocks[cause] = clocks.get(cause, Fraction(0)) + value
    return {cause: value * running["cycles"] / running["clocks"] for cause, value in clocks.items()}


def idle_cause(code: int) -> str:
    """Return the cause of a cycle without a request, by the accelerator's activity code (its pins above `running`)."""
    view = ACTIVITY.from_bits(code << 1)
    cause = IDLE[Requests(view.requests)]
    return f"{cause}_{Operator(view.operator).name.lower()}" if cause == "dependency" else cause


def meaning(cause: str) -> str:
    """Return what a cause of `cycles_by_cause` means."""
    return CAUSES[cause if cause in CAUSES else cause.partition("_")[0]]


def whole_cycles(cycles: Mapping[str, Fraction]) -> dict[str, int]:
    """Round to whole cycles that still add up: the largest remainders are rounded up."""
    rounded = {cause: value.__floor__() for cause, value in cycles.items()}
    missing = round(sum(cycles.values()) - sum(rounded.values()))
    for cause in sorted(cycles, key=lambda cause: rounded[cause] - cycles[cause])[:missing]:
        rounded[cause] += 1
    return rounded
