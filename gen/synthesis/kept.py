"""What a synthesis found in an accelerator, kept by all that its RTL depends on, for estimates of its power."""

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from rtlm.gen.common.cache import cache_folder, write_whole
from rtlm.gen.configuration.schema import Configuration
from rtlm.gen.rtl.verilog import rtl_key

T = TypeVar("T")


def keep(kind: str, config: Configuration, values: Any) -> None:
    """Keep plain values of an accelerator.

    Parameters
    ----------
    kind
        Folder of such values below the cache.
    config
        The accelerator.
    values
        What JSON can hold.

    Raises
    ------
    OSError
        If they cannot be written.
    """
    path = _path(kind, config)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(values))


def kept(kind: str, config: Configuration, read: Callable[[Any], T]) -> T | None:
    """Return what was kept of an accelerator; None where there is nothing that can be read.

    Parameters
    ----------
    kind, config
        As for `keep`.
    read
        Makes of the values what they stand for, and raises ValueError, TypeError, LookupError or AttributeError where
        they are something else.
    """
    if not cache_folder(kind).is_dir():
        return None
    with contextlib.suppress(OSError, ValueError, TypeError, AttributeError, LookupError):
        return read(json.loads(_path(kind, config).read_text(encoding="utf-8")))
    return None


def _path(kind: str, config: Configuration) -> Path:
    return cache_folder(kind) / f"{rtl_key(config)}.json"
