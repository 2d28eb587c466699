"""The JSON of a report as input: what everything that reads one checks first."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rtlm.gen.common.errors import RtlmError
from rtlm.gen.configuration.fields import shown, shown_key
from rtlm.host.reports.report import SCHEMA_VERSION

MAX_FILE_BYTES = 1 << 28
"""A run of 2048 steps writes 5 MB."""


def read_values(path: Path, writers: str) -> Any:
    """Return the values of a file, whatever they are.

    Parameters
    ----------
    path
        The file.
    writers
        What writes such files, with its verb.

    Raises
    ------
    RtlmError
        If it cannot be read, is too large or is not JSON.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise RtlmError(f"The report {path} cannot be read: {error.strerror}") from error
    if len(content) > MAX_FILE_BYTES:
        raise RtlmError(f"The report {path} must have at most {MAX_FILE_BYTES:,} bytes, got more")
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        raise RtlmError(f"The report {path} is not JSON; {writers}") from None


def check_version(values: Mapping[str, Any], name: str) -> None:
    """Refuse a report of another version.

    Raises
    ------
    RtlmError
        If it is one.
    """
    if values.get("version") != SCHEMA_VERSION:
        raise RtlmError(
            f"The version of the report {name} must be {SCHEMA_VERSION}, got {shown(values.get('version'))}"
        )


def place_of(entry: Mapping[str, Any]) -> str:
    """Return where a value is, from an error of pydantic; keys come from the file."""
    return f"{shown_key([str(part) for part in entry['loc']]):.80}"


def wrong_value(entry: Mapping[str, Any], name: str) -> str:
    """Say what is wrong with a value, from an error of pydantic."""
    message = entry["msg"][0].lower() + entry["msg"][1:]
    return f"The report {name} has a wrong value in {place_of(entry)}, got {shown(entry['input'])}: {message}"
