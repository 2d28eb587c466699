"""One frozen, validated configuration from one YAML file; everything else is derived from it.

::

    config = load_config("kv260", ["matmul.lanes=256"])
    config.word_bytes        # 128
    config_hash(config)      # 16 hexadecimal digits: what determines the hardware
"""

import copy
from collections.abc import Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from rtlm.gen.common.errors import ConfigError
from rtlm.gen.configuration.defaults import DEFAULT_PRESET
from rtlm.gen.configuration.fields import closest, shown
from rtlm.gen.configuration.schema import Configuration, config_hash
from rtlm.gen.configuration.strict_yaml import parse_yaml, read_text, yaml_mapping
from rtlm.gen.configuration.validate import validate

__all__ = [
    "DEFAULT_PRESET",
    "Configuration",
    "config_hash",
    "load_config",
    "preset",
    "preset_names",
    "preset_text",
    "validate",
]


def preset_names() -> list[str]:
    """Return the names of the presets."""
    folder = resources.files("rtlm.gen.configuration") / "presets"
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def preset_text(name: str) -> str:
    """Return the text of a preset's file, comments included."""
    return (resources.files("rtlm.gen.configuration") / "presets" / f"{name}.yaml").read_text(encoding="utf-8")


def load_config(
    source: str | Path = DEFAULT_PRESET, overrides: Sequence[str] = (), *, unit_only: bool = False
) -> Configuration:
    """Load and validate a preset or a file.

    A file may start from a preset with ``extends: NAME`` and then holds only what differs.

    Parameters
    ----------
    source
        Name of a preset, or path of a YAML file.
    overrides
        Changes such as ``matmul.lanes=256``, applied in order.
    unit_only
        Whether one unit is built alone: its own operators then bound the clock, not those of the whole accelerator.

    Raises
    ------
    ConfigError
        With every error that was found.
    """
    values = _read(source)
    problems: list[str] = []
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not key.strip():
            problems.append(f"An override must be key=value, such as matmul.lanes=256, got {shown(override)}.")
            continue
        assign(values, key.strip(), parse_yaml(text, f"--set {override}"), problems)
    return validate(values, default_values(), str(source), problems, unit_only=unit_only)


def default_values() -> dict[str, Any]:
    """Return the values of the default preset: what stands in for bad ones, see `validate`."""
    return copy.deepcopy(_default_values())


@cache
def _default_values() -> dict[str, Any]:
    return yaml_mapping(preset_text(DEFAULT_PRESET), DEFAULT_PRESET)


def assign(values: dict[str, Any], key: str, value: Any, problems: list[str]) -> None:
    """Set one nested value.

    Parameters
    ----------
    values
        Nested mappings, as in a configuration file; changed.
    key
        Dotted name, such as ``matmul.lanes``.
    value
        What it becomes.
    problems
        Takes a sentence where the name leads through something that is no mapping.
    """
    *sections, last = key.split(".")
    target = values
    for depth, part in enumerate(sections):
        inner = target.setdefault(part, {})
        if not isinstance(inner, dict):
            if ".".join(sections[: depth + 1]) != "memory.dram":
                problems.append(
                    f"{key} cannot be set: {'.'.join(sections[: depth + 1])} is {shown(inner)}, not a mapping."
                )
                return
            # A named memory, some parameter of which is to change.
            inner = target[part] = {"base": inner}
        target = inner
    target[last] = value


@cache
def preset(name: str) -> Configuration:
    """Return a preset as it is, which a process reads once.

    Raises
    ------
    ConfigError
        If there is none of that name.
    """
    return load_config(name)


def _read(source: str | Path) -> dict[str, Any]:
    """Read a preset or a file, and what it extends."""
    name, path = str(source), Path(source)
    if name in preset_names():
        return yaml_mapping(preset_text(name), name)
    try:
        text = read_text(path, name)
    except FileNotFoundError:
        guess = closest(name, preset_names())
        hint = f"; did you mean {guess}?" if guess else "."
        raise ConfigError(
            name, [f"there is no such file, and no preset of that name ({', '.join(preset_names())}){hint}"]
        ) from None
    values = yaml_mapping(text, name)
    base = values.pop("extends", None)
    if base is None:
        return values
    if base not in preset_names():
        raise ConfigError(name, [f"extends = {shown(base)} is not a preset; there are {', '.join(preset_names())}."])
    return _merge(yaml_mapping(preset_text(base), base), values)


def _merge(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Lay nested mappings over others."""
    merged = dict(base)
    for key, value in changes.items():
        below = merged.get(key)
        merged[key] = _merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged
