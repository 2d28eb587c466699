"""Configurations for a model: one that is made to hold it, and what each preset lacks for it."""

from typing import Any

from rtlm.gen.common.errors import ConfigError
from rtlm.gen.configuration.load import load_config, preset_names
from rtlm.gen.configuration.schema import Configuration
from rtlm.host.compiler.fit import as_options, as_overrides, fit_config, flat_values, needed_values
from rtlm.host.compiler.layout import memory_map
from rtlm.host.compiler.plan import make_plan
from rtlm.host.errors import ModelError
from rtlm.host.models.paper import PaperModel, open_model
from rtlm.host.runtime.simulated_memory import simulated_memory


def fitted(config: Configuration, name: str, context: int | None) -> tuple[Configuration, str]:
    """Return a configuration that holds a model, and sentences on what was changed.

    Parameters
    ----------
    config
        Where it begins.
    name
        What `open_model` takes.
    context
        Positions that have to fit; None takes those of the model, as far as the configuration has them.

    Raises
    ------
    ConfigError, ModelError
        If there is no such model, or no configuration holds it.
    """
    model = open_model(name)
    positions = _positions(config, model, context)
    result, changes = fit_config(config, model.shape, context=positions)
    size = _memory_bytes(result, model, positions)
    changed = f"was changed to hold {model.name}: {' '.join(changes)}" if changes else f"holds {model.name} as it is"
    said = f"{config.name} {changed}. With {positions} positions it takes {size:,} bytes of memory."
    return result, f"{said} {lacking(model)}".rstrip()


def lacking(model: PaperModel) -> str:
    """Return a sentence on what the gates do not execute of a model; none where they execute all."""
    return f"The accelerator lacks what this model has: {'; '.join(model.parts)}." if model.parts else ""


def preset_fits(model: PaperModel, context: int | None) -> list[dict[str, Any]]:
    """Return for each preset whether it holds a model, and what has to change where it does not.

    Parameters
    ----------
    model
        The model.
    context
        As in `fitted`.
    """
    return [_preset_fit(load_config(preset), model, context) for preset in preset_names()]


def _preset_fit(config: Configuration, model: PaperModel, context: int | None) -> dict[str, Any]:
    positions = _positions(config, model, context)
    needed, values = needed_values(config, model.shape, context=positions), flat_values(config)
    capacity = simulated_memory(config).capacity_bytes
    entry: dict[str, Any] = {
        "name": config.name,
        "holds": False,
        "lacks": {key: {"has": values.get(key), "needed": value} for key, value in needed.items()},
        "options": as_options(as_overrides(needed)),
        "context": positions,
        "memory_bytes": None,
        "capacity_bytes": capacity,
        "impossible": [],
    }
    try:
        changed, _ = fit_config(config, model.shape, context=positions)
        entry["memory_bytes"] = _memory_bytes(changed, model, positions)
    except ConfigError as error:
        entry["impossible"] = list(error.problems)
    except ModelError as error:
        entry["impossible"] = [f"{error}."]
    else:
        entry["holds"] = not needed and entry["memory_bytes"] <= capacity
    return entry


def fit_text(entry: dict[str, Any]) -> str:
    """Write an entry of `preset_fits` for people: the preset's name, and on lines of their own what it lacks."""
    name, taken, capacity = entry["name"], entry["memory_bytes"], entry["capacity_bytes"]
    size = f"{taken:,} of {capacity:,} bytes of memory with {entry['context']} positions" if taken is not None else ""
    if entry["holds"]:
        return f"  {name:21} holds it: {size}"
    lines = [f"  {name:21} does not hold it as it is{': ' if size else ''}{size}"]
    lines += [
        f"{'':26}{key:24} {_shown(lack['has'])}, {_shown(lack['needed'])} needed"
        for key, lack in entry["lacks"].items()
    ]
    if taken is not None and taken > capacity:
        lines.append(f"{'':26}{'memory':24} {capacity:,} bytes, {taken:,} needed")
    lines += [f"{'':26}to change that is not enough: {problem}" for problem in entry["impossible"]]
    if entry["options"] and not entry["impossible"]:
        lines.append(f"{'':24}{entry['options']}")
    return "\n".join(lines)


def _shown(value: Any) -> str:
    """Return a value as configuration files write it."""
    return ",".join(value) if isinstance(value, list) else str(value).lower()


def _positions(config: Configuration, model: PaperModel, context: int | None) -> int:
    return context or min(model.context, config.attention.context_limit)


def _memory_bytes(config: Configuration, model: PaperModel, context: int) -> int:
    """Return the bytes that a model takes in the memory of a configuration that holds it."""
    params = config.to_params()
    return memory_map(make_plan(params, model.shape, context=context)).words * params.word_bytes
