"""Results of tools that take long, cached by content: a finished folder with ``result.json``, logs and other files."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rtlm.gen.common.cache import cache_folder, finished_folder
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
        If the result cannot be stored, or what is stored cannot be read.
    """
    folder = cache_folder(kind, key)
    path = folder / RESULT
    try:
        cached = path.is_file()
        if not cached:
            with finished_folder(folder) as unfinished:
                (unfinished / RESULT).write_text(json.dumps(make(unfinished), indent=1) + "\n", encoding="utf-8")
        return Stored(json.loads(path.read_text(encoding="utf-8")), folder, cached)
    except OSError as error:
        raise GenerateError(f"The result could not be stored in {folder}: {error.strerror or error}.") from error
    except ValueError as error:
        raise _damaged(folder, RESULT) from error


def _damaged(folder: Path, name: str) -> GenerateError:
    return GenerateError(f"{folder / name} is damaged; delete the folder {folder} and try again.")
