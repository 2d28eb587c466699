"""The user's cache directory; folders and files that appear whole or not at all."""

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

STALE_SECONDS = 24 * 3600
"""Age at which an unfinished folder is taken to be left over from a process that was killed."""


def cache_folder(*parts: str) -> Path:
    """Return a folder below ``$XDG_CACHE_HOME/rtlm`` (``~/.cache/rtlm``); it need not exist yet."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return Path(base if os.path.isabs(base) else Path.home() / ".cache", "rtlm", *parts)


def remove_stale(folder: Path, pattern: str) -> None:
    """Remove unfinished folders of processes that were killed: those that match `pattern` and are old."""
    for stale in folder.glob(pattern):
        with contextlib.suppress(OSError):
            if time.time() - stale.stat().st_mtime > STALE_SECONDS:
                shutil.rmtree(stale)


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


@contextlib.contextmanager
def finished_folder(target: Path) -> Iterator[Path]:
    """Yield a temporary folder that becomes `target` when the block ends without an exception.

    Whoever comes second when two processes make the same folder discards theirs.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    remove_stale(target.parent, ".unfinished-*")
    folder = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=target.parent))
    try:
        yield folder
        folder.chmod(0o755)
        with contextlib.suppress(FileExistsError, OSError):
            folder.rename(target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if not target.is_dir():
        raise OSError(f"the folder {target} could not be made")
