"""YAML from outside: a bounded file, and a reader that refuses what a small file can hide something large or odd in."""

from pathlib import Path
from typing import Any

import yaml
from rtlm.gen.common.errors import ConfigError
from rtlm.gen.configuration.fields import shown

MAX_FILE_BYTES = 1 << 16
MAX_NESTING = 16
"""Levels of YAML; a configuration has four."""


def read_text(path: Path, source: str) -> str:
    """Return the text of a file of at most `MAX_FILE_BYTES`.

    Raises
    ------
    FileNotFoundError
        If there is none.
    ConfigError
        If it cannot be read.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
        if len(raw) > MAX_FILE_BYTES:
            raise ConfigError(source, [f"the file has more than {MAX_FILE_BYTES} bytes, the most that is read."])
        return raw.decode("utf-8")
    except FileNotFoundError:
        raise
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(source, [f"the file cannot be read: {reason}."]) from None


def parse_yaml(text: str, source: str) -> Any:
    """Read YAML.

    Raises
    ------
    ConfigError
        If it is not valid, or holds what configurations do not need: aliases, tags, a key twice.
    """
    try:
        return yaml.load(text, Loader=_StrictLoader)
    except yaml.MarkedYAMLError as error:
        where = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigError(source, [f"the YAML is not valid{where}: {error.problem}."]) from None
    except (yaml.YAMLError, ValueError):
        raise ConfigError(
            source, ["the YAML is not valid: it holds characters or values that YAML does not allow."]
        ) from None


def yaml_mapping(text: str, source: str) -> dict[str, Any]:
    """Read YAML whose outermost level is a mapping of names.

    Raises
    ------
    ConfigError
        If it is not.
    """
    values = parse_yaml(text, source)
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise ConfigError(source, [f"the file is {shown(values)}, not a mapping of names such as clock_mhz: 300."])
    return values


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
