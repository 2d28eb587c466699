"""Registers and shift registers of a kernel's pipelines, from its schedule."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from functools import cache

from rtlm.gen import area
from rtlm.gen.area.counts import KernelUse
from rtlm.gen.area.memories import memory
from rtlm.gen.area.reads import Reads
from rtlm.gen.common.cache import remembered
from rtlm.hw import hls, kernels
from rtlm.hw.hls import Kernel
from rtlm.hw.hls.phase import Phase, queue_words
from rtlm.hw.hls.plan import Plan
from rtlm.hw.hls.report import RESULT_DEPTH
from rtlm.hw.kernels.attention import key_dots
from rtlm.hw.kernels.matmul import general_row_group, packed_pair_sums, row_group, row_pair_half_sums, row_pair_sums

MADE: dict[str, Callable[..., Kernel]] = {
    "row_pair_sums": row_pair_sums,
    "row_pair_half_sums": row_pair_half_sums,
    "packed_pair_sums": packed_pair_sums,
    "row_group": row_group,
    "general_row_group": general_row_group,
    "key_dots": key_dots,
}
"""Functions that make a kernel of a size."""
SHORTEST_SHIFT = 3
"""Stages in a row from which yosys makes a shift register of tables (``xilinx_srl -minlen 3``)."""
LONGEST_SHIFT = 32
"""Stages of a shift register in one table."""


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """What delays and queues of a pipeline take, without its operators.

    Parameters
    ----------
    ffs
        Registers.
    shift_luts
        Tables that are shift registers.
    memory_luts, brams
        FIFOs between phases.
    """

    ffs: float = 0
    shift_luts: float = 0
    memory_luts: float = 0
    brams: float = 0

    def __add__(self, other: "Pipeline") -> "Pipeline":
        return Pipeline(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)})

    def scaled(self, factor: float) -> "Pipeline":
        """Return a multiple."""
        return Pipeline(**{f.name: getattr(self, f.name) * factor for f in fields(self)})


@cache
def pipeline(use: KernelUse, clock_mhz: float, technology: str) -> Pipeline:
    """Return the registers of one copy of a kernel.

    Lanes of a kernel that neither reduces nor shares are copies: two are scheduled, and the difference counts for each
    further.

    Parameters
    ----------
    use
        The kernel.
    clock_mhz, technology
        What it is scheduled for.
    """
    if use.lanes <= 2 or use.interval > 1 or kernel_of(use).graph.reduces:
        return _scheduled(use, clock_mhz, technology)
    one, two = (_scheduled(replace(use, lanes=n), clock_mhz, technology) for n in (1, 2))
    return one.scaled(2 - use.lanes) + two.scaled(use.lanes - 1)


@cache
def _scheduled(use: KernelUse, clock_mhz: float, technology: str) -> Pipeline:
    arguments = (repr(replace(use, copies=1, term="")), clock_mhz, technology)
    return Pipeline(
        **remembered(
            "pipelines", (hls, kernels, area), *arguments, compute=lambda: vars(_schedule(use, clock_mhz, technology))
        )
    )


def kernel_of(use: KernelUse) -> Kernel:
    """Return the kernel itself."""
    return MADE[use.name](*use.arguments) if use.arguments else getattr(kernels, use.name)


def _schedule(use: KernelUse, clock_mhz: float, technology: str) -> Pipeline:
    plan = kernel_of(use).plan(lanes=use.lanes, clock_mhz=clock_mhz, technology=technology, chain=use.chain, ii=use.ii)
    tag_bits = use.tag_bits + (use.keys - 1).bit_length()
    total = Pipeline()
    for index, phase in enumerate(plan.phases):
        total += _phase(phase, tag_bits, framing=plan.graph.reduces, keys=use.keys)
        if phase is not plan.phases[-1] and phase.every_beat:
            total += _queues(plan, index, tag_bits, use.max_length)
    return total


def _phase(phase: Phase, tag_bits: int, *, framing: bool, keys: int) -> Pipeline:
    """Return one pipeline's registers: delays, valid bits, `active`, accumulators."""
    accumulators = sum(value.type.width for value, _ in phase.reductions) * (1 if keys == 1 else 1 + keys)
    turns = (phase.interval - 1).bit_length()
    ffs = phase.stages * (1 + framing) + 1 + accumulators + turns
    total = Pipeline(ffs=ffs) + _delay([phase.stages]).scaled(tag_bits)
    reads = Reads(phase)
    for bits, taps in reads.delays():
        total += _delay(taps).scaled(bits)
    return total


def _delay(taps: Iterable[int]) -> Pipeline:
    """Return what it takes to hold a bit for some cycles, read after each number of cycles in `taps`."""
    ffs, tables, before = 0, 0, 0
    for tap in taps:
        length, before = tap - before, tap
        if length < SHORTEST_SHIFT:
            ffs += length
        else:
            tables += -(-length // LONGEST_SHIFT)
    return Pipeline(ffs=ffs, shift_luts=tables)


def _queues(plan: Plan, index: int, tag_bits: int, max_length: int) -> Pipeline:
    """Return the FIFOs behind a phase: elements, and the reductions of a packet."""
    phase, following = plan.phases[index], plan.phases[index + 1]
    elements = sum(v.type.width * len(plan.lane_indices(v)) for v in phase.elements) + tag_bits + 1
    constants = sum(v.type.width for v in phase.constants)
    total = Pipeline()
    for width, depth in ((elements, queue_words(phase, following, max_length)), (constants, RESULT_DEPTH)):
        kept = memory(width, depth - 1)
        pointers = 4 * depth.bit_length()
        total += Pipeline(ffs=kept.ffs + pointers, memory_luts=kept.luts + pointers, brams=kept.brams)
    return total
