"""A cache of finished folders by content hash, safe against killed and parallel builds."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from .verilator import ToolError

KEEP = 48  # finished folders that stay when a new one is added
STALE_SECONDS = 24 * 3600  # age of an unfinished folder whose process was certainly killed


def cache_folder() -> Path:
    """Return the folder for builds in the user's cache folder, by the XDG base directory specification."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "rtlm" / "sim"


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
        Instead of `cache_folder`.
    waiting : callable, optional
        Called when another process is making the same folder.
    """
    cache = cache or cache_folder()
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


def _touch(folder: Path) -> None:
    with contextlib.suppress(OSError):
        os.utime(folder)


def _prune(cache: Path, newest: Path) -> None:
    for part in cache.glob("*.part-*"):
        with contextlib.suppress(OSError):
            if time.time() - part.stat().st_mtime > STALE_SECONDS:
                shutil.rmtree(part)
    folders = [entry for entry in cache.iterdir() if entry.is_dir() and "." not in entry.name and entry != newest]
    folders.sort(key=lambda entry: entry.stat().st_mtime, reverse=True)
    for folder in folders[KEEP:]:
        shutil.rmtree(folder, ignore_errors=True)
        (cache / f"{folder.name}.lock").unlink(missing_ok=True)
