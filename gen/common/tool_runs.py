"""Runs the commands of a build, with a log and a sentence for what fails."""

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from rtlm.gen.common.errors import ToolError


def run_logged(command: Sequence[str], folder: Path, what: str, environment: Mapping[str, str] | None = None) -> None:
    """Run a command of a build in the folder that `rtlm.gen.common.cache.cached` gave; its ``log`` takes what it says.

    Parameters
    ----------
    command : sequence of str
        Program and arguments.
    folder : Path
        Where it runs.
    what : str
        What it does, for the message.
    environment : mapping, optional
        Variables beside those of this process.

    Raises
    ------
    ToolError
        When it is missing or fails.
    """
    variables = {**os.environ, **(environment or {})}
    try:
        done = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True)
    except FileNotFoundError as problem:
        # g++, perl and make each are a package of that name.
        package = Path(command[0]).name
        raise ToolError(f"{command[0]} was not found; on Debian and Ubuntu: apt install {package}.") from problem
    with (folder / "log").open("a") as log:
        log.write(f"$ {' '.join(command)}\n{done.stdout}{done.stderr}\n")
    if done.returncode:
        kept = folder.parent / f"{folder.name.partition('.')[0]}.log"
        reason = "the disk is full" if "No space left" in done.stderr else _first_error(done.stderr)
        raise ToolError(f"{what} failed: {reason}; the whole output is in {kept}.")


def _first_error(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if re.search(r"error|cannot|%Error|not found", line, re.I)]
    return (lines or text.strip().splitlines() or ["it said nothing"])[0].rstrip(".")
