"""Chat templates: Jinja from a file of unknown origin, run in a sandbox with bounded output."""

from collections.abc import Sequence
from typing import Any

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment
from rtlm.host.errors import ModelError

MAX_TEMPLATE_CHARACTERS = 1 << 16
MAX_PROMPT_CHARACTERS = 1 << 22


def render(template: str, messages: Sequence[dict[str, str]], **values: Any) -> str:
    """Render messages with a chat template.

    Parameters
    ----------
    template
        Jinja, with the variables and functions that Hugging Face transformers defines for chat templates.
    messages
        Dictionaries with ``role`` and ``content``.
    **values
        Further variables.

    Raises
    ------
    ModelError
        If there is no template, it is too long or has a fault, or it writes too much.
    """
    if not template:
        raise ModelError("the model has no chat template")
    if len(template) > MAX_TEMPLATE_CHARACTERS:
        raise ModelError(
            f"the chat template must have at most {MAX_TEMPLATE_CHARACTERS} characters, got {len(template)}"
        )
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.globals["raise_exception"] = _raise_exception
    values["messages"] = [dict(message) for message in messages]
    pieces, length = [], 0
    try:
        for piece in environment.from_string(template).generate(values):
            pieces.append(piece)
            length += len(piece)
            if length > MAX_PROMPT_CHARACTERS:
                raise ModelError(f"the chat template must write at most {MAX_PROMPT_CHARACTERS} characters")
    except (jinja2.TemplateError, ArithmeticError, LookupError, TypeError, ValueError, RecursionError) as error:
        raise ModelError(f"the chat template cannot be rendered: {' '.join(str(error).split())}") from None
    return "".join(pieces)


def _raise_exception(message: str) -> None:
    raise jinja2.TemplateError(message)
