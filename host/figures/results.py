"""Results files: what a benchmark measured, with the command, revision, date, machine and hardware it was measured on.

Each lies in ``benchmarks/results/NAME.json``. A benchmark writes its own where it is given ``--record NAME``; pages
take their figures from there (`rtlm.host.figures.marks`).
"""

import contextlib
import datetime
import os
import platform
import shlex
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import click
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from rtlm.gen.common.cache import digest, write_whole
from rtlm.gen.common.errors import RtlmError
from rtlm.gen.configuration.load import load_config
from rtlm.gen.rtl.verilog import build_rtl, verilog_sha256

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "benchmarks" / "results"

Kind = Literal[
    "measured in RTL",
    "synthesised",
    "modelled",
    "estimated",
    "golden model",
    "measured on this computer",
]
"""What a figure can be; docs/report.md has the same words."""

SOURCE_FOLDERS = ("hw", "gen", "sim", "host", "constraints", ":!host/figures", ":!host/pages.py")
"""Where a change makes another revision of what is measured."""
RECORD = "--record"
STARTED = time.monotonic()

record_option = click.option(
    RECORD, "record_as", metavar="NAME", help="Write the figures to benchmarks/results/NAME.json too."
)


class FiguresError(RtlmError):
    """A page or a results file is not as it has to be."""


class _Plain(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Quantity(_Plain):
    """What the values of a key are.

    Parameters
    ----------
    unit
        Such as ``clock cycles``; ``1`` for a ratio.
    kind
        How they were obtained.
    """

    unit: str
    kind: Kind


class RtlSource(_Plain):
    """Hardware that results depend on.

    Parameters
    ----------
    config, overrides
        Preset, and the keys that were changed.
    verilog_sha256
        Of the generated Verilog; None where it was not written down.
    """

    config: str
    overrides: tuple[str, ...] = ()
    verilog_sha256: str | None = None


class TextSource(_Plain):
    """Files of this repository that results depend on.

    Parameters
    ----------
    paths
        Files, and folders whose Python files are meant.
    sha256
        Of their content; None where it was not written down.
    """

    paths: tuple[str, ...]
    sha256: str | None = None


class Results(_Plain):
    """What one command measured.

    Parameters
    ----------
    command
        It renews this file; without ``--record`` it only prints.
    date, revision, machine
        When, on which commit, on what processor.
    seconds
        How long it took.
    rtl, source
        What the values depend on. Where that has changed since, they are out of date.
    tools
        Versions of other programs that decide the values.
    quantities
        Unit and kind of each key of `values` that stands for numbers.
    values
        Numbers, and lists and mappings of them; texts and truths need no unit.
    """

    command: str
    date: datetime.date
    revision: str
    machine: str
    seconds: float | None = None
    rtl: tuple[RtlSource, ...] = ()
    source: TextSource | None = None
    tools: dict[str, str] = {}
    quantities: dict[str, Quantity]
    values: dict[str, Any]

    @model_validator(mode="after")
    def _every_number_has_a_unit(self) -> "Results":
        if missing := sorted(
            {keys[-1] for keys in _keys_of_numbers(self.values) if not set(keys) & set(self.quantities)}
        ):
            raise ValueError(
                f"quantities must have the unit and kind of every number, got none for {', '.join(missing)}"
            )
        return self

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of its figures, each once."""
        return tuple(dict.fromkeys(quantity.kind for quantity in self.quantities.values()))

    def renewal(self, name: str) -> str:
        """Return the command that renews the file of this name."""
        return f"{self.command} {RECORD} {name}"


def _keys_of_numbers(value: Any, keys: tuple[str, ...] = ()) -> Iterable[tuple[str, ...]]:
    """Yield the keys that lead to each number."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _keys_of_numbers(inner, (*keys, key))
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _keys_of_numbers(inner, keys)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield keys


def load_results(folder: Path = FOLDER) -> dict[str, Results]:
    """Return all results files by name.

    Raises
    ------
    FiguresError
        If one is not a results file.
    """
    found = {}
    for path in sorted(folder.glob("*.json")):
        try:
            found[path.stem] = Results.model_validate_json(path.read_text(encoding="utf-8"))
        except ValidationError as error:
            problem = error.errors()[0]
            where = ".".join(map(str, problem["loc"]))
            raise FiguresError(f"{path.name} is not a results file: {where}: {problem['msg']}.") from None
    return found


def record(
    name: str | None,
    values: Mapping[str, Any],
    quantities: Mapping[str, tuple[str, Kind]],
    *,
    seconds: float | None = None,
    rtl: Iterable[tuple[str, Sequence[str]]] = (),
    source: Iterable[str] = (),
    tools: Mapping[str, str] | None = None,
) -> None:
    """Write a results file of what the running benchmark measured.

    Parameters
    ----------
    name
        Of the file, what ``--record`` was given; None writes nothing.
    values, quantities
        The figures; unit and kind by key, see `Results`.
    seconds
        How long it took; by default since the process started.
    rtl
        Presets, each with the keys that were changed, on which the values depend.
    source
        Files and folders of the repository on which they depend.
    tools
        Versions of other programs on which they depend.
    """
    if name is None:
        return
    paths = tuple(source)
    results = Results(
        command=command_line(sys.argv, running_module()),
        date=datetime.datetime.now(datetime.UTC).date(),
        revision=revision(),
        machine=machine(),
        seconds=round(time.monotonic() - STARTED if seconds is None else seconds),
        rtl=tuple(
            RtlSource(config=config, overrides=tuple(overrides), verilog_sha256=todays_verilog(config, overrides))
            for config, overrides in rtl
        ),
        source=TextSource(paths=paths, sha256=text_hash(paths)) if paths else None,
        tools=dict(tools or {}),
        quantities={key: Quantity(unit=unit, kind=kind) for key, (unit, kind) in quantities.items()},
        values=dict(values),
    )
    FOLDER.mkdir(exist_ok=True)
    write_whole(FOLDER / f"{name}.json", results.model_dump_json(indent=1, exclude_defaults=True) + "\n")


def running_module() -> str | None:
    """Return the module that ``python -m`` runs; None where it runs a file."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return spec.name if spec and spec.name.startswith("benchmarks.") else None


def command_line(arguments: Sequence[str], module: str | None = None) -> str:
    """Return the command of a running benchmark as one types it in the repository, without ``--record NAME``.

    Parameters
    ----------
    arguments
        As in `sys.argv`.
    module
        What ``python -m`` runs; None for a file.
    """
    script, *rest = arguments
    if RECORD in rest:
        place = rest.index(RECORD)
        del rest[place : place + 2]
    path = Path(script).resolve()
    program = ["-m", module] if module else [str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else path.name]
    return shlex.join(["python", *program, *rest])


def revision() -> str:
    """Return the last commit that changed hardware or programs, with ``+`` where they differ from it."""
    try:
        commit = _git("log", "-1", "--format=%h", "--abbrev=10", "--", *SOURCE_FOLDERS)
        return commit + "+" * bool(_git("status", "--porcelain", "--", *SOURCE_FOLDERS))
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def machine() -> str:
    """Return the model of the processor and the number of cores that this process may use."""
    model = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), model)
    return f"{model}, {len(os.sched_getaffinity(0))} cores"


def text_hash(paths: Iterable[str]) -> str:
    """Return the hash of files of the repository, and of the Python files directly in folders.

    Parameters
    ----------
    paths
        From the root of the repository; a file that is not there makes another hash.
    """
    files = [
        file
        for path in paths
        for file in (sorted((ROOT / path).glob("*.py")) if (ROOT / path).is_dir() else [ROOT / path])
    ]
    content = {file.relative_to(ROOT).as_posix(): file.read_bytes() if file.is_file() else None for file in files}
    return digest(*(part for each in content.items() for part in each))


def todays_verilog(config: str, overrides: Sequence[str], *, generate: bool = True) -> str | None:
    """Return the SHA-256 of a configuration's Verilog today.

    Parameters
    ----------
    config, overrides
        Preset and changed keys.
    generate
        Whether it is generated where it is not in the cache, which takes up to minutes; None is returned otherwise.
    """
    loaded = load_config(config, overrides)
    if generate:
        return str(build_rtl(loaded).manifest["verilog_sha256"])
    return verilog_sha256(loaded)
