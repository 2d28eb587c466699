"""An accelerator that holds a model: what has to be changed in a configuration, and nothing else."""

import json
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from rtlm.gen.common.errors import ConfigError
from rtlm.gen.configuration.load import default_values
from rtlm.gen.configuration.schema import Configuration
from rtlm.gen.configuration.validate import validate
from rtlm.host.compiler.plan import check_fit, check_formats, needed_formats, needed_switches
from rtlm.host.errors import ModelError
from rtlm.host.models.stored import ModelShape
from rtlm.hw.formats import BlockFormat

CONTEXT_STEP = 16
"""Contexts are a multiple of it (`AttentionConfig.context_limit`)."""

TWICE_INTERVAL = 2
"""Longest `vector.interval` where outputs are normalised: they pass the vector engine twice while the array waits."""


def needed_values(config: Configuration, shape: ModelShape, *, context: int) -> dict[str, Any]:
    """Return the values that have to change for a configuration to hold a model, by their keys.

    Limits only grow, and the formats and parts that the model needs are added. The head's width becomes the model's,
    the vector engine gets faster where outputs pass it twice, and everything else stays as it is.

    Parameters
    ----------
    config
        Where it begins.
    shape
        The model.
    context
        Positions that have to fit.
    """
    limits, attention = config.limits, config.attention
    positions = max(attention.context_limit, -(-context // CONTEXT_STEP) * CONTEXT_STEP)
    wanted = {
        "limits.dim": max(limits.dim, shape.dim),
        "limits.hidden_dim": max(limits.hidden_dim, shape.hidden_dim),
        "limits.heads": max(limits.heads, shape.heads),
        "limits.kv_heads": max(limits.kv_heads, shape.kv_heads),
        "limits.vocabulary": max(limits.vocabulary, shape.vocab),
        "attention.head_dim": shape.head_dim,
        "attention.group": max(attention.group, shape.heads // shape.kv_heads),
        "attention.context_limit": positions,
        **dict.fromkeys(needed_switches(shape, positions), True),
        "matmul.formats": _names(config, shape),
        "vector.interval": min(config.vector.interval, TWICE_INTERVAL) if shape.post_normed else config.vector.interval,
    }
    values = flat_values(config)
    return {key: value for key, value in wanted.items() if values.get(key) != value}


def flat_values(config: Configuration) -> dict[str, Any]:
    """Return a configuration's values by their dotted keys, those of sections only."""
    sections = {name: entry for name, entry in config.model_dump(mode="json").items() if isinstance(entry, dict)}
    return {f"{name}.{key}": value for name, entries in sections.items() for key, value in entries.items()}


def fit_config(config: Configuration, shape: ModelShape, *, context: int) -> tuple[Configuration, tuple[str, ...]]:
    """Return a configuration that holds a model, and what was changed, as ``KEY=VALUE``.

    Parameters
    ----------
    config, shape, context
        As in `needed_values`.

    Raises
    ------
    ConfigError
        If no configuration holds it; the sentences name the values.
    """
    needed = needed_values(config, shape, context=context)
    if not needed:
        return config, ()
    changes = as_overrides(needed)
    values: dict[str, Any] = config.model_dump(mode="json")
    for key, value in needed.items():
        section, _, name = key.partition(".")
        values[section][name] = value
    return validate(values, default_values(), f"{config.name} with {' '.join(changes)}"), changes


def check_config(config: Configuration, shape: ModelShape, *, context: int = 1) -> None:
    """Refuse a model that a configuration does not hold, with the changes that would make it hold it.

    Parameters
    ----------
    config, shape, context
        As in `needed_values`.

    Raises
    ------
    ModelError
        Naming the first thing that does not fit, and the changes.
    ConfigError
        If no changes would do; the sentences name the values.
    """
    params = config.to_params()
    try:
        check_fit(params, shape)
        check_formats(params, shape)
    except ModelError as error:
        try:
            _, changes = fit_config(config, shape, context=context)
        except ConfigError as impossible:
            raise ModelError(f"{error}; to change that is not enough: {' '.join(impossible.problems)}") from None
        raise ModelError(f"{error}; it holds the model with {as_options(changes)}") from None


def as_overrides(values: Mapping[str, Any]) -> tuple[str, ...]:
    """Return values by their keys as ``KEY=VALUE``."""
    return tuple(f"{key}={_written(value)}" for key, value in values.items())


def as_options(changes: Iterable[str]) -> str:
    """Return changes ``KEY=VALUE`` as options for a shell."""
    return " ".join(f"--set {shlex.quote(change)}" for change in changes)


def _names(config: Configuration, shape: ModelShape) -> list[str]:
    """Return the names of the formats of a configuration and a model."""
    has = {*config.formats, *needed_formats(shape)}
    return [each.name.lower() for each in BlockFormat if each in has]


def _written(value: Any) -> str:
    """Return a value as ``--set`` takes it."""
    return f"[{','.join(value)}]" if isinstance(value, list) else json.dumps(value)
