"""Reads liberty files: the groups and attributes that area, leakage, energy and slew of cells need."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from rtlm.gen.common.errors import ToolError

_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}();:,]|[^\s{}();:,"]+', re.DOTALL)


@dataclass
class Group:
    """A group ``kind (name) { ... }``.

    Parameters
    ----------
    kind, name
        What it is, and its first argument; empty where it has none.
    attributes
        Simple attributes, and complex ones with their arguments joined by commas, without quotation marks.
    groups
        Groups inside it.
    """

    kind: str
    name: str
    attributes: dict[str, str] = field(default_factory=dict)
    groups: list["Group"] = field(default_factory=list)

    def all(self, kind: str) -> Iterator["Group"]:
        """Return the groups of one kind directly inside it."""
        return (group for group in self.groups if group.kind == kind)

    def number(self, attribute: str) -> float:
        """Return an attribute as a number, 0 where it is missing.

        Raises
        ------
        ToolError
            If it is none.
        """
        text = self.attributes.get(attribute, "0")
        try:
            return float(text)
        except ValueError:
            raise ToolError(f"{attribute} of {self.kind} {self.name} must be a number, got {text!r}.") from None


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table over two variables, one or none.

    Parameters
    ----------
    axes
        Values of each variable, rising.
    values
        The rows joined, the last variable the fastest.
    """

    axes: tuple[tuple[float, ...], ...]
    values: tuple[float, ...]

    def at(self, *where: float) -> float:
        """Interpolate linearly between the nearest entries, and beyond the outermost two.

        Parameters
        ----------
        where
            A value for each variable.
        """
        if len(where) != len(self.axes):
            raise ToolError(f"a table of {len(self.axes)} variables must be read at as many values, got {len(where)}.")
        return _interpolate(self.axes, self.values, where)


def parse_liberty(text: str) -> Group:
    """Read a library.

    Raises
    ------
    ToolError
        If it is no liberty file, or ends too early.
    """
    tokens = _TOKEN.findall(_COMMENT.sub(" ", text).replace("\\\n", " "))
    root = Group(kind="file", name="")
    stack = [root]
    position = 0
    while position < len(tokens):
        token = tokens[position]
        following = tokens[position + 1] if position + 1 < len(tokens) else ""
        if token == "}":
            if len(stack) == 1:
                raise ToolError("The liberty file closes a group that was never opened.")
            stack.pop()
            position += 1
        elif token == ";":
            position += 1
        elif following == ":":
            end = _next(tokens, position, (";", "}"))
            stack[-1].attributes[token] = " ".join(each.strip('"') for each in tokens[position + 2 : end])
            position = end
        elif following == "(":
            end = _next(tokens, position, (")",))
            arguments = [each.strip('"') for each in tokens[position + 2 : end] if each != ","]
            if tokens[end + 1 : end + 2] == ["{"]:
                group = Group(kind=token, name=arguments[0] if arguments else "")
                stack[-1].groups.append(group)
                stack.append(group)
                end += 1
            else:
                stack[-1].attributes[token] = ", ".join(arguments)
            position = end + 1
        else:
            raise ToolError(f"A liberty file must have attributes and groups, got {token!r}.")
    libraries = list(root.all("library"))
    if len(stack) != 1 or len(libraries) != 1:
        raise ToolError("The liberty file ends too early." if len(stack) > 1 else "The file must have one library.")
    return libraries[0]


def read_table(group: Group, template: Group | None = None) -> Table:
    """Read the table of a group such as ``rise_power``, with its own axes, else those of its template.

    Raises
    ------
    ToolError
        If axes and values do not fit.
    """
    attributes = (template.attributes if template else {}) | group.attributes
    axes = tuple(_numbers(attributes[name]) for name in ("index_1", "index_2") if name in attributes)
    values = _numbers(group.attributes.get("values", ""))
    count = 1
    for axis in axes:
        count *= len(axis)
        if any(low >= high for low, high in pairwise(axis)):
            raise ToolError(f"the axes of {group.kind} must rise, got {', '.join(map(str, axis))}.")
    if len(values) != count:
        raise ToolError(f"{group.kind} must have {count} values on its axes, got {len(values)}.")
    return Table(axes=axes, values=values)


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(each) for each in text.replace(",", " ").split())
    except ValueError:
        raise ToolError(f"a table must have numbers, got {text[:40]!r}.") from None


def _next(tokens: Sequence[str], position: int, ends: Sequence[str]) -> int:
    while position < len(tokens) and tokens[position] not in ends:
        position += 1
    if position == len(tokens):
        raise ToolError("The liberty file ends too early.")
    return position


def _interpolate(axes: Sequence[Sequence[float]], values: Sequence[float], where: Sequence[float]) -> float:
    if not axes:
        return values[0]
    axis, rest = axes[0], len(values) // len(axes[0])
    rows = [_interpolate(axes[1:], values[i * rest : (i + 1) * rest], where[1:]) for i in _nearest(axis, where[0])]
    if len(rows) == 1:
        return rows[0]
    low, high = (axis[i] for i in _nearest(axis, where[0]))
    return rows[0] + (rows[1] - rows[0]) * (where[0] - low) / (high - low)


def _nearest(axis: Sequence[float], value: float) -> tuple[int, ...]:
    """Return the places of the two entries between which a value lies, or which it lies beyond."""
    if len(axis) == 1:
        return (0,)
    high = next((i for i in range(1, len(axis) - 1) if axis[i] >= value), len(axis) - 1)
    return high - 1, high
