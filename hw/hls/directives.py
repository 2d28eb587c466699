"""Directives: how a kernel becomes gates. None of them changes a result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType


@dataclass(frozen=True, kw_only=True)
class Directives:
    """What a pipeline is built for, apart from its mathematics.

    Parameters
    ----------
    lanes
        Elements a beat: so often the loop over a packet is unrolled.
    clock_mhz, technology
        Clock that the pipeline is scheduled for, and whose delays.
    ii
        Initiation interval: cycles between beats. Operators take turns at shared units for it. None is as few cycles as
        states allow, and nothing shared.
    chain
        Whether operators follow each other within a cycle where they fit: fewer registers, longer paths.
    bind
        What memories are made of: for their names one of `STYLES`; others are left to synthesis.

    Raises
    ------
    ValueError
        If a number is out of range.
    """

    lanes: int = 1
    clock_mhz: float = 300
    technology: str = "generic"
    ii: int | None = None
    chain: bool = False
    bind: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if not isinstance(self.lanes, int) or self.lanes < 1:
            raise ValueError(f"lanes is a positive number, not {self.lanes!r}.")
        if self.ii is not None and (not isinstance(self.ii, int) or not 1 <= self.ii <= LONGEST_INTERVAL):
            raise ValueError(f"ii is a number of cycles from 1 to {LONGEST_INTERVAL}, not {self.ii!r}.")
        for name, style in self.bind.items():
            if style not in STYLES:
                raise ValueError(f"Memory {name} is bound to one of {', '.join(STYLES)}, not to {style!r}.")
        object.__setattr__(self, "bind", MappingProxyType(dict(self.bind)))


LONGEST_INTERVAL = 256
STYLES = ("block", "distributed", "ultra")
"""Values of the attribute ``ram_style``, by which Vivado and yosys choose between block RAM, tables and URAM."""
