"""One frozen, validated configuration from one YAML file; everything else is derived from it.

::

    config = load_config("kv260", ["matmul.lanes=256"])
    config.word_bytes        # 128
    config_hash(config)      # 16 hexadecimal digits: what determines the hardware
"""

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from rtlm.gen.common.errors import ConfigError
from rtlm.gen.configuration.defaults import DEFAULT_PRESET
from rtlm.gen.configuration.fields import closest, shown
from rtlm.gen.configuration.schema import Configuration, config_hash
from rtlm.gen.configuration.validate import validate

__all__ = ["DEFAULT_PRESET", "Configuration", "config_hash", "load_config", "preset_names", "preset_text", "validate"]

MAX_FILE_BYTES = 1 << 16
MAX_NESTING = 16
"""Levels of YAML; a configuration has four."""


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
        _assign(values, key.strip(), _parse(text, f"--set {override}"), problems)
    defaults = _load_yaml(preset_text(DEFAULT_PRESET), DEFAULT_PRESET)
    return validate(values, defaults, str(source), problems, unit_only=unit_only)


def _assign(values: dict[str, Any], key: str, value: Any, problems: list[str]) -> None:
    """Set one nested value."""
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


def _read(source: str | Path) -> dict[str, Any]:
    """Read a preset or a file, and what it extends."""
    name, path = str(source), Path(source)
    if name in preset_names():
        return _load_yaml(preset_text(name), name)
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ConfigError(name, [f"the file has {path.stat().st_size} bytes; at most {MAX_FILE_BYTES} are read."])
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        guess = closest(name, preset_names())
        hint = f"; did you mean {guess}?" if guess else "."
        raise ConfigError(
            name, [f"there is no such file, and no preset of that name ({', '.join(preset_names())}){hint}"]
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(name, [f"the file cannot be read: {reason}."]) from None
    values = _load_yaml(text, name)
    base = values.pop("extends", None)
    if base is None:
        return values
    if base not in preset_names():
        raise ConfigError(name, [f"extends = {shown(base)} is not a preset; there are {', '.join(preset_names())}."])
    return _merge(_load_yaml(preset_text(base), base), values)


def _merge(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Lay nested mappings over others."""
    merged = dict(base)
    for key, value in changes.items():
        below = merged.get(key)
        merged[key] = _merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


class _StrictLoader(yaml.SafeLoader):
    """YAML in which a key that occurs twice is an error.

    Aliases, with which a small file can stand for a huge value, tags, and deep nesting are errors too.
    """

    def __init__(self, stream: str):
        super().__init__(stream)
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()
        problem = None
        if isinstance(event, yaml.AliasEvent):
            problem = "aliases (*name) are not supported"
        elif event.tag is not None:
            problem = f"tags such as {shown(event.tag)} are not supported"
        elif isinstance(event, yaml.ScalarEvent) and any("\ud800" <= c <= "\udfff" for c in event.value):
            problem = f"{shown(event.value)} holds half a character"
        elif self._depth == MAX_NESTING:
            problem = f"it is nested too deeply, more than {MAX_NESTING} levels"
        if problem:
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            if key in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"the key {shown(key)} occurs twice", problem_mark=key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


def _parse(text: str, source: str) -> Any:
    """Read YAML."""
    try:
        return yaml.load(text, Loader=_StrictLoader)
    except yaml.MarkedYAMLError as error:
        where = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigError(source, [f"the YAML is not valid{where}: {error.problem}."]) from None
    except (yaml.YAMLError, ValueError):
        raise ConfigError(
            source, ["the YAML is not valid: it holds characters or values that YAML does not allow."]
        ) from None


def _load_yaml(text: str, source: str) -> dict[str, Any]:
    """Read YAML whose outermost level is a mapping."""
    values = _parse(text, source)
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise ConfigError(source, [f"the file is {shown(values)}, not a mapping of names such as clock_mhz: 300."])
    return values
