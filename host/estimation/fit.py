"""An accelerator that holds a model: what has to be changed in a configuration, and nothing else."""

import json
from typing import Any

from rtlm.gen.configuration.load import default_values
from rtlm.gen.configuration.schema import Configuration
from rtlm.gen.configuration.validate import validate
from rtlm.host.compiler.plan import needs_windows
from rtlm.host.models.stored import ModelShape

CONTEXT_STEP = 16
"""Contexts are a multiple of it (`AttentionConfig.context_limit`)."""


def fit_config(config: Configuration, shape: ModelShape, *, context: int) -> tuple[Configuration, tuple[str, ...]]:
    """Return a configuration that holds a model, and what was changed, as ``KEY=VALUE``.

    Limits only grow, and what the model needs of attention and vector engine is added. The head's width becomes the
    model's, and everything else stays as it is.

    Parameters
    ----------
    config
        Where it begins.
    shape
        The model.
    context
        Positions that have to fit.

    Raises
    ------
    ConfigError
        If no configuration holds it; the sentences name the values.
    """
    limits, attention, vector = config.limits, config.attention, config.vector
    limit = max(attention.context_limit, -(-context // CONTEXT_STEP) * CONTEXT_STEP)
    wanted: dict[str, dict[str, int]] = {
        "limits": {
            "dim": max(limits.dim, shape.dim),
            "hidden_dim": max(limits.hidden_dim, shape.hidden_dim),
            "heads": max(limits.heads, shape.heads),
            "kv_heads": max(limits.kv_heads, shape.kv_heads),
            "vocabulary": max(limits.vocabulary, shape.vocab),
        },
        "attention": {
            "head_dim": shape.head_dim,
            "group": max(attention.group, shape.heads // shape.kv_heads),
            "context_limit": limit,
            "windows": attention.windows or needs_windows(shape, limit),
        },
        "vector": {
            "biases": vector.biases or shape.biased,
            "head_norms": vector.head_norms or shape.head_normed,
            "post_norms": vector.post_norms or shape.post_normed,
            "gelu": vector.gelu or shape.gelu,
        },
    }
    values: dict[str, Any] = config.model_dump(mode="json")
    changes = []
    for section, entries in wanted.items():
        for key, value in entries.items():
            if values[section][key] != value:
                values[section][key] = value
                changes.append(f"{section}.{key}={json.dumps(value)}")
    if not changes:
        return config, ()
    return validate(values, default_values(), f"{config.name} with {' '.join(changes)}"), tuple(changes)
