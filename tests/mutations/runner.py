"""Breaks a copy of the source in one place, and runs the check that has to notice."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from tests.mutations.table import Mutation

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("hw", "gen", "sim", "host")
TIMEOUT_S = 3600
FAILED = 1


def command(check: str) -> list[str]:
    """Return the command of a check: ``prove NAME``, ``bench UNIT/SET [TESTS]`` or ``pytest ARGUMENT...``."""
    kind, *words = check.split()
    rtlm = [sys.executable, "-c", "from rtlm.host.cli.main import main; main()"]
    if kind == "prove":
        return [*rtlm, "prove", *words, "-o", "build/prove"]
    if kind == "bench":
        return [
            *rtlm,
            "test",
            words[0],
            "-o",
            "build/test",
            "--seed",
            "1",
            *(["--tests", words[1]] if words[1:] else []),
        ]
    return [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *words]


def copy_tree(target: Path) -> None:
    """Copy the sources so that Python imports the copy: PYTHONPATH comes before an editable installation."""
    for name in PACKAGES:
        shutil.copytree(ROOT / name, target / "rtlm" / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "tests", target / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", target)


def mutate(folder: Path, mutation: Mutation) -> None:
    """Make the change in a copy.

    Raises
    ------
    ValueError
        If the text is not there exactly once.
    """
    path = folder / "rtlm" / mutation.file
    text = path.read_text(encoding="utf-8")
    if (count := text.count(mutation.old)) != 1:
        raise ValueError(
            f"{mutation.name}: {mutation.file} holds {mutation.old!r} {count} times; it must be there once"
        )
    path.write_text(text.replace(mutation.old, mutation.new), encoding="utf-8")


def run_check(folder: Path, check: str) -> tuple[int, str]:
    """Run a check in a copy; return its exit code and its last lines."""
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            command(check), cwd=folder, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S
        )
    except subprocess.TimeoutExpired:
        return -1, f"no end within {TIMEOUT_S} s"
    return done.returncode, "\n".join((done.stdout + done.stderr).strip().splitlines()[-6:])


def examine(mutations: Iterable[Mutation], log: bool = True) -> list[dict[str, object]]:
    """Try mutations; return, for each, its name, check, fate (killed, survived or invalid), seconds and last lines."""
    records: list[dict[str, object]] = []
    sound: dict[str, tuple[int, str]] = {}
    for mutation in mutations:
        started = time.perf_counter()
        if mutation.check not in sound:
            with tempfile.TemporaryDirectory() as name:
                copy_tree(Path(name))
                sound[mutation.check] = run_check(Path(name), mutation.check)
        code, text = sound[mutation.check]
        fate = "invalid"
        if code == 0:
            with tempfile.TemporaryDirectory() as name:
                copy_tree(Path(name))
                mutate(Path(name), mutation)
                code, text = run_check(Path(name), mutation.check)
            fate = {0: "survived", FAILED: "killed"}.get(code, "invalid")
        else:
            text = f"the check fails without the mutation (exit code {code}): {text}"
        seconds = round(time.perf_counter() - started, 1)
        records.append(
            {
                "mutation": mutation.name,
                "file": mutation.file,
                "check": mutation.check,
                "fate": fate,
                "seconds": seconds,
            }
            | ({"log": text} if fate != "killed" else {})
        )
        if log:
            print(f"{fate:9}{mutation.name:38}{mutation.file:32}{mutation.check}  ({seconds} s)", flush=True)
            if fate == "invalid":
                print("\n".join(f"         {line}" for line in text.splitlines()), flush=True)
    return records
