"""Published accelerators in this power model: their own resources, clock and traffic against their authors' watts."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from rtlm.host.power.dram import estimated_commands
from rtlm.host.power.estimate import PowerRequest, Traffic, estimate_power
from rtlm.host.power.result import Boundary, Power, Range
from rtlm.host.power.shipped import default_rates
from rtlm.host.power.technology import Positive, parse
from rtlm.hw.common.markdown import table
from rtlm.sim.memory.dram import named

FACTS = Path(__file__).with_name("published.yaml")
UNIT = "design"
"""Name of the one unit that a published design is here."""
TARGET = 0.2
"""Error within which a design counts as met."""
CALIBRATED = 0.02
"""Error that designs may have which set a figure."""


class PublishedElements(BaseModel):
    """Resources of a design; block memories of 36 Kbit."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    luts: Positive
    ffs: Positive
    dsps: Positive
    brams: Positive
    urams: float = Field(ge=0)


class PublishedDesign(BaseModel):
    """A published design.

    Parameters
    ----------
    work, platform, source
        What it is called, where it ran, and where that stands.
    board
        Its board in ``constraints/power-boards.yaml``.
    clock_mhz, elements
        Its clock and resources.
    memory, channels
        The simulated memory that is most like its own.
    gigabytes_per_s, utilisation, tokens_per_s
        What it moves, as a share of the peak too, and its speed.
    watt, boundary, measured
        Its published power, what it is of, and how it was found.
    compared
        Boundary that the model is compared at.
    calibrates
        What of the board was set by this design; None for those that test.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    work: str
    platform: str
    board: str
    clock_mhz: Positive
    elements: PublishedElements
    memory: str
    channels: int = 1
    gigabytes_per_s: Positive
    utilisation: float = Field(gt=0, le=1)
    tokens_per_s: Positive
    watt: Positive
    boundary: Literal["chip", "module", "plug", "unstated"]
    compared: Boundary
    measured: str
    calibrates: Literal["processor_w", "board_w"] | None = None
    why: str
    source: str

    @property
    def name(self) -> str:
        """Work and platform."""
        return f"{self.work}, {self.platform}"


class _Facts(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    designs: tuple[PublishedDesign, ...]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A published design and its model.

    Parameters
    ----------
    design
        What was published.
    power
        The model.
    """

    design: PublishedDesign
    power: Power

    @property
    def modelled(self) -> Range:
        """Modelled power within the boundary that is compared."""
        found = self.power.within(self.design.compared)
        assert found is not None, f"{self.design.board} has no plug in constraints/power-boards.yaml"
        return found

    @property
    def error(self) -> float:
        """Relative error of the model."""
        return self.modelled.nominal / self.design.watt - 1

    @property
    def within_range(self) -> bool:
        """Whether the published power lies between low and high."""
        return self.modelled.low <= self.design.watt <= self.modelled.high


@cache
def published_designs() -> tuple[PublishedDesign, ...]:
    """Return the published designs."""
    return parse(_Facts, FACTS.name, FACTS.read_text(encoding="utf-8")).designs


def compare(design: PublishedDesign) -> Comparison:
    """Model a published design.

    Its toggles are not published: it gets the mean rate of this project's units, while data moves.
    """
    changes = {"channels": design.channels} if design.channels > 1 else {}
    dram = named(design.memory, **changes)
    bytes_per_s = design.gigabytes_per_s * 1e9
    rate = default_rates().other
    power = estimate_power(
        PowerRequest(
            board=design.board,
            elements={UNIT: design.elements.model_dump()},
            elements_are="published elements",
            rates={UNIT: rate * design.utilisation},
            rates_are=f"taken to be {rate:.1%} while data moves, the mean of this project's units",
            clock_mhz=design.clock_mhz,
            traffic=Traffic(
                dram=dram,
                name=dram.name,
                commands=estimated_commands(dram, bytes_per_s, 0.0, 1.0),
                bytes_per_s=bytes_per_s,
                source="published",
            ),
            tokens_per_s=design.tokens_per_s,
            weight_bytes_per_s=None,
        )
    )
    return Comparison(design=design, power=power)


def published_table(found: Sequence[Comparison]) -> str:
    """Return published designs as a Markdown table."""
    head = ("design", "published W", "of", "modelled W", "chip", "module", "plug", "error", "why")
    rows = []
    for each in found:
        design = each.design
        boundaries = [each.power.within(boundary) for boundary in Boundary]
        rows.append(
            (
                f"{design.name} ({design.source})",
                f"{design.watt:g}",
                f"{design.boundary}: {design.measured}",
                f"{each.modelled.nominal:.1f} ({each.modelled.low:.1f} to {each.modelled.high:.1f})",
                *("" if one is None else f"{one.nominal:.1f}" for one in boundaries),
                f"{each.error:+.0%}",
                design.why,
            )
        )
    return table(head, rows)


def to_json(each: Comparison) -> dict[str, Any]:
    """Return a published design and its model as plain values."""
    return {
        "design": each.design.model_dump(mode="json"),
        "modelled": asdict(each.modelled),
        "error": each.error,
        "within_range": each.within_range,
        "power": each.power.to_json(),
    }
