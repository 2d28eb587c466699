"""Schedules: what a kernel costs under its directives, and why."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Activity:
    """An operator at work on a beat.

    Parameters
    ----------
    operator
        Its name.
    phase
        Pipeline that it is in; each reduction over a packet begins another.
    first, last
        Cycles behind the beat's entry into the pipeline.
    unit
        Number of the unit among those of this name that it takes its turn at; -1 of one that is not shared.
    """

    operator: str
    phase: int
    first: int
    last: int
    unit: int = -1


@dataclass(frozen=True, kw_only=True)
class Buffer:
    """A FIFO or a memory.

    Parameters
    ----------
    name
        Of the memory, or of the FIFO.
    words, bits
        Its size.
    reason
        What it is for, and why it is of this size.
    """

    name: str
    words: str
    bits: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class Loop:
    """A loop of a nest.

    Parameters
    ----------
    place
        File and line.
    bound
        How often it runs: a number, or the argument that says it.
    lanes
        Iterations of it in a beat: so often it is unrolled.
    packet
        Whether its iterations are those of a packet.
    """

    place: str
    bound: str
    lanes: int
    packet: bool


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """What a kernel costs."""

    latency: int
    """Cycles from a beat in to its beat out; for kernels that reduce: from the last beat in to the first beat out; for
    kernels with loops: from a command to its first result, of a packet of one beat."""
    initiation_interval: int
    """Cycles between beats: 1, unless a state needs more, or more was asked for."""
    operators: dict[str, int] = field(default_factory=dict)
    """Number of operators by name, all lanes counted."""
    register_bits: int = 0
    """Pipeline register bits, without FIFOs."""
    phase_latencies: tuple[int, ...] = ()
    """Pipeline depth of each phase."""
    limits: tuple[str, ...] = ()
    """What keeps beats apart, if they are more than a cycle apart: a sentence for each state that does."""
    critical_ns: float = 0.0
    """Longest planned logic path between registers."""
    activities: tuple[Activity, ...] = ()
    """Operators in the order of the kernel, when each is at work."""
    buffers: tuple[Buffer, ...] = ()
    """FIFOs between pipelines, and memories."""
    loops: tuple[Loop, ...] = ()
    """Loops of a nest, outermost first."""
    trip: str = ""
    """Cycles that a command takes, of a nest: its interval times the bounds."""
