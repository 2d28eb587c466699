"""Chat templates: Jinja from a file of unknown origin, run in a sandbox, in a process with bounded time and memory."""

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rtlm.host.errors import ModelError

MAX_TEMPLATE_CHARACTERS = 1 << 16
MAX_PROMPT_CHARACTERS = 1 << 22
MAX_SECONDS = 5  # of processor time: known templates take milliseconds
MAX_BYTES = 512 << 20
MAX_SHOWN = 200  # characters of what a template says is wrong

_PROGRAM = Path(__file__).with_name("template_process.py")


def render(template: str, messages: Sequence[dict[str, str]], **values: Any) -> str:
    """Render messages with a chat template.

    Parameters
    ----------
    template
        Jinja, with ``raise_exception``, ``tojson``, ``break`` and ``continue`` as Hugging Face transformers has them,
        and without ``strftime_now``: the same messages give the same text on any day.
    messages
        Dictionaries with ``role`` and ``content``.
    **values
        Further variables.

    Raises
    ------
    ModelError
        If there is no template, it is too long or has a fault, or it takes too much time or memory or writes too much.
    """
    if not template:
        raise ModelError("the model has no chat template")
    if len(template) > MAX_TEMPLATE_CHARACTERS:
        raise ModelError(
            f"the chat template must have at most {MAX_TEMPLATE_CHARACTERS} characters, got {len(template)}"
        )
    request = {
        "template": template,
        "values": {**values, "messages": list(messages)},
        "characters": MAX_PROMPT_CHARACTERS,
        "seconds": MAX_SECONDS,
        "bytes": MAX_BYTES,
    }
    process = subprocess.run(
        [sys.executable, "-P", str(_PROGRAM)], input=json.dumps(request).encode(), capture_output=True, check=False
    )
    if process.returncode == -signal.SIGXCPU or process.returncode == -signal.SIGKILL:
        raise ModelError(f"the chat template must be rendered within {MAX_SECONDS} s of processor time")
    if process.returncode:
        raise ModelError(f"the chat template cannot be rendered: its process ended with {process.returncode}")
    answer = json.loads(process.stdout)
    if "error" in answer:
        raise ModelError(f"the chat template cannot be rendered: {_printable(answer['error'])}")
    return answer["text"]


def _printable(text: str) -> str:
    shown = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
    return shown if len(shown) <= MAX_SHOWN else shown[: MAX_SHOWN - 1] + "…"
