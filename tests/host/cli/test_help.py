"""Each command's help ends with examples, and each of these is a command that is understood."""

import re
import shlex
from collections.abc import Iterator

import click
import pytest
from rtlm.gen.common.errors import OK
from rtlm.host.cli import main as cli

from tests.host.cli.parsing import make_files, parse

OPERATORS = {"&&", "|", ">", ";"}
UNITS_SHOWN = ("gemv", "rmsnorm")
"""Of the units' commands, whose help is made by one function, some."""


def commands(group: click.Group = cli.cli, names: tuple[str, ...] = ()) -> Iterator[str]:
    """Return the names of all commands, but of the units only some."""
    for name, command in _inner(group):
        yield " ".join((*names, name))
        if isinstance(command, click.Group):
            yield from commands(command, (*names, name))


def _inner(group: click.Group) -> list[tuple[str, click.Command]]:
    context = click.Context(group)
    names = [*group.commands, *UNITS_SHOWN] if group.name == "generate" else group.list_commands(context)
    return [(name, command) for name in names if (command := group.get_command(context, name))]


def examples(text: str) -> list[list[str]]:
    """Return the arguments of each call of rtlm in the examples of a help text."""
    section = re.search(r"^ *Examples:\n((?: +\S.*\n?)+)", text, re.MULTILINE)
    assert section, text
    calls = []
    for line in section[1].replace("\\\n", "").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars="&|>;")
        lexer.whitespace_split = True
        words: list[str] = []
        for word in [*lexer, ";"]:
            if word not in OPERATORS:
                words.append(word)
                continue
            if words and words[0] == "rtlm":
                calls.append(words[1:])
            words = []
    return calls


@pytest.mark.parametrize("command", ["", *commands()])
def test_examples_are_understood(command, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("COLUMNS", "200")
    assert cli.run_command([*command.split(), "--help"]) == OK
    found = examples(capsys.readouterr().out)
    assert found, "no example begins with rtlm"
    monkeypatch.chdir(tmp_path)
    for arguments in found:
        make_files(arguments)
        parse(arguments)


def test_a_wrong_example_is_noticed():
    (arguments,) = examples("Examples:\n  rtlm run --promt Hi > out.txt\n")
    assert arguments == ["run", "--promt", "Hi"]
    with pytest.raises(click.NoSuchOption):
        parse(arguments)
