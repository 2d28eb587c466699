"""What is wrong with a file of a space, in sentences."""

from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticCustomError
from rtlm.gen.configuration.fields import REFUSED, closest, shown, shown_key

SENTENCE = "sentence"
"""Error type of checks that say the whole sentence themselves; its context holds ``text``."""
KEY = "[key]"
"""How pydantic ends the path of an error in the name of a mapping's entry."""

WANTED = {
    "string_type": "a text",
    "string_too_short": "a text that is not empty",
    "string_too_long": "a text of at most 4096 characters",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
}
"""What a value must be, by pydantic's name of the error."""


def refusal(text: str) -> PydanticCustomError:
    """Return the error of a check that says the whole sentence."""
    return PydanticCustomError(SENTENCE, "{text}", {"text": text})


def sentence(entry: Any, model: type[BaseModel], above: str = "") -> str:
    """Say what is wrong with one value.

    Parameters
    ----------
    entry
        An error as pydantic lists it.
    model
        What was validated.
    above
        Dotted name of the value that was validated, where it is part of another.
    """
    path = [*([above] if above else []), *(str(part) for part in entry["loc"])]
    if path and path[-1] == KEY:
        names = entry["ctx"]["allowed"].removeprefix("one of ")
        where = shown_key(path[:-2])
        return f"{shown_key(path[:-1])} is not a key: {where} has {names}{_guess(path[-2], names.split(', '))}"
    key, value, kind = shown_key(path), entry["input"], entry["type"]
    context = entry.get("ctx", {})
    if kind == "missing":
        return f"{key} is missing."
    if kind == "extra_forbidden":
        names = _names(model, entry["loc"][:-1])
        return (
            f"{key} is not a key: {shown_key(path[:-1]) or 'a space'} has {', '.join(names)}{_guess(path[-1], names)}"
        )
    if kind == SENTENCE:
        return f"{key}: {context['text']}." if key else f"{context['text']}."
    if kind == REFUSED:
        return f"{key} must be {context['allowed'].rstrip()}, got {shown(value)}."
    if kind in ("too_long", "too_short"):
        limit = context.get("max_length", context.get("min_length"))
        bound = f"at {'most' if kind == 'too_long' else 'least'} {limit} value{'s' if limit > 1 else ''}"
        return f"{key} must have {bound}, got {context['actual_length'] or 'none'}."
    return f"{key} must be {WANTED.get(kind, 'valid')}, got {shown(value)}."


def _names(model: type[BaseModel], path: tuple[Any, ...]) -> list[str]:
    """Return the keys of a mapping that lies below a model."""
    for part in path:
        field = model.model_fields.get(str(part))
        inner = field.annotation if field else None
        # Of a mapping it is its values' type: constraints.power_w.
        inner = getattr(inner, "__args__", (inner,))[-1]
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            model = inner
    return [field.alias or name for name, field in model.model_fields.items()]


def _guess(name: str, names: list[str]) -> str:
    guess = closest(name, names)
    return f"; did you mean {guess}?" if guess else "."
