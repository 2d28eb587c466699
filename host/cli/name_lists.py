"""What the source says of names on the command line, for the file that shells complete from."""

import inspect
import json
from collections.abc import Iterable
from dataclasses import fields
from typing import Any

from rtlm.gen.package.shell import SHELLS
from rtlm.gen.rtl.units import UNITS
from rtlm.gen.synthesis.place import PLACERS, ROUTERS
from rtlm.gen.synthesis.targets import TARGET_NAMES
from rtlm.gen.synthesis.timing.static import TIMED_TARGETS
from rtlm.host.cli.configuration import SECTIONS
from rtlm.host.models.paper import shipped_names
from rtlm.host.models.sources import NAMED
from rtlm.sim.proofs.properties import PROPERTIES
from rtlm.sim.unit_benches.catalog import NAMES, benches

LISTED = ("presets", "parameters", "units", "technologies")
"""What ``rtlm list`` describes, too."""


def name_lists() -> dict[str, dict[str, str]]:
    """Return each kind of name that `rtlm.host.cli.names.known` knows, with meanings."""
    lists = {kind: {entry["name"]: entry["meaning"] for entry in SECTIONS[kind]()} for kind in LISTED}
    lists |= {f"unit {name}": _parameters(unit.params) for name, unit in UNITS.items()}
    lists["models"] = _plain(shipped_names())
    lists["fetched"] = _plain(NAMED)
    lists["benches"] = _plain([*NAMES, *(bench.full_name for name in NAMES for bench in benches(name))])
    lists["properties"] = {each.name: each.claim for each in PROPERTIES}
    lists |= {"targets": _plain(TARGET_NAMES), "placed": _plain(PLACERS), "timed": _plain(TIMED_TARGETS)}
    lists |= {"routers": _plain(ROUTERS), "boards": {board: shell.preset for board, shell in SHELLS.items()}}
    lists["sdram boards"] = {board: shell.sdram_preset for board, shell in SHELLS.items()}
    return lists


def names_file() -> str:
    """Return the text of the file."""
    return json.dumps(name_lists(), indent=1, ensure_ascii=False) + "\n"


def _plain(names: Iterable[str]) -> dict[str, str]:
    """Return names that say enough."""
    return dict.fromkeys(names, "")


def _parameters(params: type[Any]) -> dict[str, str]:
    """Return the parameters of a unit, each with the first line of what its docstring says."""
    lines = (inspect.getdoc(params) or "").splitlines()
    said = {name: lines[n + 1].strip() for n, line in enumerate(lines[:-1]) for name in line.split(", ")}
    return {field.name: said.get(field.name, "") for field in fields(params)}
