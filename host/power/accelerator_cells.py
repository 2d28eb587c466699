"""Standard cells of an accelerator: an earlier synthesis, else the recorded one of a preset, as it is or scaled."""

from collections.abc import Mapping
from functools import cache

from rtlm.gen.area.estimate import UnitArea, estimate_area
from rtlm.gen.configuration.load import preset
from rtlm.gen.configuration.schema import Configuration, config_hash
from rtlm.gen.synthesis.cell_counts import UnitCells, kept_cells
from rtlm.gen.synthesis.targets import ASIC
from rtlm.host.power.cells import record
from rtlm.host.power.libraries import OSU018

DSP_LUTS = 300
"""Look-up tables that a multiplier of 27 x 18 bits counts as where cells are scaled: a guess."""


def accelerator_cells(config: Configuration, library: str = OSU018) -> tuple[Mapping[str, UnitCells], str]:
    """Return the cells of each unit and how they were found; none for technologies that have no cells.

    Parameters
    ----------
    config
        The accelerator.
    library
        One of `rtlm.host.power.libraries.LIBRARIES`; a synthesis is kept of the first alone.
    """
    if config.technology != ASIC:
        return {}, ""
    if library == OSU018 and (kept := kept_cells(config)):
        return kept, "synthesised cells"
    return recorded_cells(config, library)


def recorded_cells(config: Configuration, library: str = OSU018) -> tuple[Mapping[str, UnitCells], str]:
    """Return the cells of each unit by the recorded synthesis alone, and how they were found.

    Parameters
    ----------
    config
        An accelerator of standard cells.
    library
        One of `rtlm.host.power.libraries.LIBRARIES`.
    """
    recorded = record(library)["preset"]
    units = _recorded_units(library)
    if config_hash(config) == recorded["hash"]:
        return units, f"cells of the recorded synthesis of {recorded['name']}"
    now, then = estimate_area(config).units, _preset_area(recorded["name"])
    none = UnitArea()
    scaled = {
        unit: cells.scaled(
            _ratio(_logic(now.get(unit, none)), _logic(then.get(unit, none))),
            _ratio(now.get(unit, none).ffs, then.get(unit, none).ffs),
            _ratio(now.get(unit, none).brams, then.get(unit, none).brams),
        )
        for unit, cells in units.items()
    }
    return scaled, f"cells of {recorded['name']} scaled by the area model"


@cache
def _recorded_units(library: str) -> Mapping[str, UnitCells]:
    return {unit: UnitCells.from_json(values) for unit, values in record(library)["preset"]["units"].items()}


@cache
def _preset_area(name: str) -> Mapping[str, UnitArea]:
    return estimate_area(preset(name)).units


def _logic(area: UnitArea) -> float:
    return area.luts + DSP_LUTS * area.dsps


def _ratio(now: float, then: float) -> float:
    return now / then if then and now else 1.0
