"""Results of tools that take long, cached by content: a finished folder with ``result.json``, logs and other files."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rtlm.gen.common.cache import cache_folder, cached
from rtlm.gen.common.errors import GenerateError

RESULT = "result.json"


@dataclass(frozen=True)
class Stored:
    """A result in the cache.

    Parameters
    ----------
    values
        Plain values.
    folder
        Where it lies, with whatever else was left there.
    cached
        Whether it was there before.
    """

    values: dict[str, Any]
    folder: Path
    cached: bool

    def read_bytes(self, name: str) -> bytes:
        """Read a file that was left beside the values.

        Raises
        ------
        GenerateError
            If it cannot be read.
        """
        try:
            return (self.folder / name).read_bytes()
        except OSError as error:
            raise _damaged(self.folder, name) from error


def result_key(parts: Sequence[Any], netlist: str) -> str:
    """Hash a netlist, and plain values that stand for everything else that a result depends on."""
    digest = hashlib.sha256(json.dumps(parts).encode())
    digest.update(netlist.encode())
    return digest.hexdigest()[:32]


def stored(kind: str, key: str, make: Callable[[Path], dict[str, Any]]) -> Stored:
    """Return a result from the cache, or make it now.

    Parameters
    ----------
    kind
        Folder of the cache.
    key
        From `result_key`.
    make
        Returns the values; it is called with an empty folder, which is kept if it succeeds.

    Raises
    ------
    GenerateError
        If what is stored cannot be read.
    ToolError
        If the result cannot be stored.
    """
    made = False

    def store(folder: Path) -> None:
        nonlocal made
        made = True
        (folder / RESULT).write_text(json.dumps(make(folder), indent=1) + "\n", encoding="utf-8")

    # Small, and half an hour of work each: none is removed.
    folder = cached(key, store, cache=cache_folder(kind), keep=None, usable=lambda found: (found / RESULT).is_file())
    try:
        return Stored(json.loads((folder / RESULT).read_text(encoding="utf-8")), folder, not made)
    except (OSError, json.JSONDecodeError) as error:
        raise _damaged(folder, RESULT) from error


def _damaged(folder: Path, name: str) -> GenerateError:
    return GenerateError(f"{folder / name} is damaged; delete the folder {folder} and try again.")
