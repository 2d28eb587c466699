"""Elements of synthesised accelerators by unit, kept for estimates of power, which must not wait for synthesis."""

import contextlib
import json
import math
from collections.abc import Mapping
from pathlib import Path

from rtlm.gen.common.cache import cache_folder, write_whole
from rtlm.gen.configuration.schema import Configuration
from rtlm.gen.rtl.verilog import rtl_key
from rtlm.gen.synthesis.synthesise import SynthResult

TARGET = "xilinx-us+"
"""Target whose elements are those that power is estimated of."""
RESOURCES = {"luts": "lut", "ffs": "ff", "dsps": "dsp", "brams": "bram", "urams": "uram"}
"""Names of elements, and of synthesis' resources."""
TOP = "top"
"""What elements of the accelerator itself are kept as."""


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
    if result.target != TARGET:
        return
    units = {
        module.path or TOP: {
            name: (module.total if module.path else module.own).get(resource, 0.0)
            for name, resource in RESOURCES.items()
        }
        for module in result.modules
        if "." not in module.path
    }
    path = _path(config)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(units))


def synthesised_elements(config: Configuration) -> Mapping[str, Mapping[str, float]] | None:
    """Return the elements of each unit as an earlier synthesis found them; None where there is none to be read."""
    if not cache_folder("elements").is_dir():
        return None
    with contextlib.suppress(OSError, ValueError, TypeError, AttributeError, LookupError):
        values = json.loads(_path(config).read_text(encoding="utf-8"))
        units = {str(unit): {name: float(counts[name]) for name in RESOURCES} for unit, counts in values.items()}
        if all(math.isfinite(count) and count >= 0 for counts in units.values() for count in counts.values()):
            return units
    return None


def _path(config: Configuration) -> Path:
    return cache_folder("elements") / f"{rtl_key(config)}.json"
