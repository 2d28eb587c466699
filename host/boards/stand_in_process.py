"""The process that steps gates behind a stand-in for a board."""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rtlm.gen.common.errors import ToolError

READY = "ready"


@contextmanager
def stand_in_process(command: Sequence[str], overrides: Sequence[str], *, what: str) -> Iterator[None]:
    """Start a process, wait for its line `READY`, and end it.

    Parameters
    ----------
    command
        Its command.
    overrides
        Changes to the configuration, which are added to it.
    what
        What it is, for a sentence.

    Raises
    ------
    ToolError
        If it ends before, with what it says.
    """
    command = [*command, *(part for override in overrides for part in ("--set", override))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        try:
            if process.stdout.readline() != f"{READY}\n":
                raise ToolError(f"The {what}'s process has ended: {process.stderr.read().strip()}")
            yield
        finally:
            process.kill()
