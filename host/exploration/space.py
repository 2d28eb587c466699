"""The file that describes a space of designs: what varies, what must hold, what is sought, and how to search.

The file is untrusted: its length, the number of its values and every number have bounds, and each error is a sentence.
"""

import math
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError, model_validator
from rtlm.gen.common.errors import ConfigError
from rtlm.gen.configuration.defaults import DEFAULT_PRESET
from rtlm.gen.configuration.fields import Choice, Real, Whole, shown, shown_key
from rtlm.gen.configuration.schema import Section
from rtlm.gen.configuration.strict_yaml import read_text, yaml_mapping
from rtlm.host.exploration.metrics import METRICS
from rtlm.host.exploration.sentences import refusal, sentence
from rtlm.hw.formats import BlockFormat

CONFIG, MODEL, WEIGHTS, CONTEXT, BATCH = AXES = ("config", "model", "weights", "context", "batch")
"""Axes that are no keys of the configuration."""
METHODS = ("grid", "random", "nsga2", "tpe")
MAX_VALUES = 1000
"""Values of one axis."""
MAX_POINTS = 10_000_000
MAX_OBJECTIVES = 4
MAX_CONTEXT = 1 << 20
MAX_BATCH = 8
LARGEST = 1e15
Text = Annotated[str, Field(min_length=1, max_length=4096)]
Amount = Annotated[float, Real(low=0, high=LARGEST, unit="in the metric's unit")]
Names = Annotated[list[Text], Field(min_length=1, max_length=MAX_VALUES)]
Format = Annotated[str, Choice(tuple(each.name.lower() for each in BlockFormat))]
Formats = Annotated[list[Format], Field(min_length=1, max_length=8)]
Axis = Any
"""A list of values, or a mapping that is a `Range`; `parse_space` writes it out."""


class Bounds(Section):
    """What a metric must be."""

    at_least: Amount | None = None
    """Smallest value."""
    at_most: Amount | None = None
    """Largest value."""

    @model_validator(mode="after")
    def _some(self) -> "Bounds":
        if self.at_least is None and self.at_most is None:
            raise refusal("a constraint must have at_least, at_most or both, got neither")
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise refusal(f"at_least must be at most at_most = {self.at_most:g}, got {self.at_least:g}")
        return self


class SpaceFile(Section):
    """What a file of a space holds."""

    configs: Names = Field(default=[DEFAULT_PRESET])
    """Presets or configuration files to start from."""
    models: Names
    """Names or files of models."""
    weights: Formats = Field(default=["q4_0"])
    """Block formats of the matrices; a GGUF file has its own."""
    output: Format | None = None
    """Block format of the output projection; without it, that of the other matrices."""
    contexts: Axis = Field(default=[512])
    """Positions in the KV cache when the token is decoded."""
    batches: Axis = Field(default=[1])
    """Sequences that decode together."""
    prompt: Annotated[int, Whole(low=1, high=MAX_CONTEXT)] = 128
    """Tokens of the prompt, for the time to the first token."""
    set: Annotated[dict[Text, Axis], Field(max_length=64)] = Field(default={})
    """Values of keys of the configuration."""
    fits: bool = True
    """Whether a design must fit the board's device, and the model its memory."""
    constraints: dict[Annotated[str, Choice(tuple(METRICS))], Bounds] = Field(default={})
    """What a metric must be."""
    objectives: Annotated[
        dict[Annotated[str, Choice(tuple(METRICS))], Annotated[str, Choice(("max", "min"))]],
        Field(min_length=1, max_length=MAX_OBJECTIVES),
    ]
    """What is sought; tables are ordered by the first."""
    per: Annotated[list[Annotated[str, Choice(AXES)]], Field(max_length=len(AXES))] = Field(default=[MODEL, CONTEXT])
    """Axes that are given, not sought: points compete with those that have the same values of them."""
    method: Annotated[str, Choice(METHODS)] = "grid"
    """All points, random ones, or those that NSGA-II or TPE proposes."""
    points: Annotated[int | None, Whole(low=1, high=MAX_POINTS)] = None
    """Points of every method but the grid."""
    seed: Annotated[int, Whole(low=0, high=(1 << 32) - 1)] = 1
    """Seed of every method but the grid."""

    @model_validator(mode="after")
    def _number(self) -> "SpaceFile":
        if self.method == "grid" and self.points is not None:
            raise refusal("points must be left out with method = grid, which takes all")
        if self.method != "grid" and self.points is None:
            raise refusal(f"points is missing: method = {self.method} has to know how many")
        return self


class Range(Section):
    """Numbers from one to another, by a step or by a factor."""

    low: Annotated[float, Real(low=0, high=LARGEST, unit="")] = Field(alias="from")
    """The first."""
    high: Annotated[float, Real(low=0, high=LARGEST, unit="")] = Field(alias="to")
    """The last is at most this."""
    step: Annotated[float | None, Real(low=1e-9, high=LARGEST, unit="")] = None
    """Difference of neighbours; 1 where there is no factor either."""
    times: Annotated[float | None, Real(low=1.001, high=LARGEST, unit="")] = None
    """Quotient of neighbours."""

    def values(self, key: str) -> list[float | int]:
        """Return the numbers; whole ones as integers.

        Raises
        ------
        ValueError
            If there are none or too many; the message is a sentence.
        """
        if self.step is not None and self.times is not None:
            raise ValueError(f"{key} must have step or times, got both.")
        if self.high < self.low:
            raise ValueError(f"{key} must be a range whose to is at least from = {self.low:g}, got {self.high:g}.")
        if self.times is None:
            step = self.step or 1.0
            count = math.floor((self.high - self.low) / step + 1e-9) + 1
        elif self.low > 0:
            count = math.floor(math.log(self.high / self.low) / math.log(self.times) + 1e-9) + 1
        else:
            raise ValueError(f"{key} must begin above 0 to be multiplied, got from = 0.")
        if count > MAX_VALUES:
            raise ValueError(f"{key} must have at most {MAX_VALUES} values, got {count}.")
        numbers = (self.low + n * step if self.times is None else self.low * self.times**n for n in range(count))
        return [int(number) if number == int(number) else number for number in numbers]


def read_space(path: Path) -> SpaceFile:
    """Read a file, with every range written out.

    Raises
    ------
    ConfigError
        With every error that was found.
    """
    source = str(path)
    try:
        values = yaml_mapping(read_text(path, source), source)
    except FileNotFoundError:
        raise ConfigError(source, ["there is no such file."]) from None
    return parse_space(values, source)


def parse_space(values: dict[str, Any], source: str) -> SpaceFile:
    """Return a space from plain values.

    Raises
    ------
    ConfigError
        With every error that was found.
    """
    try:
        space = SpaceFile.model_validate(values)
    except ValidationError as error:
        raise ConfigError(source, [sentence(entry, SpaceFile) for entry in error.errors()]) from None
    problems: list[str] = []
    changes = {
        "contexts": _listed("contexts", space.contexts, problems),
        "batches": _listed("batches", space.batches, problems),
        "set": {key: _listed(f"set.{shown_key([key])}", axis, problems) for key, axis in space.set.items()},
    }
    for name, most in (("contexts", MAX_CONTEXT), ("batches", MAX_BATCH)):
        problems += [
            f"{name} must be whole numbers from 1 to {most}, got {shown(value)}."
            for value in changes[name]
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most
        ]
    if problems:
        raise ConfigError(source, problems)
    return space.model_copy(update=changes)


def _listed(key: str, axis: Axis, problems: list[str]) -> list[Any]:
    """Return the values of an axis, each once, and note what is wrong with it."""
    if isinstance(axis, dict):
        try:
            axis = Range.model_validate(axis).values(key)
        except ValidationError as error:
            problems += [sentence(entry, Range, key) for entry in error.errors()]
            return []
        except ValueError as error:
            problems.append(str(error))
            return []
    if not isinstance(axis, list):
        problems.append(f"{key} must be a list, or a range such as {{from: 16, to: 64, times: 2}}, got {shown(axis)}.")
        return []
    if not 1 <= len(axis) <= MAX_VALUES:
        problems.append(f"{key} must have 1 to {MAX_VALUES} values, got {len(axis)}.")
        return []
    found: list[Any] = []
    for value in axis:
        if value not in found:
            found.append(value)
    return found
