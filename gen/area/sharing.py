"""What a kernel saves whose operators take turns at shared units, from its schedules with and without them."""

from collections import Counter
from dataclasses import dataclass
from functools import cache

from rtlm.gen import area
from rtlm.gen.area.counts import KernelUse, selection
from rtlm.gen.area.pipelines import kernel_of
from rtlm.gen.common.cache import remembered
from rtlm.hw import hls, kernels
from rtlm.hw.hls.phase import Phase, last_uses
from rtlm.hw.hls.plan import Plan

BLOCKS = {"F32 multiply": 2, "integer multiply": 1}
"""Multipliers of 27 x 18 bits of an operator, by the end of its name."""


@dataclass(frozen=True, kw_only=True)
class Sharing:
    """How a kernel with an interval differs from one without.

    Parameters
    ----------
    logic
        Part of the operators' tables that is left.
    select_luts
        Tables of the multiplexers in front of shared units.
    saved_dsps
        Multipliers that are saved.
    """

    logic: float = 1.0
    select_luts: float = 0.0
    saved_dsps: int = 0


@cache
def sharing(use: KernelUse, clock_mhz: float, technology: str) -> Sharing:
    """Return what the interval of a kernel saves.

    Parameters
    ----------
    use
        The kernel.
    clock_mhz, technology
        What it is scheduled for.
    """
    if use.interval == 1:
        return Sharing()
    arguments = (use.name, use.arguments, use.lanes, use.interval, clock_mhz, technology)
    found = remembered(
        "sharing", (hls, kernels, area), *arguments, compute=lambda: vars(_compared(use, clock_mhz, technology))
    )
    return Sharing(**found)


def _compared(use: KernelUse, clock_mhz: float, technology: str) -> Sharing:
    plain, shared = (
        kernel_of(use).plan(lanes=use.lanes, clock_mhz=clock_mhz, technology=technology, chain=use.chain, ii=ii)
        for ii in (None, use.interval)
    )
    return Sharing(
        logic=_logic_bits(shared) / _logic_bits(plain),
        select_luts=sum(_selections(phase) for phase in shared.phases),
        saved_dsps=_blocks(plain) - _blocks(shared),
    )


def _logic_bits(plan: Plan) -> int:
    """Return the bits that a plan's operators compute in logic, multiplexers of operands not counted."""
    total = 0
    for phase in plan.phases:
        live = last_uses(phase)
        operands = {
            id(port)
            for units in phase.builder.units.values()
            for unit in units
            for _, ports in unit.turns.values()
            for port in ports
        }
        for net in phase.builder.nets:
            computed = net.rom is not None or (net.function is not None and net.delay > 0 and not net.alone)
            if computed and id(net) in live and id(net) not in operands:
                total += net.width
    return total


def _selections(phase: Phase) -> float:
    """Return the tables of the multiplexers in front of a phase's shared units."""
    units = [unit for kind in phase.builder.units.values() for unit in kind]
    return sum(selection(sum(net.width for net in unit.inputs), len(unit.turns)) for unit in units)


def _blocks(plan: Plan) -> int:
    counts: Counter[str] = Counter()
    for phase in plan.phases:
        counts.update(phase.builder.operators)
    return sum(count * BLOCKS[end] for name, count in counts.items() for end in BLOCKS if name.endswith(end))
