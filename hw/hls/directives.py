"""Directives: how a kernel becomes gates. None of them changes a result."""

from __future__ import annotations

from collections.abc import Collection, Mapping
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
        Share of a cycle, from 0 (never) to 1 (True: all of it), up to which operators follow each other within it; None
        is `CHAINED_SHARE`. More of it is fewer registers and longer paths.
    bind
        What memories and products are made of. For a memory's name one of `MEMORY_STYLES`; for products one of
        `PRODUCT_STYLES`, by the name of an operator in a schedule (``F32 multiply``), by their width
        (``multiply 24x24``), or all (``multiply``); the first of these that is there counts. Others are left to
        synthesis.
    partition
        How the words of memories lie: for their names one of `PARTITIONS`. ``cyclic``: over the lanes in turn;
        ``block``: a part of the words for each address; ``complete``: in registers. Else a memory is cyclic where that
        is known to serve all lanes, and has a copy for each place that reads it where it is not.

    Raises
    ------
    ValueError
        If a number is out of range.
    """

    lanes: int = 1
    clock_mhz: float = 300
    technology: str = "generic"
    ii: int | None = None
    chain: float | None = None
    bind: Mapping[str, str] = field(default_factory=dict, hash=False)
    partition: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if not isinstance(self.lanes, int) or self.lanes < 1:
            raise ValueError(f"lanes is a positive number, not {self.lanes!r}.")
        if self.ii is not None and (not isinstance(self.ii, int) or not 1 <= self.ii <= LONGEST_INTERVAL):
            raise ValueError(f"ii is a number of cycles from 1 to {LONGEST_INTERVAL}, not {self.ii!r}.")
        if self.chain is not None and not 0 <= self.chain <= 1:
            raise ValueError(f"chain is a share of a cycle from 0 to 1, not {self.chain!r}.")
        for name, style in self.bind.items():
            if style not in (*MEMORY_STYLES, *PRODUCT_STYLES):
                raise ValueError(
                    f"{name} is bound to one of {', '.join(MEMORY_STYLES)} if it is a memory, or of "
                    f"{', '.join(PRODUCT_STYLES)} if it is a product, not to {style!r}."
                )
        for name, kind in self.partition.items():
            if kind not in PARTITIONS:
                raise ValueError(f"Memory {name} is partitioned as one of {', '.join(PARTITIONS)}, not as {kind!r}.")
        object.__setattr__(self, "bind", MappingProxyType(dict(self.bind)))
        object.__setattr__(self, "partition", MappingProxyType(dict(self.partition)))

    @property
    def chained_share(self) -> float:
        """Share of a period up to which operators follow each other within it."""
        return CHAINED_SHARE if self.chain is None else float(self.chain)

    def bound(self, styles: Collection[str]) -> dict[str, str]:
        """Return what is bound to one of some styles."""
        return {name: style for name, style in self.bind.items() if style in styles}


CHAINED_SHARE = 0.75
"""Of a period; the rest is for the wires between operators, which synthesis may place apart."""
LONGEST_INTERVAL = 256
MEMORY_STYLES = ("block", "distributed", "ultra")
"""Values of the attribute ``ram_style``, by which Vivado and yosys choose between block RAM, tables and URAM."""
PRODUCT_STYLES = MappingProxyType({"dsp": "yes", "lut": "no"})
"""What a product can be made of, and the values of the attribute ``use_dsp`` that say so."""
PARTITIONS = ("cyclic", "block", "complete")
LARGEST_COMPLETE = 256
"""Words of a memory that become registers."""
