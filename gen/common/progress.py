"""What a command says while it works: a status line on standard error, the answer on standard output."""

import re
import sys
import time
from typing import Protocol, TextIO

REDRAW_SECONDS = 0.1


class Stage(Protocol):
    """Told what is going on; `Progress.stage` is one."""

    def __call__(self, name: str, done: int = 0, total: int = 0, /) -> None:
        """Tell what is going on and how much of it is done; a total of 0 is unknown."""


def no_stage(name: str, done: int = 0, total: int = 0, /) -> None:
    """Say nothing."""


class Progress(Protocol):
    """Receives what happens."""

    def stage(self, name: str, done: int = 0, total: int = 0) -> None:
        """Show what is going on and how much of it is done; a total of 0 is unknown."""

    def note(self, sentence: str) -> None:
        """Say what is to be read later too."""

    def text(self, piece: str) -> None:
        """Take a piece of the answer."""

    def close(self) -> None:
        """End the status line."""


class SilentProgress:
    """Says nothing, and gives the answer piece by piece if asked to.

    Parameters
    ----------
    out
        Where the answer goes; None for nowhere.
    """

    def __init__(self, out: TextIO | None = None):
        self._out = out

    def stage(self, name: str, done: int = 0, total: int = 0) -> None:
        """Do nothing."""

    def note(self, sentence: str) -> None:
        """Do nothing."""

    def text(self, piece: str) -> None:
        """Write a piece of the answer."""
        if self._out is not None:
            self._out.write(piece)
            self._out.flush()

    def close(self) -> None:
        """Do nothing."""


class TerminalProgress(SilentProgress):
    """Shows one status line on a terminal; elsewhere one line for each stage.

    Parameters
    ----------
    out
        Where the answer goes.
    status
        Where the status goes.
    """

    def __init__(self, out: TextIO | None = None, status: TextIO | None = None):
        super().__init__(out)
        self._status = status or sys.stderr
        self._terminal = self._status.isatty()
        # Where answer and status end up in the same place, a status line would land inside the answer.
        self._shared = out is not None and out.isatty() == self._terminal
        self._answering = False
        self._name = ""
        self._started = self._drawn = 0.0
        self._width = 0

    def stage(self, name: str, done: int = 0, total: int = 0) -> None:
        """Show it, with the seconds it has taken."""
        now = time.monotonic()
        # "compiled 7 of 80 files" and "compiled 8 of 80 files" are one stage.
        kind = re.sub(r"\d+", "", name)
        fresh = kind != self._name
        if fresh:
            self._name, self._started = kind, now
        if self._answering and self._shared:
            return
        if not self._terminal:
            if fresh:
                print(f"{name} ...", file=self._status, flush=True)
            return
        if not fresh and now - self._drawn < REDRAW_SECONDS and done != total:
            return
        self._drawn = now
        amount = f" {done}/{total}" if total else ""
        line = f"{name}{amount} ({now - self._started:.0f} s)"
        self._status.write("\r" + line.ljust(self._width))
        self._status.flush()
        self._width = len(line)

    def note(self, sentence: str) -> None:
        """Write a line where the status line was."""
        self.close()
        print(sentence, file=self._status, flush=True)

    def text(self, piece: str) -> None:
        """Write a piece of the answer where the status line was."""
        if piece:
            self.close()
            self._answering = True
        super().text(piece)

    def close(self) -> None:
        """Wipe the status line."""
        if self._width:
            self._status.write("\r" + " " * self._width + "\r")
            self._status.flush()
            self._width = 0
