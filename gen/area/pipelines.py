"""Registers and shift registers of a kernel's pipelines, from its schedule."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import cache

from rtlm.gen import area
from rtlm.gen.area.memories import memory
from rtlm.gen.area.reads import Reads
from rtlm.gen.common.cache import remembered
from rtlm.hw import hls, kernels
from rtlm.hw.hls.phase import Phase
from rtlm.hw.hls.plan import Plan
from rtlm.hw.hls.report import RESULT_DEPTH

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
def pipeline(
    kernel: str, lanes: int, clock_mhz: float, technology: str, tag_bits: int = 0, max_length: int = 0
) -> Pipeline:
    """Return the registers of a kernel of `rtlm.hw.kernels`.

    Lanes of a kernel that reduces nothing are copies: two are scheduled, and the difference counts for each further.

    Parameters
    ----------
    kernel, lanes, clock_mhz, technology
        Kernel, and what it is scheduled for.
    tag_bits
        Bits that accompany each beat.
    max_length
        Beats of the longest packet, for kernels that use elements again after a reduction.
    """
    graph = getattr(kernels, kernel).graph
    if graph.reduces or lanes <= 2:
        return _scheduled(kernel, lanes, clock_mhz, technology, tag_bits, max_length)
    one, two = (_scheduled(kernel, n, clock_mhz, technology, tag_bits, max_length) for n in (1, 2))
    return one.scaled(2 - lanes) + two.scaled(lanes - 1)


@cache
def _scheduled(kernel: str, lanes: int, clock_mhz: float, technology: str, tag_bits: int, max_length: int) -> Pipeline:
    arguments = (kernel, lanes, clock_mhz, technology, tag_bits, max_length)
    return Pipeline(
        **remembered("pipelines", (hls, kernels, area), *arguments, compute=lambda: vars(_schedule(*arguments)))
    )


def _schedule(kernel: str, lanes: int, clock_mhz: float, technology: str, tag_bits: int, max_length: int) -> Pipeline:
    plan = getattr(kernels, kernel).plan(lanes=lanes, clock_mhz=clock_mhz, technology=technology)
    total = Pipeline()
    for index, phase in enumerate(plan.phases):
        total += _phase(phase, tag_bits, framing=plan.graph.reduces)
        if phase is not plan.phases[-1] and phase.every_beat:
            total += _queues(plan, index, tag_bits, max_length)
    return total


def _phase(phase: Phase, tag_bits: int, *, framing: bool) -> Pipeline:
    """Return one pipeline's registers: delays, valid bits, `active`, accumulators."""
    ffs = phase.stages * (1 + framing) + 1 + sum(value.type.width for value, _ in phase.reductions)
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
    for width, depth in ((elements, 2 * max_length + phase.stages + following.stages), (constants, RESULT_DEPTH)):
        kept = memory(width, depth - 1)
        pointers = 4 * depth.bit_length()
        total += Pipeline(ffs=kept.ffs + pointers, memory_luts=kept.luts + pointers, brams=kept.brams)
    return total
