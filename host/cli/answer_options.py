"""Options of the commands that make a model answer: which model, on what, and how tokens are chosen."""

from collections.abc import Callable
from typing import Any

import click
from click.shell_completion import CompletionItem
from rtlm.gen.configuration.defaults import DEFAULT_PRESET
from rtlm.host.boards.address import SCHEMES, BoardAddress, known
from rtlm.host.cli.models import NAMES, licence_option
from rtlm.host.cli.names import complete
from rtlm.host.cli.options import Real, Whole, set_option
from rtlm.host.errors import AcceleratorError
from rtlm.host.models.sources import DEFAULT_MODEL
from rtlm.host.session_options import BACKENDS, DEFAULT_MAX_TOKENS, MAX_TEMPERATURE, SIMULATOR


class BackendName(click.ParamType):
    """What computes: the simulator, the golden model, or a board."""

    name = f"{'|'.join(BACKENDS)}|board"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name, or fail."""
        text = str(value)
        if text in BACKENDS:
            return text
        if text.partition(":")[0] not in SCHEMES:
            raise click.UsageError(f"--backend must be {', '.join(BACKENDS)}, {known()}, got {text}.", ctx)
        try:
            BoardAddress.parse(text)
        except AcceleratorError as error:
            raise click.UsageError(f"--backend: {error}.", ctx) from None
        return text

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the names, and what addresses of boards begin with."""
        names = (*BACKENDS, *(f"{scheme}:" for scheme in SCHEMES))
        return [CompletionItem(name) for name in names if name.startswith(incomplete)]


_OPTIONS = (
    click.option("--system", metavar="TEXT", help="System message of the chat, in place of the template's own."),
    click.option(
        "--max-tokens",
        "-n",
        type=Whole(1),
        default=DEFAULT_MAX_TOKENS,
        show_default=True,
        help="Tokens to generate at most.",
    ),
    click.option(
        "--speculate",
        is_flag=True,
        help="Guess tokens from the text so far and verify them together, with matmul.columns above 1; same text.",
    ),
    click.option(
        "--config",
        "-c",
        metavar="NAME|FILE",
        shell_complete=complete("presets", files=True),
        help="Preset (see rtlm list) or YAML file, which has to hold the model as it is; default: "
        f"{DEFAULT_PRESET} and what the model needs.",
    ),
    set_option,
    click.option(
        "--backend",
        type=BackendName(),
        default=SIMULATOR,
        show_default=True,
        help="The generated RTL in Verilator, golden: the NumPy model of it (same bits, no cycles), or a board: "
        f"{known()} (docs/boards.md).",
    ),
    click.option(
        "--model",
        metavar="NAME|FILE",
        shell_complete=complete("fetched", files=True),
        help=f"A model that is fetched ({NAMES}) or a GGUF file.  [default: {DEFAULT_MODEL}]",
    ),
    licence_option,
    click.option(
        "--temperature",
        type=Real(0, MAX_TEMPERATURE),
        default=0.0,
        show_default=True,
        help="0 takes the likeliest token.",
    ),
    click.option("--top-k", type=Whole(0), default=0, show_default=True, help="Likeliest tokens kept; 0: all."),
    click.option("--top-p", type=Real(0, 1, min_open=True), default=1.0, show_default=True, help="Share kept."),
    click.option("--seed", type=Whole(0), default=0, show_default=True, help="Seed of the sampling."),
)


def answer_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options to a command, in their order."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
