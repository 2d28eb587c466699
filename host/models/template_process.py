"""Renders one chat template and ends: the program of the process that `rtlm.host.models.chat_template` starts.

It reads a JSON object with ``template``, ``values``, ``characters``, ``seconds`` and ``bytes`` from standard input, and
writes one with ``text`` or ``error``. Before the template runs, the process limits its own time and memory. It imports
nothing of rtlm, so that it starts fast.
"""

import json
import resource
import sys
from typing import Any

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment


def main() -> None:
    """Render what standard input asks for."""
    request = json.load(sys.stdin)
    resource.setrlimit(resource.RLIMIT_CPU, (request["seconds"], request["seconds"]))
    resource.setrlimit(resource.RLIMIT_AS, (request["bytes"], request["bytes"]))
    try:
        answer = {"text": _render(request["template"], request["values"], request["characters"])}
    except MemoryError:
        answer = {"error": f"it takes more than {request['bytes'] >> 20} MiB"}
    except Exception as error:  # whatever a template does, its process says so in one sentence
        answer = {"error": " ".join(str(error).split()) or type(error).__name__}
    json.dump(answer, sys.stdout)


def _render(template: str, values: dict[str, Any], characters: int) -> str:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.globals["raise_exception"] = _raise_exception
    environment.filters["tojson"] = _to_json
    pieces, length = [], 0
    for piece in environment.from_string(template).generate(values):
        pieces.append(piece)
        length += len(piece)
        if length > characters:
            raise ValueError(f"it writes more than {characters} characters")
    return "".join(pieces)


def _raise_exception(message: str) -> None:
    raise jinja2.TemplateError(message)


def _to_json(value: Any, indent: int | None = None) -> str:
    # Jinja's own escapes for HTML.
    return json.dumps(value, ensure_ascii=False, indent=indent)


if __name__ == "__main__":
    main()
