"""Mutation testing: breaks RTL, models and packer one way at a time, in a copy, and shows that some check notices.

::

    python benchmarks/mutations.py                    # all; about an hour on two idle cores
    python benchmarks/mutations.py --check prove      # those that a proof must find, in minutes
    python benchmarks/mutations.py --only limit-off-by-one --json mutations.json

A mutation replaces one piece of source text. The check that covers it runs on the copy and must fail (exit code 1: a
test or proof that is negative; anything else is an error of the script). Each check first runs on an unchanged copy.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from mutation_table import MUTATIONS, Mutation

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("hw", "gen", "sim", "host")
TIMEOUT_S = 3600
FAILED = 1


def command(check: str) -> list[str]:
    """Give the command of a check: ``prove NAME``, ``bench UNIT/SET [TESTS]`` or ``pytest ARGUMENT...``."""
    kind, *words = check.split()
    rtlm = [sys.executable, "-c", "from rtlm.host.cli import main; main()"]
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
    """Run a check in a copy; give its exit code and its last lines."""
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            command(check), cwd=folder, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S
        )
    except subprocess.TimeoutExpired:
        return -1, f"no end within {TIMEOUT_S} s"
    return done.returncode, "\n".join((done.stdout + done.stderr).strip().splitlines()[-6:])


def examine(mutations: Iterable[Mutation], log: bool = True) -> list[dict[str, object]]:
    """Try mutations; give, for each, its name, check, fate (killed, survived or invalid), seconds and last lines."""
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line; the exit code is 1 if a mutation survived, 2 if one could not be judged."""
    parser = argparse.ArgumentParser(description="Break the source one way at a time; some check must notice.")
    parser.add_argument("--check", metavar="TEXT", default="", help="only mutations whose check contains this")
    parser.add_argument("--only", metavar="NAME", help="only the mutation of this name")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results")
    options = parser.parse_args(arguments)
    chosen = [m for m in MUTATIONS if options.check in m.check and options.only in (None, m.name)]
    records = examine(chosen)
    fates = [record["fate"] for record in records]
    print(f"{fates.count('killed')} of {len(fates)} killed, {fates.count('survived')} survived")
    if options.json:
        options.json.write_text(json.dumps(records, indent=2) + "\n")
    return 2 if "invalid" in fates else 1 if "survived" in fates else 0


if __name__ == "__main__":
    sys.exit(main())
