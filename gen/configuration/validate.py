"""Validation of plain values as a whole: every error at once, each a sentence."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError
from rtlm.gen.common.errors import ConfigError
from rtlm.gen.configuration.fields import REFUSED, closest, shown, shown_key
from rtlm.gen.configuration.rules import violations
from rtlm.gen.configuration.schema import Configuration, Section

KEY = "[key]"
"""How pydantic ends the path of an error in the name of a mapping's entry."""


def validate(
    values: Mapping[str, Any],
    defaults: Mapping[str, Any],
    source: str = "configuration",
    problems: Sequence[str] = (),
    *,
    unit_only: bool = False,
) -> Configuration:
    """Make a configuration from plain values, or raise a `ConfigError` with every error.

    Parameters
    ----------
    values
        Nested mappings as in the file.
    defaults
        Valid values that stand in for bad ones while the rules between the others are checked.
    source
        Where they came from, for the message.
    problems
        Errors that were found before.
    unit_only
        Whether the clock is not checked against the operators of the whole accelerator.
    """
    found = list(problems)
    repaired: Any = copy.deepcopy(values)
    suspect: set[str] = set()
    try:
        config = Configuration.model_validate(values)
    except ValidationError as error:
        for entry in error.errors():
            path = [str(part) for part in entry["loc"]]
            if ".".join(path) in suspect:
                continue
            suspect.add(".".join(path))
            found.append(_sentence(path, entry))
            _repair(repaired, path, entry, defaults)
        # With the bad values replaced, the rules between the good ones can still be checked.
        try:
            config = Configuration.model_validate(repaired)
        except ValidationError:
            raise ConfigError(source, found) from None
    found += [rule.sentence for rule in violations(config, unit_only=unit_only) if not suspect.intersection(rule.keys)]
    if found:
        raise ConfigError(source, found) from None
    return config


def _sentence(path: list[str], entry: Any) -> str:
    """Say what is wrong with one value."""
    if path[-1] == KEY:
        # The name of a mapping's entry; the path holds it once more.
        allowed = f"{shown_key(path[:-2])} has {entry['ctx']['allowed'].removeprefix('one of ')}"
        return f"{shown_key(path[:-1])} is not a key: {allowed}" + _guess(entry["ctx"]["nearest"])
    key, kind, value = shown_key(path), entry["type"], entry["input"]
    known = _section(path[:-1])
    names = list(known.model_fields) if known else []
    if kind == "missing":
        description = known.model_fields[path[-1]].description if known else None
        return f"{key} is missing" + (f" ({description.rstrip('.').replace(';', ',')})." if description else ".")
    if kind == "extra_forbidden":
        where = f"{'.'.join(path[:-1])} has" if path[:-1] else "a configuration has"
        return f"{key} is not a key: {where} {', '.join(names)}" + _guess(closest(path[-1], names))
    if kind == REFUSED:
        allowed, nearest = entry["ctx"]["allowed"], entry["ctx"]["nearest"]
        number = f"{nearest:g}" if isinstance(nearest, float) else nearest
        advice = "" if nearest is None else f"; the nearest valid value is {number}"
        return f"{key} must be {allowed}, got {shown(value)}{advice}."
    if kind == "string_pattern_mismatch":
        return f"{key} must be lower-case letters, digits, - and _, a letter first, got {shown(value)}."
    section = _section(path)
    if section is not None:
        return f"{key} must be a mapping of {', '.join(section.model_fields)}, got {shown(value)}."
    return f"{key} = {shown(value)} is not valid: {entry['msg'][0].lower()}{entry['msg'][1:]}."


def _guess(name: str | None) -> str:
    """End a sentence with the name that was probably meant."""
    return f"; did you mean {name}?" if name else "."


def _section(path: Sequence[str]) -> type[Section] | None:
    """Find the section that a path names."""
    section: Any = Configuration
    for part in path:
        field = section.model_fields.get(part) if isinstance(section, type) and issubclass(section, Section) else None
        section = field.annotation if field else None
    return section if isinstance(section, type) and issubclass(section, Section) else None


def _repair(values: Any, path: list[str], entry: Any, defaults: Any) -> None:
    """Replace an invalid value by a valid one."""
    *sections, last = path[:-1] if path[-1] == KEY else path
    for part in sections:
        if not isinstance(values.get(part), dict) or not isinstance(defaults.get(part), dict):
            values[part] = copy.deepcopy(defaults.get(part))
            return
        values, defaults = values[part], defaults[part]
    nearest = entry.get("ctx", {}).get("nearest")
    if entry["type"] == "extra_forbidden" or path[-1] == KEY:
        values.pop(last, None)
    else:
        values[last] = defaults.get(last) if nearest is None else nearest
