"""The user's cache: folders that appear whole or not at all, made by one process at a time, the oldest removed."""

import contextlib
import functools
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from filelock import FileLock, Timeout
from platformdirs import user_cache_path
from rtlm.gen.common.errors import ToolError

KEEP = 48
"""Finished folders that stay when a new one is added."""
STALE_SECONDS = 24 * 3600
"""Age at which an unfinished folder is taken to be left over from a process that was killed."""


def cache_folder(*parts: str) -> Path:
    """Return a folder below the user's cache, ``$XDG_CACHE_HOME/rtlm`` or ``~/.cache/rtlm``; it need not exist yet."""
    return user_cache_path("rtlm").joinpath(*parts)


def digest(*parts: object) -> str:
    """Return a key for texts, bytes and anything else with a stable ``str``.

    Parameters
    ----------
    *parts
        What the cached result depends on.
    """
    total = hashlib.sha256()
    for part in parts:
        data = part if isinstance(part, bytes) else str(part).encode()
        total.update(len(data).to_bytes(8, "little"))
        total.update(data)
    return total.hexdigest()[:32]


@contextlib.contextmanager
def locked(path: Path, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold a lock between processes, which ends with the process at the latest.

    Parameters
    ----------
    path
        File of the lock; it stays.
    waiting
        Called when another process holds it.
    """
    lock = FileLock(path)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        waiting()
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def cached(
    key: str,
    make: Callable[[Path], None],
    *,
    cache: Path,
    keep: int | None = KEEP,
    usable: Callable[[Path], bool] = lambda folder: True,
    waiting: Callable[[], None] = lambda: None,
) -> Path:
    """Return the finished folder of a key, making it if it is not there.

    The folder is made under another name and renamed when it is complete; a lock for each key keeps two processes from
    making it twice. What a killed process left is removed by the next that makes the same key.

    Parameters
    ----------
    key
        Name of the folder, such as a `digest`; without dots.
    make
        Fills the folder it is given; an exception leaves nothing behind but ``KEY.log``, if it wrote ``log`` there.
    cache
        Where the folders of this kind lie, a `cache_folder`.
    keep
        Finished folders that stay when a new one is added, those that were used last; None removes none.
    usable
        Whether a finished folder can be used; one that cannot is made again.
    waiting
        Called when another process is making the same folder.

    Raises
    ------
    ToolError
        If files cannot be written.
    """
    final = cache / key
    try:
        if final.is_dir() and usable(final):
            _touch(final)
            return final
        cache.mkdir(parents=True, exist_ok=True)
        with locked(cache / f"{key}.lock", waiting):
            for stale in cache.glob(f"{key}.part-*"):
                shutil.rmtree(stale, ignore_errors=True)
            if final.is_dir():
                if usable(final):
                    return final
                shutil.rmtree(final)
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
            if keep is not None:
                _prune(cache, final, keep)
            return final
    except OSError as problem:
        raise ToolError(f"The cache {cache} cannot be used: {problem.strerror or problem}.") from problem


def remembered(kind: str, source: Iterable[ModuleType], *parts: object, compute: Callable[[], Any]) -> Any:
    """Return a JSON value that follows from source and arguments alone, computed the first time and then read.

    A cache that cannot be read or written costs the time to compute it again.

    Parameters
    ----------
    kind
        Folder of the values below the cache.
    source
        Packages whose text decides the value, with what the arguments do not say.
    *parts
        The arguments, see `digest`.
    compute
        Returns the value.
    """
    path = cache_folder(kind, f"{digest(source_key(source), *parts)}.json")
    with contextlib.suppress(OSError, ValueError):
        return json.loads(path.read_text(encoding="utf-8"))
    value = compute()
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(value))
    return value


def source_key(source: Iterable[ModuleType]) -> str:
    """Return a key of the source of packages."""
    return digest(*(_package_digest(package.__path__[0]) for package in source))


@functools.cache
def _package_digest(folder: str) -> str:
    """Return the key of a package's source."""
    return digest(*(path.read_bytes() for path in sorted(Path(folder).rglob("*.py"))))


def write_whole(path: Path, text: str) -> None:
    """Write a text file that is whole whenever it is there, whoever else writes it.

    Raises
    ------
    OSError
        If it cannot be written; what was there before stays.
    """
    unfinished = path.with_name(f".{path.name}.unfinished-{os.getpid()}")
    try:
        unfinished.write_text(text, encoding="utf-8", newline="\n")
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _touch(folder: Path) -> None:
    """Note that a folder was used."""
    with contextlib.suppress(OSError):
        os.utime(folder)


def _prune(cache: Path, newest: Path, keep: int) -> None:
    """Remove unfinished folders of processes that were killed, and finished ones that were not used for longest."""
    for stale in cache.glob("*.part-*"):
        with contextlib.suppress(OSError):
            if time.time() - stale.stat().st_mtime > STALE_SECONDS:
                shutil.rmtree(stale)
    folders = [entry for entry in cache.iterdir() if entry.is_dir() and "." not in entry.name and entry != newest]
    folders.sort(key=lambda entry: entry.stat().st_mtime, reverse=True)
    for folder in folders[keep:]:
        path = cache / f"{folder.name}.lock"
        with contextlib.suppress(Timeout), FileLock(path, blocking=False):
            shutil.rmtree(folder, ignore_errors=True)
            path.unlink(missing_ok=True)
