"""An answer that grows on a terminal above a line with what is going on."""

import unicodedata
from collections.abc import Callable

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text


class LiveAnswer:
    """Shows an answer as it comes, and below it a status line, which goes when the answer has ended.

    A `Progress` for one answer after the other: the first piece or stage begins one, `close` ends it.

    Parameters
    ----------
    console
        The terminal.
    status
        Returns what the status line says behind the stage.
    """

    def __init__(self, console: Console, status: Callable[[], str]):
        self._console = console
        self._status = status
        self._live: Live | None = None
        self._stage = ""
        self._row = ""

    def stage(self, name: str, done: int = 0, total: int = 0) -> None:
        """Show what is going on."""
        self._stage = f"{name} {done}/{total}" if total else name
        self._show()

    def note(self, sentence: str) -> None:
        """Write a line above the answer."""
        self._console.print(Text(sentence))

    def text(self, piece: str) -> None:
        """Show a piece of the answer; rows that are full stand, the last one may still grow."""
        *lines, last = (self._row + _printable(piece)).split("\n")
        rows = Text(last).wrap(self._console, self._console.width)
        self._row = rows[-1].plain if rows else ""
        self._show()
        for row in [*(Text(line) for line in lines), *rows[:-1]]:
            self._console.print(row)

    def close(self) -> None:
        """End the answer: its last row stands, the status line goes."""
        if self._live:
            self._live.stop()
            self._console.print(Text(self._row))
        self._live, self._stage, self._row = None, "", ""

    def _show(self) -> None:
        status = "; ".join(part for part in (self._stage, self._status()) if part)
        group = Group(Text(self._row), Text(f"[{status}]", style="dim", no_wrap=True, overflow="ellipsis"))
        if self._live is None:
            self._live = Live(console=self._console, auto_refresh=False, transient=True, redirect_stderr=False)
            self._live.start()
        self._live.update(group, refresh=True)


def _printable(text: str) -> str:
    """Return a text without characters that would steer the terminal."""
    return "".join(c if c in "\n\t" or unicodedata.category(c) != "Cc" else "\N{REPLACEMENT CHARACTER}" for c in text)
