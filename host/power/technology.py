"""Energies with their range and source, read from the files ``power-*.yaml`` in ``constraints``."""

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Self, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from rtlm.gen.boards.constraints import FOLDER
from rtlm.gen.common.errors import RtlmError
from rtlm.gen.configuration.defaults import DEFAULT_PRESET
from rtlm.host.power.result import Range

FPGA_TECHNOLOGIES = {"xilinx-us+": "xilinx-us+", "generic": "xilinx-us+"}
"""Name in ``power-NAME.yaml`` of the technologies of configurations that have energies."""

Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
T = TypeVar("T", bound=BaseModel)


class TechnologyError(RtlmError):
    """A file with energies cannot be used."""


class Entry(BaseModel):
    """What a file consists of: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Figure(Entry):
    """A figure with its range.

    Parameters
    ----------
    low, nominal, high
        The figure, and what it is at least and at most.
    source
        Where it is from.
    """

    low: Amount
    nominal: Amount
    high: Amount
    source: str = Field(min_length=1)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.low <= self.nominal <= self.high:
            raise ValueError(f"low, nominal and high must not fall, got {self.low}, {self.nominal}, {self.high}")
        return self

    @property
    def as_range(self) -> Range:
        """The figure without its source."""
        return Range(nominal=self.nominal, low=self.low, high=self.high)

    @property
    def all(self) -> tuple[float, float, float]:
        """Nominal, low, high."""
        return self.nominal, self.low, self.high


class Multiplier(Entry):
    """A multiplier.

    Parameters
    ----------
    bits
        Widths of the operands that `cycle_pj` is of.
    cycle_pj
        Energy of a product at `toggle_rate`.
    """

    bits: tuple[int, int]
    cycle_pj: Figure
    toggle_rate: Positive

    def scale(self, bits: tuple[int, int]) -> float:
        """Return by what the energy of a product of other widths is larger."""
        return bits[0] * bits[1] / (self.bits[0] * self.bits[1])


class Block(Entry):
    """A block memory.

    Parameters
    ----------
    bits
        That an access moves.
    access_pj
        Energy of an access at `toggle_rate`.
    """

    bits: int
    access_pj: Figure
    toggle_rate: Positive


class StaticPower(Entry):
    """Leakage of a device.

    Parameters
    ----------
    uw_per_lut
        In microwatt for each table that the device has.
    at_c, doubling_c
        Temperature of the junction that it is of, and over how many degrees it doubles.
    """

    uw_per_lut: Figure
    at_c: float
    doubling_c: Positive


class Technology(Entry):
    """An FPGA family.

    Parameters
    ----------
    name, node_nm, volt
        The family, its process, and the voltage that the energies are of.
    lut_toggle_pj, ff_toggle_pj
        Energy of a toggle, with its wires.
    clock_root_pj, clock_sink_pj
        Energy of a clock cycle at the root of the tree and at each sink.
    dsp, bram, uram, static
        Blocks, and leakage.
    """

    name: str
    node_nm: Positive
    volt: Positive
    lut_toggle_pj: Figure
    ff_toggle_pj: Figure
    clock_root_pj: Figure
    clock_sink_pj: Figure
    dsp: Multiplier
    bram: Block
    uram: Block
    static: StaticPower


class Rail(Entry):
    """What a DRAM device draws from one supply: currents in mA, by the names of JEDEC.

    Parameters
    ----------
    vdd
        The supply in V.
    idd0
        Activating and precharging one bank.
    idd2n, idd3n
        Standby with all banks closed and with open ones.
    idd4r, idd4w
        Reading and writing without pause.
    idd5b
        Refreshing without pause.
    """

    vdd: Positive
    idd0: Positive
    idd2n: Positive
    idd3n: Positive
    idd4r: Positive
    idd4w: Positive
    idd5b: Positive

    @model_validator(mode="after")
    def _above_standby(self) -> Self:
        for name in ("idd0", "idd4r", "idd4w", "idd5b"):
            if getattr(self, name) < self.idd3n:
                raise ValueError(f"{name} must be at least idd3n, {self.idd3n:g} mA, got {getattr(self, name):g}")
        return self


class Currents(Rail):
    """A DRAM device: data-sheet currents of its supplies.

    Parameters
    ----------
    vpp, ipp3n
        Supply of the pump, and its standby with open banks.
    vdd1
        The second supply of the core, which LPDDR4 and LPDDR5 have; `Rail.vdd` is then VDD2.
    mega_transfers
        Data rate that `idd4r` and `idd4w` are of; None for that of the simulated memory. A burst takes the same energy
        at other rates.
    source
        Where the figures are from.
    """

    vpp: Amount = 0.0
    ipp3n: Amount = 0.0
    vdd1: Rail | None = None
    mega_transfers: Positive | None = None
    source: str = Field(min_length=1)

    @property
    def rails(self) -> tuple[Rail, ...]:
        """The supplies of the core."""
        return (self, self.vdd1) if self.vdd1 else (self,)


class Devices(Entry):
    """What a channel of a memory consists of.

    Parameters
    ----------
    device
        A key of `DramTechnology.devices`.
    per_channel
        How many work together.
    """

    device: str
    per_channel: Positive


class DramTechnology(Entry):
    """DRAM.

    Parameters
    ----------
    range
        Factors on what data-sheet currents give.
    devices
        Currents by device.
    memories
        Devices of the simulated memories, by the beginning of their name.
    transfers_pj_per_bit, interface_pj_per_bit
        Published energy of a bit, and what of it the interface takes at both ends, by family.
    """

    range: Figure
    devices: Mapping[str, Currents]
    memories: Mapping[str, Devices]
    transfers_pj_per_bit: Mapping[str, Figure]
    interface_pj_per_bit: Mapping[str, Figure]

    @model_validator(mode="after")
    def _known(self) -> Self:
        for name, memory in self.memories.items():
            if memory.device not in self.devices:
                raise ValueError(f"the device of {name} must be one of {', '.join(self.devices)}, got {memory.device}")
        return self


class BoardPower(Entry):
    """What else takes power on a board.

    Parameters
    ----------
    volt
        Supply of the logic.
    junction_c
        Temperature of the chip.
    processor_w
        Processor and its controllers, on the chip; none on a card.
    board_w
        Everything behind the plug that is neither chip nor memory; None where it is not known.
    efficiency
        Of the converters between plug and module.
    luts
        Tables of the device, where `rtlm.gen.boards.devices.DEVICES` does not have it.
    """

    volt: Positive
    junction_c: Figure
    processor_w: Figure | None = None
    board_w: Figure | None = None
    efficiency: Figure | None = None
    luts: int | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.board_w is None) != (self.efficiency is None):
            raise ValueError("board_w and efficiency must be given together")
        if self.efficiency and not 0 < self.efficiency.low <= self.efficiency.high <= 1:
            raise ValueError(f"efficiency must be above 0 and at most 1, got {self.efficiency.low:g} at least")
        return self


class BoardsPower(Entry):
    """Boards, by their name in configurations."""

    boards: Mapping[str, BoardPower]


class ShippedRates(Entry):
    """Toggle rates that were counted before in a preset, for where none is: toggles for each net bit and cycle.

    Parameters
    ----------
    config, verilog
        Hash of the configuration, and the first digits of the SHA-256 of its Verilog.
    source
        What was run.
    busy
        Of units that toggle while they are busy, in those cycles.
    always
        Of other units, in all cycles of a step.
    other
        Of units that are not among them: the mean, weighted by energy.
    """

    config: str = Field(pattern="^[0-9a-f]{16}$")
    verilog: str = Field(pattern="^[0-9a-f]{16}$")
    source: str = Field(min_length=1)
    busy: Mapping[str, Positive]
    always: Mapping[str, Positive]
    other: Positive


class ShippedActivity(Entry):
    """Toggle rates of presets, by their names."""

    presets: Mapping[str, ShippedRates]

    @model_validator(mode="after")
    def _has_the_default(self) -> Self:
        if DEFAULT_PRESET not in self.presets:
            raise ValueError(f"presets must have {DEFAULT_PRESET}, got {', '.join(self.presets) or 'none'}")
        return self


@cache
def fpga_technology(technology: str) -> Technology | None:
    """Return the energies of a configuration's technology; None where there are none."""
    name = FPGA_TECHNOLOGIES.get(technology)
    return parse(Technology, f"power-{name}.yaml") if name else None


@cache
def dram_technology() -> DramTechnology:
    """Return the currents and energies of DRAM."""
    return parse(DramTechnology, "power-dram.yaml")


@cache
def board_power(board: str) -> BoardPower | None:
    """Return what else takes power on a board; None where nothing is known of it."""
    return parse(BoardsPower, "power-boards.yaml").boards.get(board)


@cache
def shipped_activity() -> ShippedActivity:
    """Return the toggle rates that come with the project."""
    return parse(ShippedActivity, "power-activity.yaml")


def parse(kind: type[T], name: str, text: str | None = None) -> T:
    """Read a file of ``constraints``.

    Parameters
    ----------
    kind
        What it describes.
    name, text
        Its name, and its text where that is at hand.

    Raises
    ------
    TechnologyError
        If it cannot be read, or says something that is not allowed.
    """
    try:
        values: Any = yaml.safe_load((FOLDER / name).read_text(encoding="utf-8") if text is None else text)
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise TechnologyError(f"constraints/{name}, {place}: {first['msg']}") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise TechnologyError(f"constraints/{name} cannot be read: {error}") from None
