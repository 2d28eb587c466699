"""Energies of standard cells from their liberty file, and the cells of the preset ``asic``, for estimates of power.

Reads Debian's qflow-tech-osu018, fetched if need be, or any liberty file, and synthesises the preset unless that is in
the cache (some half an hour). Prints the library's typical net and the energies of its most frequent cells. Estimates
take a library of another name with ``constraints/power-NAME.yaml`` beside its record.

Usage::

    python benchmarks/cell_power.py [--liberty FILE --name NAME] [--record]
"""

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import click
from rtlm.gen.common.progress import TerminalProgress
from rtlm.gen.configuration.schema import config_hash
from rtlm.gen.synthesis import asic
from rtlm.gen.synthesis.accelerator import synthesise_accelerator
from rtlm.gen.synthesis.cell_counts import unit_cells
from rtlm.gen.synthesis.cell_energy import cell_energies
from rtlm.gen.synthesis.synthesise import configuration_for
from rtlm.gen.synthesis.targets import ASIC
from rtlm.gen.synthesis.timing.cells import conditions_for
from rtlm.host.power.cells import record_path
from rtlm.host.power.libraries import OSU018
from rtlm.hw.common.markdown import table

PRESET = "asic"
SHOWN = 12


@click.command()
@click.option("--liberty", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Another library.")
@click.option("--name", default=OSU018, show_default=True, help="What it is recorded as.")
@click.option("--source", default="", help="Where it is from, with licence and revision.")
@click.option("--record", is_flag=True, help="Write what estimates use.")
def main(liberty: Path | None, name: str, source: str, record: bool) -> None:
    """Print the energies."""
    config, _ = configuration_for(PRESET, [], ASIC)
    progress = TerminalProgress()
    try:
        result, netlist = synthesise_accelerator(config, target=ASIC, liberty=liberty, progress=progress.stage)
        library = liberty or asic.liberty(progress.stage)
    finally:
        progress.close()
    if not library:
        raise click.ClickException(f"{asic.LIBERTY_PACKAGE}, the standard cells, cannot be fetched.")
    units = unit_cells(result, netlist)
    counts: Counter[str] = Counter()
    for unit in units.values():
        counts.update(unit.cells)
    text = library.read_text(encoding="utf-8")
    wire_pf = conditions_for(liberty).wire_pf_per_sink
    energies = cell_energies(text, counts, wire_pf)
    print(f"{sum(counts.values()):,.0f} cells; net: {energies.load_pf:.4f} pF, {energies.slew_ns:.3f} ns")
    common = [(cell, energies.cells[cell], count) for cell, count in counts.most_common(SHOWN)]
    rows = (
        (cell, f"{count:,.0f}", f"{each.toggle_pj:.4f}", f"{each.clock_pj:.4f}", f"{each.leakage_nw:.4f}")
        for cell, each, count in common
    )
    print(table(("cell", "number", "pJ a toggle", "pJ a clock cycle", "leakage nW"), rows, numbers=True))
    if record:
        values = {
            "library": ", ".join(f"{tool} {version}" for tool, version in result.tools.items() if tool != "yosys"),
            **({"source": source} if source else {}),
            "wire_pf": wire_pf,
            "energies": _rounded(asdict(energies)),
            "preset": {
                "name": PRESET,
                "hash": config_hash(config),
                "units": {unit: _rounded(asdict(each)) for unit, each in units.items()},
            },
        }
        record_path(name).write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


def _rounded(values: object) -> object:
    """Return plain values with five significant digits."""
    if isinstance(values, dict):
        return {name: _rounded(each) for name, each in values.items()}
    return float(f"{values:.5g}") if isinstance(values, float) else values


if __name__ == "__main__":
    main()
