"""Text of Tcl scripts."""

from collections.abc import Iterable, Mapping
from importlib import resources


def lines(entries: Iterable[str]) -> str:
    """Return the entries of a list in a procedure, one a line."""
    return "\n".join(f"        {entry}" for entry in entries)


def filled(name: str, values: Mapping[str, str]) -> str:
    """Return a script of this package with values in place of the names between at signs.

    Parameters
    ----------
    name
        Name of its file.
    values
        Value by name.
    """
    text = (resources.files(__package__ or "") / name).read_text(encoding="utf-8")
    for key, value in values.items():
        text = text.replace(f"@{key}@", value)
    return text
