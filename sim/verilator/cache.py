"""A cache of finished folders by content hash, safe against killed and parallel builds."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from rtlm.gen.common.cache import cache_folder, remove_stale
from rtlm.gen.common.errors import ToolError

KEEP = 48  # finished folders that stay when a new one is added


def digest(*parts: object) -> str:
    """Return a key for texts, bytes and anything else with a stable ``str``.

    Parameters
    ----------
    *parts : object
        What the cached result depends on.
    """
    total = hashlib.sha256()
    for part in parts:
        data = part if isinstance(part, bytes) else str(part).encode()
        total.update(len(data).to_bytes(8, "little"))
        total.update(data)
    return total.hexdigest()[:32]


@contextlib.contextmanager
def _locked(path: Path, waiting: Callable[[], None]) -> Iterator[None]:
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield  # closing the file releases the lock, and so does the end of the process


def cached(
    key: str, make: Callable[[Path], None], *, cache: Path | None = None, waiting: Callable[[], None] = lambda: None
) -> Path:
    """Return the finished folder of a key, making it if it is not there.

    The folder is made under another name and renamed when it is complete; a lock for each key keeps two processes from
    making it twice. What a killed build left is removed by the next build of the same key.

    Parameters
    ----------
    key : str
        From `digest`.
    make : callable
        Fills the folder it is given; an exception leaves nothing behind but ``KEY.log``, if it wrote ``log`` there.
    cache : Path, optional
        Instead of the folder ``sim`` in the user's cache folder.
    waiting : callable, optional
        Called when another process is making the same folder.
    """
    cache = cache or cache_folder("sim")
    final = cache / key
    if final.is_dir():
        _touch(final)
        return final
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with _locked(cache / f"{key}.lock", waiting):
            for stale in cache.glob(f"{key}.part-*"):
                shutil.rmtree(stale, ignore_errors=True)
            if final.is_dir():
                return final
            part = Path(tempfile.mkdtemp(prefix=f"{key}.part-", dir=cache))
            try:
                make(part)
                part.rename(final)
            except BaseException:
                with contextlib.suppress(OSError):
                    (part / "log").replace(cache / f"{key}.log")
                shutil.rmtree(part, ignore_errors=True)
                raise
            (cache / f"{key}.log").unlink(missing_ok=True)
            _prune(cache, final)
            return final
    except OSError as problem:
        raise ToolError(f"The build cache {cache} cannot be used: {problem.strerror or problem}.") from problem


def run_logged(command: Sequence[str], folder: Path, what: str, environment: Mapping[str, str] | None = None) -> None:
    """Run a command of a build in the folder that `cached` gave; its ``log`` takes what it says.

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


def _touch(folder: Path) -> None:
    with contextlib.suppress(OSError):
        os.utime(folder)


def _prune(cache: Path, newest: Path) -> None:
    remove_stale(cache, "*.part-*")
    folders = [entry for entry in cache.iterdir() if entry.is_dir() and "." not in entry.name and entry != newest]
    folders.sort(key=lambda entry: entry.stat().st_mtime, reverse=True)
    for folder in folders[KEEP:]:
        shutil.rmtree(folder, ignore_errors=True)
        (cache / f"{folder.name}.lock").unlink(missing_ok=True)
