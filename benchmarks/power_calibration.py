"""Fit of an UltraScale+ FPGA's energies to power measured on a board, and their error on kernels the fit never saw.

The data is PowerGear's (Z. Lin and others, DATE'22; github.com/zlinaf/PowerGear, MIT licence) as two CSV files, which
are no part of this project: ``powergear_zcu102.csv``, with the resources, toggles and dynamic power of 785 designs, and
``powergear_zcu102_power_only.csv``, with static and dynamic power of 4,580 others. What is fitted, and to what, is in
`rtlm.host.power.calibration`; the energies that came out are in ``constraints/power-xilinx-us+.yaml``.

Usage::

    python benchmarks/power_calibration.py --data DIR [--json FILE]
    python benchmarks/power_calibration.py --data DIR --record    # the figures that docs/power.md shows
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from rtlm.gen.common.errors import RtlmError
from rtlm.host.power.calibration import (
    DESIGNS_FILE,
    POWER_FILE,
    RECORD,
    TERMS,
    Calibration,
    Static,
    calibrate,
    read_designs,
    read_static,
    spread,
    together,
)
from rtlm.hw.common.markdown import table


@click.command()
@click.option(
    "--data",
    "folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help=f"Folder with {DESIGNS_FILE} and {POWER_FILE}.",
)
@click.option("--json", "to_json", type=click.Path(dir_okay=False, path_type=Path), help="Write the figures, too.")
@click.option("--record", is_flag=True, help="Write the figures that docs/power.md shows.")
def main(folder: Path, to_json: Path | None, record: bool) -> None:
    """Fit, and print energies and errors."""
    try:
        found = calibrate(read_designs(folder / DESIGNS_FILE))
        static = read_static(folder / POWER_FILE)
    except RtlmError as error:
        raise click.ClickException(str(error)) from None
    print(markdown(found, static))
    for path in [*([to_json] if to_json else []), *([RECORD] if record else [])]:
        path.write_text(json.dumps(rounded(figures(found, static)), indent=1) + "\n", encoding="utf-8")


def markdown(found: Calibration, static: Static) -> str:
    """Write energies and errors as tables."""
    energies = (
        (name, f"{found.pj[name]:.4g}", f"{found.low_pj[name]:.4g} to {found.high_pj[name]:.4g}", meaning)
        for name, meaning in TERMS.items()
    )
    rows = [
        ("test: each kernel with energies of the others", *_cells(found.test)),
        ("test: each family with energies of the others", *_cells(found.families)),
        ("train: all", *_cells({"all": found.train})),
        *((f"`{kernel}`, never seen", *_cells({kernel: errors})) for kernel, errors in found.test.items()),
        *((f"{family}, never seen", *_cells({family: errors})) for family, errors in found.families.items()),
        *((f"kernels never seen, {terms}", *_cells({terms: errors})) for terms, errors in found.ladder.items()),
    ]
    return "\n".join(
        [
            table(("event", "pJ", "over the folds", "what it is"), energies),
            table(("designs", "number", "mean error", "median", "90 %", "bias"), rows, numbers=True),
            f"Static power of {static.designs:,} designs that wait: {static.least:.3f} W at least, "
            f"{static.median:.3f} W median, {static.most:.3f} W for 95 %; "
            f"{static.below_zero} have a dynamic power below 0.",
        ]
    )


def figures(found: Calibration, static: Static) -> dict:
    """Return energies and errors as plain values."""
    return {
        "pj": dict(found.pj),
        "low_pj": dict(found.low_pj),
        "high_pj": dict(found.high_pj),
        "train": asdict(spread(found.train)),
        "test": asdict(spread(together(found.test))),
        "families": asdict(spread(together(found.families))),
        **{
            name: {group: asdict(spread(errors)) for group, errors in groups.items()}
            for name, groups in (("by_kernel", found.test), ("by_family", found.families), ("by_terms", found.ladder))
        },
        "static": asdict(static),
    }


def rounded(values: Any) -> Any:
    """Return plain values with five significant digits."""
    if isinstance(values, dict):
        return {name: rounded(value) for name, value in values.items()}
    return float(f"{values:.5g}") if isinstance(values, float) else values


def _cells(errors: Mapping[str, NDArray[np.float64]]) -> tuple[str, ...]:
    one = spread(together(errors))
    shares = (one.mean, one.median, one.p90)
    return str(one.designs), *(f"{share:.1%}" for share in shares), f"{one.bias:+.1%}"


if __name__ == "__main__":
    main()
