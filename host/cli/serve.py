"""``rtlm serve``."""

import sys
import time
from typing import TYPE_CHECKING, Any

import click
from rtlm.gen.common.errors import OK
from rtlm.host.cli.answer_options import answer_options
from rtlm.host.cli.files import decode_text
from rtlm.host.cli.models import accepted
from rtlm.host.cli.options import Whole
from rtlm.host.session_options import RunOptions

if TYPE_CHECKING:
    from rtlm.host.serving.job import Ended

HOST = "127.0.0.1"
PORT = 8000
MAX_PORT = 65535
WAITING = 4
MAX_WAITING = 32


@click.command(
    epilog="Paths: POST /v1/chat/completions, POST /v1/completions, GET /v1/models, GET /health. Where a request says "
    "nothing, the options hold: --max-tokens, --temperature, --top-p, --seed, --system. Fields, limits and errors: "
    "docs/serve.md."
)
@answer_options
@click.option("--context", type=Whole(1), help="Positions of the KV cache; default: as many as model and chip allow.")
@click.option(
    "--host", default=HOST, show_default=True, help="Address to listen on; others than loopback are warned of."
)
@click.option("--port", type=Whole(0, MAX_PORT), default=PORT, show_default=True, help="Port; 0 takes a free one.")
@click.option(
    "--waiting",
    type=Whole(0, MAX_WAITING),
    default=WAITING,
    show_default=True,
    help="Requests that may wait while one is answered; one more is refused.",
)
@click.option("--quiet", "-q", is_flag=True, help="Print the address and nothing else.")
def serve(
    host: str, port: int, waiting: int, quiet: bool, system: str | None, overrides: tuple[str, ...], **options: Any
) -> int:
    """Serve a language model on the simulated accelerator to any client of OpenAI's API.

    The accelerator answers one request at a time. A request that continues the conversation before it feeds only what
    is new, as rtlm chat does. The first start generates RTL and builds the simulator; until the accelerator can
    answer, requests get status 503. Ctrl-C ends the server.

    \b
    Examples:
      rtlm serve
      rtlm serve --backend golden --port 8080 --max-tokens 200
      rtlm serve --config u280 --model mine.gguf --temperature 0.8
      curl http://127.0.0.1:8000/v1/chat/completions -H "Content-Type: application/json" \\
        -d '{"messages": [{"role": "user", "content": "Why is the sky blue?"}], "max_tokens": 8}'
      curl http://127.0.0.1:8000/health

    \b
    With the client from PyPI (pip install openai):
      from openai import OpenAI
      client = OpenAI(base_url="http://127.0.0.1:8000/v1", api_key="none")
      question = {"role": "user", "content": "What is gravity?"}
      for chunk in client.chat.completions.create(
          model="smollm2-135m-instruct", messages=[question], stream=True
      ):
          print(chunk.choices[0].delta.content or "", end="", flush=True)
    """
    if system is not None:
        system = decode_text(system.encode(errors="surrogateescape"), "--system")
    from rtlm.gen.common.progress import SilentProgress, TerminalProgress
    from rtlm.host.serving import server

    options["licences"] = accepted(options["model"], options["licences"])
    listener = server.listen(host, port)
    if not server.is_loopback(listener):
        print(f"Warning: {host} lets other computers in, and nobody is asked for a password.", file=sys.stderr)
    url = server.base_url(listener)
    progress = SilentProgress() if quiet else TerminalProgress()

    def ready(model: str) -> None:
        progress.close()
        print(f"Serving {model} at {url}; Ctrl-C ends.", flush=True)

    try:
        server.serve(
            RunOptions(texts=(), system=system, overrides=overrides, **options),
            progress,
            listener,
            names=(host,),
            waiting=waiting,
            on_ready=ready,
            on_answer=(lambda ended: None) if quiet else _tell,
        )
    finally:
        progress.close()
    return OK


def _tell(ended: "Ended") -> None:
    """Write a line about an answer: numbers, and nothing of what was said."""
    parts = [f"prompt {ended.prompt_tokens} tokens, {ended.kept_tokens} of them in the KV cache before"]
    parts.append(f"answer {ended.tokens} tokens ({ended.finish_reason})")
    if ended.speed.tokens_per_s:
        parts.append(f"chip {ended.speed.tokens_per_s:.4g} tokens/s")
    if ended.speed.simulated_tokens_per_s:
        parts.append(f"computed at {ended.speed.simulated_tokens_per_s:.3g} tokens/s")
    print(f"{time.strftime('%H:%M:%S')} {'; '.join(parts)}", file=sys.stderr, flush=True)
