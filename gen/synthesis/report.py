"""Results of synthesis as Markdown: a hierarchical table, limits of the device, clock and critical path."""

from collections.abc import Mapping

from rtlm.gen.synthesis.synthesise import SynthResult
from rtlm.gen.synthesis.targets import TARGETS
from rtlm.gen.synthesis.timing.static import StaticTiming
from rtlm.hw.common.markdown import table

TITLES = {
    "lut": "LUT",
    "ff": "FF",
    "dsp": "DSP",
    "bram": "BRAM",
    "uram": "URAM",
    "carry": "carry",
    "ge": "GE",
    "area_um2": "area (um2)",
    "memory_bits": "SRAM bits",
}
"""Column titles."""


def columns(result: SynthResult) -> list[str]:
    """Return the resources that the design takes any of, in order."""
    return [name for name in result.total if result.total[name]]


def number(value: float) -> str:
    """Write an amount, halves as they are."""
    return f"{value:,.1f}" if 0 < value % 1 < 1 and value < 1000 else f"{value:,.0f}"


def share(result: SynthResult) -> dict[str, float]:
    """Return the part of the device that the design takes of each resource, in percent."""
    available: Mapping[str, int] = TARGETS[result.target].available if result.target in TARGETS else {}
    return {name: 100 * result.total[name] / available[name] for name in columns(result) if name in available}


def markdown(result: SynthResult) -> str:
    """Write a result."""
    names = columns(result)
    rows = []
    for module in result.modules:
        place = "&nbsp;" * 2 * (module.path.count(".") + 1) + module.path if module.path else "**all**"
        rows.append([place, *(number(module.total[name]) for name in names)])
    if shares := share(result):
        cells = [f"{shares[name]:.1f} %" if name in shares else "" for name in names]
        rows.append([f"of {TARGETS[result.target].device}", *cells])
    lines = [f"# {result.top} on {result.target}", ""]
    lines.append(table(["module", *(TITLES[name] for name in names)], rows, numbers=True))
    lines += ["Each row counts everything below it; what has no row is flattened into the part above."]
    if result.timing:
        lines += ["", *_timing(result)]
    if result.static:
        lines += ["", *_static(result.static)]
    tools = ", ".join(f"{name} {version}" for name, version in result.tools.items())
    lines += ["", *result.notes, "", f"Tools: {tools}; {result.seconds:.0f} s."]
    return "\n".join(lines) + "\n"


def _timing(result: SynthResult) -> list[str]:
    timing = result.timing
    assert timing is not None
    verdict = "met" if timing.met else "missed"
    used = ", ".join(f"{count} of {timing.available[name]} {name}" for name, count in timing.used.items())
    parts = ((part.operator, f"{part.logic_ns:.2f}", f"{part.routing_ns:.2f}", part.cells) for part in result.path)
    steps = ((step.kind, f"{step.delay_ns:.2f}", f"`{step.signal}`") for step in timing.steps)
    return [
        f"Placed and routed on {timing.device}: **{timing.fmax_mhz:.1f} MHz** between registers; "
        f"{timing.clock_mhz:g} MHz is {verdict}. Placed: {used}.",
        "",
        f"Critical path, {timing.logic_levels} cells of logic, from {result.ends[0]} to {result.ends[1]}:",
        "",
        table(("part", "logic ns", "routing ns", "cells"), parts, numbers=True),
        table(("step", "ns", "signal"), steps),
    ]


def clock(static: StaticTiming) -> str:
    """Return the sentence that says which clock static timing gives."""
    verdict = "met" if static.met else "MISSED"
    return (
        f"Static timing on {static.device}, {static.cells:,} cells, not placed: {static.fmax_mhz:.0f} MHz, "
        f"{static.low_mhz:.0f} MHz at the pessimistic end of the model; {static.clock_mhz:g} MHz {verdict}."
    )


def _static(static: StaticTiming) -> list[str]:
    rows = [
        (
            f"{path.period_ns:.2f}",
            f"{1000 / path.period_ns:.0f}",
            str(path.levels),
            f"{sum(part.routing_ns for part in path.parts) / path.period_ns:.0%}",
            str(path.ends[0]),
            str(path.ends[1]),
        )
        for path in static.paths
    ]
    return [
        clock(static),
        "",
        "The slowest path of each pair of instances:",
        "",
        table(("ns", "MHz", "cells of logic", "wires", "from", "to"), rows),
    ]
