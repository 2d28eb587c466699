"""The points of a space: every combination of the values of its axes, by number."""

import copy
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from rtlm.gen.common.cache import digest
from rtlm.gen.common.errors import ConfigError
from rtlm.gen.configuration.load import assign, load_config
from rtlm.gen.configuration.schema import Configuration
from rtlm.gen.configuration.validate import validate
from rtlm.host.exploration.space import AXES, BATCH, CONFIG, CONTEXT, MODEL, WEIGHTS, SpaceFile
from rtlm.host.models.paper import open_model


@dataclass(frozen=True, kw_only=True)
class Point:
    """One design with its work.

    Parameters
    ----------
    config
        Preset or file that it starts from.
    changes
        Keys of the configuration and their values, in the order of the space.
    model, weights
        Model, and the block format of its matrices.
    output
        Block format of its output projection, None for that of the others.
    context, batch, prompt
        Positions in the KV cache, sequences that decode together, tokens of the prompt.
    """

    config: str
    changes: tuple[tuple[str, Any], ...]
    model: str
    weights: str
    output: str | None
    context: int
    batch: int
    prompt: int

    def work(self, names: Sequence[str]) -> tuple[Any, ...]:
        """Return the values of axes that are given and not sought."""
        return tuple(getattr(self, name) for name in names)

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {**vars(self), "changes": dict(self.changes)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Point":
        """Return the point that `to_json` wrote."""
        return cls(**{**values, "changes": tuple(values["changes"].items())})

    def __str__(self) -> str:
        changes = " ".join(f"{key}={shown_value(value)}" for key, value in self.changes)
        return f"{self.model} {self.weights} on {self.config} {changes}".strip() + f", {self.batch} x {self.context}"


def shown_value(value: Any) -> str:
    """Write a value as a configuration file has it, whole numbers without a point."""
    return f"{value:g}" if isinstance(value, float) else str(value)


@dataclass(frozen=True, kw_only=True)
class Grid:
    """All points of a space.

    Parameters
    ----------
    axes
        Values by the name of an axis: one of `AXES`, or a key of the configuration; the last varies fastest.
    bases
        For each value of the axis ``config`` its values as nested mappings.
    models
        For each pair of model and weights what identifies its sizes.
    output, prompt
        What all points have in common, as in `Point`.
    """

    axes: Mapping[str, Sequence[Any]]
    bases: Mapping[str, dict[str, Any]]
    models: Mapping[tuple[str, str], str]
    output: str | None
    prompt: int

    @classmethod
    def of(cls, space: SpaceFile, source: str) -> "Grid":
        """Return the grid of a space, all of whose names have been looked up and all of whose values are valid.

        Parameters
        ----------
        space
            What the file says.
        source
            Its name, for messages.

        Raises
        ------
        RtlmError
            If there is no such preset, file, model, key, or a value is not allowed.
        """
        bases = {config: load_config(config).model_dump(mode="json") for config in space.configs}
        models = {
            (model, weights): digest(open_model(model, weights=weights, output=space.output))
            for model in space.models
            for weights in space.weights
        }
        axes: dict[str, Sequence[Any]] = {
            MODEL: space.models,
            WEIGHTS: space.weights,
            CONFIG: space.configs,
            CONTEXT: space.contexts,
            BATCH: space.batches,
            **{key: _checked(key, values, bases, source) for key, values in space.set.items()},
        }
        return cls(
            axes={name: tuple(dict.fromkeys(v)) if name in AXES else v for name, v in axes.items()},
            bases=bases,
            models=models,
            output=space.output,
            prompt=space.prompt,
        )

    @property
    def size(self) -> int:
        """Number of points."""
        return math.prod(len(values) for values in self.axes.values())

    def indices(self, number: int) -> list[int]:
        """Return the position on each axis of a point's number."""
        found = []
        for values in reversed(list(self.axes.values())):
            number, index = divmod(number, len(values))
            found.append(index)
        return found[::-1]

    def point(self, indices: Sequence[int]) -> Point:
        """Return the point at a position on each axis."""
        chosen = {name: values[index] for (name, values), index in zip(self.axes.items(), indices, strict=True)}
        own = {name: chosen.pop(name) for name in AXES}
        return Point(**own, changes=tuple(chosen.items()), output=self.output, prompt=self.prompt)

    def values(self, point: Point) -> dict[str, Any]:
        """Return the configuration of a point as nested mappings, valid each for itself."""
        return changed(self.bases[point.config], point.changes)

    def key(self, point: Point, version: str) -> str:
        """Return what a point's result is kept under: a hash of everything that it depends on.

        Two points with the same configuration have the same key, however they are spelt.

        Parameters
        ----------
        point
            The point.
        version
            What evaluates it.
        """
        model = self.models[point.model, point.weights]
        parts = [version, self.values(point), model, point.context, point.batch, point.prompt]
        return hashlib.sha256(json.dumps(parts, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:32]


def changed(base: Mapping[str, Any], changes: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Return a configuration's nested values with some of them changed, of which `_checked` has seen each."""
    values = copy.deepcopy(dict(base))
    for key, value in changes:
        assign(values, key, value, [])
    return values


def _checked(key: str, values: Sequence[Any], bases: Mapping[str, dict[str, Any]], source: str) -> tuple[Any, ...]:
    """Return values as the configuration spells them, each once.

    They are valid each for itself; whether they go together is found out when a point is evaluated.
    """
    found: list[Any] = []
    problems: list[str] = []
    for value in values:
        for base in bases.values():
            trial = copy.deepcopy(base)
            assign(trial, key, value, problems)
            if problems:
                break
            try:
                checked = Configuration.model_validate(trial)
            except ValidationError:
                try:
                    validate(trial, base, source)
                except ConfigError as error:
                    problems += error.problems
                break
            spelt: Any = checked.model_dump(mode="json")
            for part in key.split("."):
                spelt = spelt[part]
            if spelt not in found:
                found.append(spelt)
    if problems:
        raise ConfigError(source, [f"set: {problem}" for problem in dict.fromkeys(problems)])
    return tuple(found)
