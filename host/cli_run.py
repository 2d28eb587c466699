"""``rtlm run``."""

import sys
from pathlib import Path
from typing import Any

import click
from rtlm.host.cli_common import config_option, set_option
from rtlm.host.session_options import BACKENDS, DEFAULT_MAX_TOKENS, RunOptions

NO_TEXT = "\0"
"""Value of a bare ``--chat``, whose text is then the prompt."""


class Window(click.ParamType):
    """Two clock cycles, ``FROM:TO``."""

    name = "from:to"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """Give both, or fail."""
        if isinstance(value, tuple):
            return value
        first, colon, last = value.partition(":")
        if not (colon and first.isdigit() and last.isdigit() and int(first) < int(last)):
            self.fail(f"'{value}' is no window of clock cycles such as 0:5000.", param, ctx)
        return int(first), int(last)


@click.command(
    epilog="The report goes to the terminal, and with --json to a file (docs/report.md). "
    "With --quiet only the answer is printed."
)
@click.option("--prompt", "-p", metavar="TEXT", help="Text that the model continues.")
@click.option(
    "--chat",
    is_flag=False,
    flag_value=NO_TEXT,
    metavar="TEXT",
    help="What you say to the model; goes through its chat template. Without a text: the prompt does.",
)
@click.option(
    "--max-tokens",
    "-n",
    type=click.IntRange(min=1),
    default=DEFAULT_MAX_TOKENS,
    show_default=True,
    help="Tokens to generate at most.",
)
@config_option
@set_option
@click.option(
    "--backend",
    type=click.Choice(BACKENDS),
    default=BACKENDS[0],
    show_default=True,
    help="The generated RTL in Verilator, or the NumPy model of it (same bits, no cycles).",
)
@click.option(
    "--model", type=click.Path(path_type=Path), metavar="FILE", help="A GGUF file instead of SmolLM2-135M-Instruct."
)
@click.option(
    "--temperature", type=click.FloatRange(min=0), default=0.0, show_default=True, help="0 takes the likeliest token."
)
@click.option(
    "--top-k", type=click.IntRange(min=0), default=0, show_default=True, help="Likeliest tokens kept; 0: all."
)
@click.option(
    "--top-p", type=click.FloatRange(min=0, max=1, min_open=True), default=1.0, show_default=True, help="Share kept."
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the sampling.")
@click.option("--context", type=click.IntRange(min=1), help="Positions of the KV cache; default: what is needed.")
@click.option("--waves", type=Window(), metavar="FROM:TO", help="Write a waveform (FST) of these clock cycles.")
@click.option("--json", "json_file", metavar="FILE", help="Write the report as JSON; - is standard output.")
@click.option("--quiet", "-q", is_flag=True, help="Print the answer and nothing else.")
def run(
    prompt: str | None, chat: str | None, json_file: str | None, quiet: bool, overrides: tuple[str, ...], **options: Any
) -> None:
    """Let a language model answer through the simulated accelerator.

    The first run obtains the model, generates RTL and builds the simulator; later runs reuse all of it.

    \b
    Examples:
      rtlm run --chat "What is the capital of France?"
      rtlm run --prompt "The capital of France is" --max-tokens 8 --quiet
      rtlm run --prompt "Once upon a time" --temperature 0.8 --top-k 40 --seed 7
      rtlm run --chat "Hello" --backend golden
      rtlm run --prompt "Hi" --max-tokens 1 --waves 0:20000
    """
    text = _text(prompt, chat)
    if json_file and json_file != "-":
        _check_writable(Path(json_file))
    if options["waves"] and options["backend"] != BACKENDS[0]:
        raise click.UsageError("--waves needs --backend verilator: the golden model has no signals.")

    from rtlm.host.progress import SilentProgress, TerminalProgress

    to_stdout = json_file == "-"
    progress = SilentProgress(None if to_stdout else sys.stdout) if quiet else None
    progress = progress or TerminalProgress(None if to_stdout else sys.stdout)
    from rtlm.host.session import run as run_session

    try:
        report = run_session(RunOptions(text=text, chat=chat is not None, overrides=overrides, **options), progress)
    finally:
        progress.close()
    if not to_stdout:
        print(flush=True)
    if json_file:
        _write(report.dumps(), json_file)
    if not quiet and not to_stdout:
        from rich.console import Console
        from rtlm.host.report_table import print_report

        print()
        print_report(report, Console(width=None if sys.stdout.isatty() else 100))


def _text(prompt: str | None, chat: str | None) -> str:
    """Give the text that was asked for."""
    if chat is not None and chat != NO_TEXT:
        if prompt is not None:
            raise click.UsageError("--prompt and --chat both hold a text; give one of them.")
        return chat
    if prompt is None:
        raise click.UsageError('Nothing to say. Try: rtlm run --chat "What is the capital of France?"')
    return prompt


def _check_writable(path: Path) -> None:
    """Refuse a report that could not be written before minutes of simulation, not after."""
    folder = path.parent
    if path.is_dir() or not folder.is_dir():
        reason = "is a folder" if path.is_dir() else f"cannot be written: there is no folder {folder}"
        raise click.UsageError(f"--json {path} {reason}.")


def _write(text: str, name: str) -> None:
    if name == "-":
        print(text, end="", flush=True)
    else:
        Path(name).write_text(text, encoding="utf-8")
