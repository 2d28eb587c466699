"""litedram's controller and our model on the same patterns, line by line."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from rtlm.sim.memory.dram import Dram, named

from .patterns import Pattern, patterns
from .run import channel_library, controller_library, run_channel, run_controller
from .settings import PHASES, Litedram, geometry, memory_struct, no_front_end

PORTS = 8
"""Native ports of litedram's controller in the comparison, one for each bank."""

ROWS = 2048
"""Rows of a bank in litedram's PHY model: random accesses hardly ever meet an open row, and memory stays small."""

MODULES = {"ddr3-800": ("MT41K256M16", "800"), "ddr4-2400": ("MT40A512M16", "2400")}
"""Our name of a memory, and litedram's module and speed grade with the same timings."""

LIMIT = 3.0
"""Percentage points that our model behind litedram's front end may differ from litedram."""

RECORDED = Path(__file__).parents[1] / "data" / "litedram.json"
"""Figures of litedram's controller that were measured before, for machines without litedram."""

PACKAGES = ("litedram", "litex", "migen")


class ControllerError(Exception):
    """litedram's figures cannot be had; the text is a sentence for the user."""


@dataclass(frozen=True)
class Measured:
    """litedram's side: its settings and, for each pattern and its ports, data beats over cycles.

    Attributes
    ----------
    memory : str
        A key of `MODULES`.
    litedram : Litedram
        Settings that litedram derived from its module.
    accesses, seed : int
        Length and random seed of the patterns.
    efficiency : dict
        By "pattern / ports".
    checked : int
        Reads whose data was compared with what was written before; all were right.
    """

    memory: str
    litedram: Litedram
    accesses: int
    seed: int
    efficiency: dict[str, float]
    checked: int

    def to_json(self) -> dict:
        """Return plain data for `from_json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict) -> Measured:
        """Return what `to_json` wrote.

        Parameters
        ----------
        data : dict
            From a JSON file.
        """
        return cls(**{**data, "litedram": Litedram(**data["litedram"])})


@dataclass(frozen=True)
class Row:
    """A line of the table: efficiencies as fractions of the data bus's peak.

    Attributes
    ----------
    pattern, ports : str
        As in `Pattern`.
    litedram : float
        The real controller.
    ours : float
        Our channel with litedram's timings behind litedram's front end.
    window : float
        Our channel and scheduler with litedram's timings.
    shipped : float
        Our channel and scheduler with the timings of the data sheet, as `rtlm.sim.memory.dram` has them.
    """

    pattern: str
    ports: str
    litedram: float
    ours: float
    window: float
    shipped: float

    @property
    def difference(self) -> float:
        """Ours minus litedram's, in percentage points."""
        return 100 * (self.ours - self.litedram)

    @property
    def good(self) -> bool:
        """Whether the difference is within the limit."""
        return abs(self.difference) <= LIMIT


def _key(pattern: Pattern) -> str:
    return f"{pattern.name} / {pattern.ports}"


def measure(
    name: str, *, accesses: int, seed: int, cache: Path | None = None, progress: Callable[[str], None]
) -> Measured:
    """Run all patterns on litedram's controller in Verilator.

    Parameters
    ----------
    name : str
        A key of `MODULES`.
    accesses, seed : int
        Length and random seed of the patterns.
    cache : Path, optional
        For builds, instead of the user's cache folder.
    progress : callable
        Called with short texts.

    Raises
    ------
    ControllerError
        When litedram is not installed, or its controller loses or corrupts data in the bench.
    """
    missing = [package for package in PACKAGES if importlib.util.find_spec(package) is None]
    if missing:
        raise ControllerError(
            f"{' and '.join(missing)} cannot be imported; install what the comparison needs with: "
            "pip install -e '.[dram-check]', or compare with recorded figures: --recorded."
        )
    from .rtl import controller

    memory = named(name)
    module, grade = MODULES[name]
    clock = float(memory.clock_mhz) / PHASES
    built = controller(
        module, rows=ROWS, ports=PORTS, data_bits=8 * memory.bus_bytes, clock_mhz=clock, speed_grade=grade
    )
    library = controller_library(built.verilog, ports=PORTS, data_bits=built.data_bits, cache=cache, progress=progress)
    efficiency, checked = {}, 0
    for pattern in patterns(geometry(memory, ROWS), accesses, seed):
        progress(f"{name}, litedram: {_key(pattern)}")
        result = run_controller(library, pattern)
        if result.errors:
            raise ControllerError(f"litedram returned {result.errors} wrong or missing words in {_key(pattern)!r}.")
        efficiency[_key(pattern)] = result.efficiency
        checked += result.checked
    settings = Litedram(timing=built.timing, phy=built.phy, settings=built.settings)
    return Measured(name, settings, accesses, seed, efficiency, checked)


def recorded(name: str) -> Measured:
    """Return litedram's figures as they were measured before.

    Parameters
    ----------
    name : str
        A key of `MODULES`.
    """
    data = json.loads(RECORDED.read_text())
    return Measured.from_json(data[name])


def compare(measured: Measured, *, cache: Path | None = None, memory: Dram | None = None) -> list[Row]:
    """Run the patterns of a measurement on our model.

    Parameters
    ----------
    measured : Measured
        litedram's side.
    cache : Path, optional
        For builds, instead of the user's cache folder.
    memory : Dram, optional
        Instead of the shipped one of that name.
    """
    memory = memory or named(measured.memory)
    library = channel_library(cache=cache)
    place = geometry(memory, ROWS)
    rounded = measured.litedram
    settings = {
        "ours": (rounded.slow(memory, queues=False), rounded.front_end(place.banks)),
        "window": (rounded.slow(memory, queues=True), no_front_end(place.banks)),
        "shipped": (memory_struct(memory), no_front_end(place.banks)),
    }
    rows = []
    for pattern in patterns(place, measured.accesses, measured.seed):
        found = {
            name: run_channel(library, pattern, struct, front, PORTS).efficiency
            for name, (struct, front) in settings.items()
        }
        rows.append(Row(pattern.name, pattern.ports, measured.efficiency[_key(pattern)], **found))
    return rows
