"""Signals inside the accelerator that a timeline records, and how a simulator that records them is built.

Verilator is told to keep these signals readable (`public_flat_rd`); the Verilog stays as it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from rtlm.gen.common.errors import ToolError
from rtlm.hw.control.counters import EVENTS


@dataclass(frozen=True)
class Observed:
    """A track of a timeline.

    Attributes
    ----------
    name : str
        Name of the track.
    module : str
        Module of the signals, as a path of instances below the top; empty for the top.
    signals : tuple of str
        One: its value is recorded. Two with `both`: 1 while both are high. Two without: the first in the low 8 bits,
        the second above them, and nothing while the first is 0.
    both : bool
        See there.
    """

    name: str
    module: str
    signals: tuple[str, ...]
    both: bool = False


ACTIVITY = "activity"
"""The first track, which comes from the pins: 1 + the activity code while a step runs."""

PHASE_BITS = 8
"""Bits of the first of two signals."""

OBSERVED = (
    *(Observed(name, "", (f"{name}_event",)) for name in EVENTS),
    Observed("dispatched", "sequencer.issued", ("r_en", "r_rdy"), both=True),
    Observed("run_loaded", "sequencer.router", ("r_en", "r_rdy"), both=True),
    Observed("run_active", "sequencer.router", ("active",)),
    Observed("attention", "attention", ("phase", "kv_head")),
    Observed("epilogue_begins", "vector", ("begin",)),
    Observed("vector_idle", "vector", ("idle",)),
    Observed("load_begins", "vector.loader", ("start",)),
    Observed("loading", "vector.loader", ("busy",)),
)
"""Tracks behind the first, in their order."""

TRACKS = (ACTIVITY, *(each.name for each in OBSERVED))

LEVELS = {
    "prefetch_room": ("reader", ("room",)),
    "instruction_queue": ("sequencer.queue", ("inner_level", "r_rdy")),
    "issued_instructions": ("sequencer.issued", ("inner_level", "r_rdy")),
    "word_runs": ("sequencer.router.routes", ("inner_level", "r_rdy")),
}
"""Levels that are sampled: module, and signals whose sum they are."""


def verilator_config(top: str) -> str:
    """Return the configuration file that keeps the signals readable.

    Parameters
    ----------
    top : str
        Name of the top module.
    """
    places = [(each.module, each.signals) for each in OBSERVED] + list(LEVELS.values())
    lines = {
        f'public_flat_rd -module "{f"{top}.{module}" if module else top}" -var "{signal}"': None
        for module, signals in places
        for signal in signals
    }
    return "\n".join(["`verilator_config", *lines, ""])


def timeline_config(header: str, top: str) -> str:
    """Return ``timeline_config.h``, which reads the signals.

    Parameters
    ----------
    header : str
        Text of ``Vbench___024root.h``.
    top : str
        Name of the top module.

    Raises
    ------
    ToolError
        When the design lacks a signal.
    """
    members = set(re.findall(r"\b[CSIQ]Data/\*\d+:0\*/ (\w+);", header))

    def member(module: str, signal: str) -> str:
        path = ".".join(filter(None, (top, module, signal)))
        name = path.replace(".", "__DOT__")
        if name not in members:
            raise ToolError(f"The design has no signal {path} of at most 64 bits, which a timeline records.")
        return f"int64_t(root.{name})"

    lines = []
    for track, each in enumerate(OBSERVED, 1):
        first, *second = (member(each.module, signal) for signal in each.signals)
        value = first
        if second:
            value = f"{first} & {second[0]}" if each.both else f"{first} ? {first} | {second[0]} << {PHASE_BITS} : 0"
        lines.append(f"  record({track}, {value});")
    levels = [
        f"  sample({' + '.join(member(module, signal) for signal in signals)});" for module, signals in LEVELS.values()
    ]
    return "\n".join(
        [
            "#pragma once",
            '#include "Vbench___024root.h"',
            f"constexpr int kObserved = {len(TRACKS)};",
            "template <class Record>",
            "void bench_observe(const Vbench___024root& root, Record&& record) {",
            *lines,
            "}",
            "template <class Sample>",
            "void bench_levels(const Vbench___024root& root, Sample&& sample) {",
            *levels,
            "}",
            "",
        ]
    )
