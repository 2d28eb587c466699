"""Elements of synthesised accelerators by unit, for estimates of power, which must not wait for synthesis.

Those of an earlier synthesis lie in the cache; those of presets can come with the project, with the hash of what was
synthesised: ``python benchmarks/element_counts.py --record --config NAME`` adds one.
"""

import json
import math
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from rtlm.gen.configuration.schema import Configuration, config_hash
from rtlm.gen.synthesis.kept import keep, kept
from rtlm.gen.synthesis.synthesise import SynthResult

TARGET = "xilinx-us+"
"""Target whose elements are those that power is estimated of."""
RESOURCES = {"luts": "lut", "ffs": "ff", "dsps": "dsp", "brams": "bram", "urams": "uram"}
"""Names of elements, and of synthesis' resources."""
KIND = "elements"
"""Of what is kept."""
TOP = "top"
"""What elements of the accelerator itself are kept as."""
SHIPPED = Path(__file__).with_name("elements.json")
"""Elements of presets."""
RENEW = "python benchmarks/element_counts.py --record --config"
"""What synthesises the preset whose name follows."""


def unit_elements(result: SynthResult) -> dict[str, dict[str, float]]:
    """Return the elements of each unit of a whole accelerator, its units told apart."""
    return {
        module.path or TOP: {
            name: (module.total if module.path else module.own).get(resource, 0.0)
            for name, resource in RESOURCES.items()
        }
        for module in result.modules
        if "." not in module.path
    }


def keep_elements(config: Configuration, result: SynthResult) -> None:
    """Keep the elements of a whole accelerator; results of other targets are passed over.

    Parameters
    ----------
    config
        What was synthesised.
    result
        Of all of it, with its units told apart.

    Raises
    ------
    OSError
        If they cannot be written.
    """
    if result.target == TARGET:
        keep(KIND, config, unit_elements(result))


def synthesised_elements(config: Configuration) -> tuple[Mapping[str, Mapping[str, float]] | None, str]:
    """Return the elements of each unit as synthesis found them, and where they are from; None where it did not.

    Parameters
    ----------
    config
        The accelerator.
    """
    if (found := kept(KIND, config, _read)) is not None:
        return found, "synthesised elements"
    own = config_hash(config)
    for name, preset in shipped_elements().items():
        if preset["config"] == own:
            return preset["units"], f"synthesised elements of {name}, shipped"
    return None, ""


@cache
def shipped_elements() -> Mapping[str, Mapping[str, Any]]:
    """Return what comes with the project: for each preset ``config``, ``verilog``, ``tools`` and ``units``."""
    found: Mapping[str, Mapping[str, Any]] = json.loads(SHIPPED.read_text(encoding="utf-8"))
    return found


def _read(values: Mapping[str, Any]) -> Mapping[str, Mapping[str, float]]:
    """Read what `unit_elements` returned."""
    units = {str(unit): {name: float(counts[name]) for name in RESOURCES} for unit, counts in values.items()}
    if not all(math.isfinite(count) and count >= 0 for counts in units.values() for count in counts.values()):
        raise ValueError("counts must be numbers from 0")
    return units
