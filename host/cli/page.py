"""The page of the command line, made from what ``--help`` prints."""

import inspect
import re
from collections.abc import Iterator

import click
from rtlm.host.cli.generate import GenerateGroup
from rtlm.host.cli.main import cli
from rtlm.hw.common.markdown import table, wrapped

KEPT = "\b"
"""The line in a docstring behind which click keeps the lines of a paragraph as they are."""
WIDTH = 100


def cli_page() -> str:
    """Describe every command with its options and examples."""
    context = click.Context(cli, info_name="rtlm", terminal_width=WIDTH)
    rows = [(f"[`rtlm {name}`](#rtlm-{name})", text) for name, text in _commands(cli, context)]
    return wrapped(
        "# Command line\n\n"
        f"What `rtlm --help` and `rtlm COMMAND --help` print. {_sentence(cli.epilog)}\n\n"
        f"{table(('command', 'what it does'), rows)}\n" + "\n".join(_sections(cli, context))
    )


def _commands(group: click.Group, context: click.Context) -> Iterator[tuple[str, str]]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is not None and not command.hidden:
            yield name, _sentence(command.get_short_help_str(limit=1000))


def _sections(group: click.Group, context: click.Context) -> Iterator[str]:
    """Yield a section for each command of a group, and for theirs."""
    for name, _ in _commands(group, context):
        command = group.get_command(context, name)
        if command is None:
            continue
        inner = click.Context(command, info_name=name, parent=context, terminal_width=WIDTH)
        yield _section(command, inner)
        if isinstance(command, GenerateGroup):
            # One command for each unit, all alike; the list is that of `rtlm list units`.
            yield from _sections(click.Group(commands=dict(command.commands)), inner)
        elif isinstance(command, click.Group):
            yield from _sections(command, inner)


def _section(command: click.Command, context: click.Context) -> str:
    level = "#" * (1 + context.command_path.count(" "))
    usage = " ".join((context.command_path, *command.collect_usage_pieces(context)))
    parts = [f"{level} {context.command_path}\n", *_paragraphs(command.help or ""), f"```text\n{usage}\n```\n"]
    records = [param.get_help_record(context) for param in command.get_params(context)]
    rows = [(f"`{names}`", _cell(text)) for names, text in filter(None, records) if "--help" not in names]
    if rows:
        parts.append(table(("option", "meaning"), rows))
    if isinstance(command, GenerateGroup):
        names = ", ".join(f"`{name}`" for name in command.list_commands(context) if name not in command.commands)
        options = "`--set`, `--prefix`, `--output`, `--force` and `--quiet`"
        parts.append(f"Each unit is a command with {options}: {names}.\n")
    if command.epilog:
        parts.append(f"{_sentence(command.epilog)}\n")
    return "\n".join(parts)


def _paragraphs(text: str) -> Iterator[str]:
    """Yield the paragraphs of a help text; examples, which keep their lines, as blocks of code."""
    for paragraph in re.split(r"\n{2,}", inspect.cleandoc(text)):
        kept = paragraph.startswith(KEPT)
        lines = paragraph.removeprefix(KEPT).strip("\n").splitlines()
        if not kept:
            yield f"{_sentence(' '.join(map(str.strip, lines)))}\n"
            continue
        title, examples = lines[0], [line.strip() for line in lines[1:]]
        yield f"{title}\n"
        yield "\n".join(("```sh", *examples, "```\n"))


def _cell(text: str) -> str:
    return _sentence(" ".join(text.split()))


def _sentence(text: str | None) -> str:
    """Return text whose signs mean nothing to Markdown."""
    return re.sub(r"([*_<\[\]])", r"\\\1", text or "")
