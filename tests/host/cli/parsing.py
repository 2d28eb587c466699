"""Command lines that pages and help texts show, parsed as click does it, while no command runs."""

import re
from pathlib import Path

import click
from rtlm.host.cli.main import PROGRAM, cli

FILE = re.compile(r"\w[\w-]*\.\w+|FILE")


def make_files(arguments: list[str]) -> None:
    """Make the files that a command names where one is: some commands look at once whether they exist."""
    for name in filter(FILE.fullmatch, arguments):
        Path(name).touch()


def parse(arguments: list[str], command: click.Command = cli) -> None:
    """Parse a command line as click does, and call nothing; raise UsageError where it is not understood."""
    try:
        context = command.make_context(PROGRAM, arguments)
    except click.exceptions.Exit:  # --help
        return
    if isinstance(command, click.Group):
        _, inner, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        assert inner is not None, arguments
        parse(rest, inner)
