"""Files that commands write: refused before the work where they cannot be, and a sentence where they could not."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rtlm.gen.common.errors import RtlmError
from rtlm.host.cli.options import check_writable

if TYPE_CHECKING:
    from rich.console import Console

STANDARD_OUTPUT = "-"

PLAIN_WIDTH = 100
"""Characters in a line where no terminal says how many it has, unless a command needs more."""

MAX_TEXT_BYTES = 1 << 22
"""Longest text that a model is given."""

PLOTS = (".svg", ".png")
"""Endings of the plots that can be drawn."""


def console(plain_width: int = PLAIN_WIDTH) -> "Console":
    """Return standard output for `rich`, with so many characters in a line where no terminal says how many it has."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else plain_width)


def check_text_file(option: str, name: str | None) -> None:
    """Refuse a file that could not be written."""
    if name not in (None, STANDARD_OUTPUT):
        check_writable(option, Path(name or ""))


def check_plot(option: str, path: Path) -> None:
    """Refuse a plot that could not be drawn or written."""
    if path.suffix.lower() not in PLOTS:
        raise click.UsageError(f"{option} must end in .svg or .png, got {path}.")
    check_writable(option, path)


def write_text(text: str, option: str, name: str) -> None:
    """Write a text, which is UTF-8 on every terminal, to a file or to standard output."""
    if name == STANDARD_OUTPUT:
        click.echo(text.encode(), nl=False)
        return
    save(option, name, lambda: Path(name).write_text(text, encoding="utf-8"))


def save(option: str, name: str, write: Callable[[], Any]) -> None:
    """Write a file, or say why it could not be written."""
    try:
        write()
    except OSError as error:
        raise RtlmError(f"{option} {name} could not be written: {error.strerror}") from error


def decode_text(content: bytes, what: str) -> str:
    """Return a text, or refuse what is not UTF-8."""
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise click.UsageError(
            f"{what} must be text in UTF-8, got the byte {content[error.start]:#04x} at offset {error.start}."
        ) from None
