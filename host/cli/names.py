"""Names that shells complete, from a file that is written from the source: a shell cannot wait for Amaranth to load."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

import click
from click.shell_completion import CompletionItem

PATH = Path(__file__).with_name("names.json")
"""Written by ``python -m rtlm.host.pages``; a test compares it with the source."""

Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


@cache
def known(kind: str) -> dict[str, str]:
    """Return names with what each means.

    Parameters
    ----------
    kind
        A key of the file: `rtlm.host.cli.name_lists.name_lists` has them.
    """
    return json.loads(PATH.read_text(encoding="utf-8")).get(kind, {})


def complete(*kinds: str, files: bool = False) -> Completer:
    """Return what completes the value of an option or argument.

    Parameters
    ----------
    kinds
        As in `known`.
    files
        Whether it may be a file, too; files are offered where no name begins like that.
    """

    def find(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        found = [item for kind in kinds for item in _items(known(kind), incomplete)]
        return found or ([CompletionItem(incomplete, type="file")] if files else [])

    return find


def complete_setting(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the key of ``--set``: those of the configuration, and of the unit that is the command."""
    keys = known(f"unit {ctx.info_name}") | known("parameters")
    return _items({f"{key}=": meaning for key, meaning in keys.items()}, incomplete)


def _items(names: dict[str, str], incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(name, help=meaning) for name, meaning in names.items() if name.startswith(incomplete)]
