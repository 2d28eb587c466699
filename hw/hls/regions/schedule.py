"""What a region costs: its interval and what limits it, its FIFOs, and the reason for the depth of each."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from fractions import Fraction
from typing import Any

from rtlm.hw.common.markdown import table
from rtlm.hw.hls.schedule import Activity, Buffer


@dataclass(frozen=True, kw_only=True)
class Fifo:
    """A FIFO between two nodes.

    Parameters
    ----------
    name
        Name in reports and in the netlist.
    producer, consumer
        Names of the nodes.
    depth, width
        Words, and bits of each.
    reason
        Why it is there, and so deep.
    """

    name: str
    producer: str
    consumer: str
    depth: int
    width: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class RegionSchedule:
    """What a region costs."""

    latency: int
    """Cycles from the first beat in to the first beat of the last result out."""
    interval: Fraction
    """Cycles between beats of the first input in the long run, for packets of `max_length`."""
    limits: tuple[str, ...]
    """Which nodes, or streams, are at work in every cycle, or why none is."""
    fifos: tuple[Fifo, ...]
    """FIFOs between nodes; what is connected by wires is not among them."""
    operators: dict[str, int] = field(default_factory=dict)
    """Number of operators by name, of all kernels."""
    register_bits: int = 0
    """Register bits of kernels' pipelines, without FIFOs."""
    buffers: tuple[Buffer, ...] = ()
    """FIFOs, and FIFOs and memories inside of nodes."""
    activities: tuple[Activity, ...] = ()
    """None: kernels have them."""

    @property
    def initiation_interval(self) -> int:
        """The interval, rounded up."""
        return -(-self.interval.numerator // self.interval.denominator)

    def to_json(self) -> dict[str, Any]:
        """Return interval, limits and FIFOs for a JSON file."""
        return {
            "latency": self.latency,
            "interval": float(self.interval),
            "limits": list(self.limits),
            "fifos": [asdict(fifo) for fifo in self.fifos],
            "operators": self.operators,
            "register_bits": self.register_bits,
        }

    def report(self) -> str:
        """Return interval, limits and FIFOs as Markdown."""
        head = f"A beat every {self.interval} cycle{'s' * (self.interval > 1)}: {'; '.join(self.limits)}.\n"
        if not self.fifos:
            return f"{head}There are no FIFOs.\n"
        rows = [(f.producer, f.consumer, str(f.depth), str(f.width), f.reason) for f in self.fifos]
        return f"{head}\n{table(('from', 'to', 'depth', 'bits', 'why'), rows)}"
