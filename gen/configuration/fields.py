"""Types of configuration values that say in a sentence what they allow and which valid value is nearest."""

import difflib
import math
import reprlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

REFUSED = "refused"
"""Error type of the fields here; its context holds ``allowed`` (text) and ``nearest`` (a valid value or None)."""


def refuse(allowed: str, nearest: Any) -> PydanticCustomError:
    """Make the error that a field raises."""
    return PydanticCustomError(REFUSED, "allowed is {allowed}", {"allowed": allowed, "nearest": nearest})


YAML_BOOLEANS = {"on": True, "yes": True, "true": True, "off": False, "no": False, "false": False}
"""Names that YAML 1.1 reads as booleans."""

MAX_SHOWN_BITS = 128
"""Integers beyond this are told by their size; Python refuses to write very large ones."""


class _Short(reprlib.Repr):
    """Shortens, and copes with integers of any size."""

    def repr_int(self, x: int, level: int) -> str:
        return repr(x) if x.bit_length() <= MAX_SHOWN_BITS else f"an integer of {x.bit_length()} bits"


def shown(value: Any) -> str:
    """Write a value that came from outside: printable, on one line and short."""
    if isinstance(value, str) and len(value) <= 40 and value.isprintable():
        return f"'{value}'"
    return _Short().repr(value)


def shown_key(path: Sequence[str]) -> str:
    """Write a dotted name whose parts came from outside."""
    return ".".join(part if len(part) <= 40 and part.isprintable() else shown(part) for part in path)


class _Field:
    """Hooks that make a subclass usable in ``Annotated``; it supplies `check` and `schema`."""

    def check(self, value: Any) -> Any:
        raise NotImplementedError

    def schema(self) -> dict[str, Any]:
        raise NotImplementedError

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.check)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return self.schema()


@dataclass(frozen=True, kw_only=True)
class Whole(_Field):
    """An integer in a range.

    Parameters
    ----------
    low, high
        Smallest and largest valid value.
    power_of_two
        Whether it has to be a power of two.
    multiple_of
        What it has to be a multiple of.
    why
        Reason, where the range alone does not tell.
    """

    low: int
    high: int
    power_of_two: bool = False
    multiple_of: int = 1
    why: str = ""

    @property
    def allowed(self) -> str:
        """What is valid, in words."""
        kind = "a power of two" if self.power_of_two else "an integer"
        if self.multiple_of > 1:
            kind = f"a multiple of {self.multiple_of}"
        return f"{kind} from {self.low} to {self.high}" + (f" ({self.why})" if self.why else "")

    def valid(self, value: int) -> bool:
        """Return whether an integer is valid."""
        fits = self.low <= value <= self.high and value % self.multiple_of == 0
        return fits and not (self.power_of_two and value & (value - 1))

    def nearest(self, value: float) -> int:
        """Return the valid value nearest to a number; the smaller one of two that are equally near."""
        value = min(max(value, self.low), self.high)
        if self.power_of_two:
            below = 1 << max(math.floor(math.log2(value)), 0) if value >= 1 else 1
            candidates = [below, 2 * below]
        else:
            below = math.floor(value / self.multiple_of) * self.multiple_of
            candidates = [below, below + self.multiple_of]
        return min((c for c in candidates if self.valid(c)), key=lambda c: (abs(c - value), c))

    def check(self, value: Any) -> int:
        """Return the value as an integer, or raise."""
        if isinstance(value, str | bool) or not isinstance(value, int | float) or value != value:
            raise refuse(self.allowed, None)
        if value != int(min(max(value, self.low), self.high)) or not self.valid(int(value)):
            raise refuse(self.allowed, self.nearest(value))
        return int(value)

    def schema(self) -> dict[str, Any]:
        """Describe the value in JSON Schema."""
        if self.power_of_two:
            powers = (1 << n for n in range(self.high.bit_length()))
            return {"type": "integer", "enum": [p for p in powers if self.valid(p)]}
        schema = {"type": "integer", "minimum": self.low, "maximum": self.high}
        return schema | ({"multipleOf": self.multiple_of} if self.multiple_of > 1 else {})


@dataclass(frozen=True, kw_only=True)
class Real(_Field):
    """A number in a range, with its unit.

    Parameters
    ----------
    low, high
        Smallest and largest valid value.
    unit
        Unit, for messages; empty where the number has none.
    """

    low: float
    high: float
    unit: str = ""

    @property
    def allowed(self) -> str:
        """What is valid, in words."""
        return f"a number from {self.low:g} to {self.high:g} {self.unit}".rstrip()

    def check(self, value: Any) -> float:
        """Return the value as a float, or raise."""
        if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
            raise refuse(self.allowed, None)
        if not self.low <= value <= self.high:
            raise refuse(self.allowed, min(max(value, self.low), self.high))
        return float(value)

    def schema(self) -> dict[str, Any]:
        """Describe the value in JSON Schema."""
        return {"type": "number", "minimum": self.low, "maximum": self.high}


@dataclass(frozen=True)
class Choice(_Field):
    """One of some names.

    Parameters
    ----------
    names
        The valid names.
    """

    names: tuple[str, ...]

    @property
    def allowed(self) -> str:
        """What is valid, in words."""
        return "one of " + ", ".join(self.names)

    def check(self, value: Any) -> str:
        """Return the name, or raise.

        YAML 1.1 reads on, off, yes and no as booleans: they stand for the one name that says the same.
        """
        same = [name for name in self.names if YAML_BOOLEANS.get(name) is value]
        if isinstance(value, bool) and len(same) == 1:
            return same[0]
        if value not in self.names:
            raise refuse(self.allowed, closest(value, self.names))
        return str(value)

    def schema(self) -> dict[str, Any]:
        """Describe the value in JSON Schema."""
        return {"type": "string", "enum": list(self.names)}


@dataclass(frozen=True)
class Choices(_Field):
    """Some of some names, each at most once; they come in the order of these.

    Parameters
    ----------
    names
        The valid names.
    """

    names: tuple[str, ...]

    @property
    def allowed(self) -> str:
        """What is valid, in words."""
        return f"a list of {', '.join(self.names)}, one or more, each at most once"

    def check(self, value: Any) -> tuple[str, ...]:
        """Return the names, or raise."""
        chosen = tuple(name for name in self.names if name in value) if isinstance(value, list | tuple) else ()
        if not chosen or len(chosen) < len(value):
            raise refuse(self.allowed, None)
        return chosen

    def schema(self) -> dict[str, Any]:
        """Describe the value in JSON Schema."""
        items = {"type": "string", "enum": list(self.names)}
        return {"type": "array", "items": items, "minItems": 1, "uniqueItems": True}


@dataclass(frozen=True)
class Flag(_Field):
    """Yes or no."""

    allowed = "true or false"

    def check(self, value: Any) -> bool:
        """Return the flag, or raise."""
        if not isinstance(value, bool):
            raise refuse(self.allowed, YAML_BOOLEANS.get(value.lower()) if isinstance(value, str) else None)
        return value

    def schema(self) -> dict[str, Any]:
        """Describe the value in JSON Schema."""
        return {"type": "boolean"}


@dataclass(frozen=True)
class DramValue(_Field):
    """A parameter of a memory: an integer, a text, or a delay as ``{clocks: N, ns: "X"}``."""

    allowed = "an integer, a text, or a delay such as {clocks: 4, ns: '7.5'}"

    def check(self, value: Any) -> int | str | dict[str, int | str]:
        """Return the value with a delay's nanoseconds as text, which stays exact, or raise."""
        if isinstance(value, int | str) and not isinstance(value, bool):
            return value
        if not isinstance(value, dict) or not value or not set(value) <= {"clocks", "ns"}:
            raise refuse(self.allowed, None)
        clocks, ns = value.get("clocks", 0), str(value.get("ns", "0"))
        if not isinstance(clocks, int) or clocks < 0 or not ns.replace(".", "", 1).isdigit():
            raise refuse(self.allowed, None)
        return {"clocks": clocks, "ns": ns}

    def schema(self) -> dict[str, Any]:
        """Describe the value in JSON Schema."""
        delay = {"clocks": {"type": "integer", "minimum": 0}, "ns": {"type": ["number", "string"]}}
        delay_schema = {"type": "object", "properties": delay, "additionalProperties": False}
        return {"anyOf": [{"type": "integer"}, {"type": "string"}, delay_schema]}


def closest(value: Any, names: tuple[str, ...] | list[str]) -> str | None:
    """Return the name that a misspelt one was probably meant to be."""
    if not isinstance(value, str | float) and (not isinstance(value, int) or value.bit_length() > MAX_SHOWN_BITS):
        return None
    found = difflib.get_close_matches(str(value).lower()[:100], names, n=1, cutoff=0.5)
    return found[0] if found else None
