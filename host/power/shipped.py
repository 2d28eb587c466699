"""Toggle rates that come with the project: those of the configuration if it is a preset, else of the nearest preset."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import yaml
from rtlm.gen.boards.constraints import FOLDER
from rtlm.gen.configuration.defaults import DEFAULT_PRESET
from rtlm.gen.configuration.load import preset
from rtlm.gen.configuration.schema import Configuration, config_hash
from rtlm.host.power.technology import ShippedRates, shipped_activity

ACTIVITY = FOLDER / "power-activity.yaml"
RENEW = "python benchmarks/activity_rates.py --record --config"
"""What counts the rates of the preset whose name follows."""
BUSY_UNITS = ("matmul", "attention")
"""Units whose rates are of the cycles in which they are busy, which estimates know."""

HEAD = f"""\
# Toggles for each net bit and cycle, for estimates of what was not simulated with counting: those of the preset with
# the same hash, else of the nearest one (host/power/shipped.py). Written by
#   {RENEW} PRESET
#
# busy: while the unit is busy, by its counter. always: in all cycles of the step. other: the mean of all units,
# weighted by the energy of their tables and flip-flops; that of {DEFAULT_PRESET} stands for designs which are unknown.
"""


@dataclass(frozen=True, kw_only=True)
class Shipped:
    """Rates for a configuration.

    Parameters
    ----------
    preset
        Whose they are.
    own
        Whether the configuration is that preset's.
    rates
        They.
    """

    preset: str
    own: bool
    rates: ShippedRates

    @property
    def note(self) -> str:
        """Say which they are, as the subject of a sentence."""
        return f"the shipped rates of {self.preset}" + ("" if self.own else ", the nearest preset that was counted,")

    @property
    def source(self) -> str:
        """Say where they are from."""
        return f"counted in {self.preset} ({self.rates.config}) with {self.rates.source}"


def default_rates() -> ShippedRates:
    """Return the rates of the default preset: for designs of which nothing is known."""
    return shipped_activity().presets[DEFAULT_PRESET]


def shipped_for(config: Configuration) -> Shipped:
    """Return the rates for a configuration.

    Nearest is the preset of the same technology, then that whose lanes differ by the smallest factor, then that with
    the fewest columns: one sequence was counted, which leaves all columns but one idle.
    """
    presets = shipped_activity().presets
    own = config_hash(config)
    for name, rates in presets.items():
        if rates.config == own:
            return Shipped(preset=name, own=True, rates=rates)
    name = min(presets, key=lambda each: (*_distance(config, preset(each)), each))
    return Shipped(preset=name, own=False, rates=presets[name])


def _distance(one: Configuration, other: Configuration) -> tuple[bool, float, int]:
    lanes = abs(math.log2(one.matmul.lanes / other.matmul.lanes))
    return one.technology != other.technology, lanes, other.matmul.columns


def default_shipped() -> Shipped:
    """Return the rates of the default preset, for what is no configuration."""
    return Shipped(preset=DEFAULT_PRESET, own=False, rates=default_rates())


def write_activity(presets: Mapping[str, ShippedRates]) -> None:
    """Write the rates of all presets.

    Raises
    ------
    OSError
        If they cannot be written.
    """
    values = {"presets": {name: presets[name].model_dump() for name in sorted(presets)}}
    text = yaml.safe_dump(values, sort_keys=False, width=130, default_flow_style=None, allow_unicode=True)
    ACTIVITY.write_text(HEAD + text, encoding="utf-8")
