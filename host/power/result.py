"""Power by component, boundary and operator, and the energies that follow from it."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any


class Part(StrEnum):
    """Where power is taken."""

    CHIP = "chip"
    MEMORY = "memory"
    BOARD = "board"


class Kind(StrEnum):
    """What it depends on: data that toggles, the clock, nothing, bytes that are moved, or the rest of the board."""

    SWITCHING = "switching"
    CLOCK = "clock"
    STATIC = "static"
    TRAFFIC = "traffic"
    STANDBY = "standby"
    BOARD = "board"


class Boundary(StrEnum):
    """What a figure is of: the chip; chip and memory; what comes out of the plug, or a card's supply."""

    CHIP = "chip"
    MODULE = "module"
    PLUG = "plug"


INSIDE = {
    Boundary.CHIP: (Part.CHIP,),
    Boundary.MODULE: (Part.CHIP, Part.MEMORY),
    Boundary.PLUG: (Part.CHIP, Part.MEMORY, Part.BOARD),
}
"""Parts within each boundary."""


@dataclass(frozen=True, kw_only=True)
class Range:
    """A power, or an energy of something: nominal, low, high."""

    nominal: float
    low: float
    high: float

    @classmethod
    def of(cls, components: Iterable["PowerComponent"]) -> "Range":
        """Return the sum of components in watt."""
        taken = tuple(components)
        return cls(
            nominal=sum(each.w for each in taken),
            low=sum(each.low_w for each in taken),
            high=sum(each.high_w for each in taken),
        )

    def __mul__(self, factor: float) -> "Range":
        return Range(nominal=self.nominal * factor, low=self.low * factor, high=self.high * factor)

    def __add__(self, other: "Range") -> "Range":
        return Range(nominal=self.nominal + other.nominal, low=self.low + other.low, high=self.high + other.high)


@dataclass(frozen=True, kw_only=True)
class PowerComponent:
    """One summand.

    Parameters
    ----------
    name
        What takes the power.
    part, kind
        Where, and what it depends on.
    w, low_w, high_w
        Estimate and range in watt.
    method
        How it was found.
    """

    name: str
    part: Part
    kind: Kind
    w: float
    low_w: float
    high_w: float
    method: str


@dataclass(frozen=True, kw_only=True)
class OperatorUse:
    """What an operator takes of a step: the keys by which power is divided among operators.

    Parameters
    ----------
    cycles, bytes, macs
        Its cycles, bytes and multiply-accumulates.
    unit
        Unit that multiplies for it; empty where none does.
    """

    cycles: float
    bytes: float
    macs: float = 0.0
    unit: str = ""


@dataclass(frozen=True, kw_only=True)
class Power:
    """Power of one kind of step.

    Parameters
    ----------
    components
        The summands.
    tokens_per_s
        Speed that the power belongs to.
    weight_bits_per_s
        Weight bits that are read in a second; None where that is unknown.
    operators
        Power of chip and memory by operator; empty where nothing tells them apart.
    memory_by_bytes
        What bytes x published energy of a bit says of the memory in watt, beside its commands; None where nothing is
        published of it.
    notes
        What the reader has to know: assumptions, what is missing, whether it looks too good.
    """

    components: tuple[PowerComponent, ...]
    tokens_per_s: float
    weight_bits_per_s: float | None
    operators: Mapping[str, Range] = field(default_factory=dict)
    memory_by_bytes: Range | None = None
    notes: tuple[str, ...]

    def within(self, boundary: Boundary) -> Range | None:
        """Return the power within a boundary in watt; None at the plug of a board of which nothing is known."""
        if boundary is Boundary.PLUG and not any(each.part is Part.BOARD for each in self.components):
            return None
        return Range.of(each for each in self.components if each.part in INSIDE[boundary])

    @property
    def total(self) -> Range:
        """Power of chip and memory in watt."""
        return Range.of(each for each in self.components if each.part is not Part.BOARD)

    @property
    def total_w(self) -> float:
        """The estimate of `total`."""
        return self.total.nominal

    @property
    def low_w(self) -> float:
        """Its lower end."""
        return self.total.low

    @property
    def high_w(self) -> float:
        """Its upper end."""
        return self.total.high

    @property
    def tokens_per_j(self) -> float:
        """Tokens for a joule."""
        return self.tokens_per_s / self.total_w

    @property
    def j_per_token(self) -> Range:
        """Energy of chip and memory for a token."""
        return self.total * (1 / self.tokens_per_s)

    @property
    def pj_per_weight_bit(self) -> float | None:
        """Energy of chip and memory for each weight bit that is read; None where their number is unknown."""
        return self.total_w / self.weight_bits_per_s * 1e12 if self.weight_bits_per_s else None

    @property
    def included(self) -> str:
        """One sentence of what is in the figures and what is not."""
        parts = {each.part for each in self.components}
        processor = any(each.name == PROCESSOR for each in self.components)
        chip = "the whole chip" + (" with its processor" if processor else ", which has no processor of its own")
        memory = "memory with its interface" if Part.MEMORY in parts else "no memory"
        if Part.BOARD in parts:
            return f"Included: {chip}, {memory}; at the plug also voltage conversion and the rest of the board."
        return f"Included: {chip}, {memory}; not included: voltage conversion and the rest of the board."

    def to_json(self) -> dict[str, Any]:
        """Return plain values, as in a report."""
        per_weight_bit = self.total * (1e12 / self.weight_bits_per_s) if self.weight_bits_per_s else None
        boundaries = {boundary.value: self.within(boundary) for boundary in Boundary}
        return {
            "total_w": self.total_w,
            "low_w": self.low_w,
            "high_w": self.high_w,
            "boundary": Boundary.MODULE.value,
            "boundaries": {name: None if each is None else asdict(each) for name, each in boundaries.items()},
            "tokens_per_j": self.tokens_per_j,
            "j_per_token": asdict(self.j_per_token),
            "pj_per_weight_bit": self.pj_per_weight_bit,
            "pj_per_weight_bit_range": None if per_weight_bit is None else asdict(per_weight_bit),
            "components": [
                asdict(each) | {"part": each.part.value, "kind": each.kind.value} for each in self.components
            ],
            "operators": [
                {
                    "name": name,
                    "w": each.nominal,
                    "low_w": each.low,
                    "high_w": each.high,
                    "j_per_token": each.nominal / self.tokens_per_s,
                }
                for name, each in self.operators.items()
            ],
            "memory_by_bytes_w": None if self.memory_by_bytes is None else asdict(self.memory_by_bytes),
            "included": self.included,
            "notes": list(self.notes),
        }


PROCESSOR = "processor"
"""Name of the component that stands for a chip's processor."""


def by_operator(components: Iterable[PowerComponent], uses: Mapping[str, OperatorUse]) -> dict[str, Range]:
    """Divide the power of chip and memory among operators; it adds up to the whole.

    Traffic goes by bytes, a unit that multiplies by its operators' multiply-accumulates, everything else by cycles.

    Parameters
    ----------
    components
        The summands.
    uses
        What each operator takes.
    """
    found = {name: Range(nominal=0.0, low=0.0, high=0.0) for name in uses}
    cycles = {name: use.cycles for name, use in uses.items()}
    for component in components:
        if component.part is Part.BOARD:
            continue
        macs = {name: use.macs for name, use in uses.items() if use.unit == component.name}
        moved = {name: use.bytes for name, use in uses.items()} if component.kind is Kind.TRAFFIC else {}
        shares = next((each for each in (macs, moved, cycles) if sum(each.values())), {})
        whole = sum(shares.values())
        for name, share in shares.items():
            found[name] += Range.of([component]) * (share / whole)
    return found
