"""Energies of standard cells from their liberty file, and the cells of the preset ``asic``, for estimates of power.

Reads Debian's qflow-tech-osu018, fetched if need be, and synthesises the preset unless that is in the cache (some half
an hour). Prints the library's typical net and the energies of its most frequent cells.

Usage::

    python benchmarks/cell_power.py [--record]
"""

import json
from collections import Counter
from dataclasses import asdict

import click
from rtlm.gen.common.progress import TerminalProgress
from rtlm.gen.configuration.schema import config_hash
from rtlm.gen.synthesis import asic
from rtlm.gen.synthesis.cell_counts import keep_cells, unit_cells
from rtlm.gen.synthesis.cell_energy import cell_energies
from rtlm.gen.synthesis.synthesise import accelerator_netlist, configuration_for, synthesise
from rtlm.gen.synthesis.targets import ASIC
from rtlm.gen.synthesis.timing.cells import load_conditions
from rtlm.host.power.cells import RECORD
from rtlm.hw.common.markdown import table

PRESET = "asic"
SHOWN = 12


@click.command()
@click.option("--record", is_flag=True, help="Write what estimates use.")
def main(record: bool) -> None:
    """Print the energies."""
    config, _ = configuration_for(PRESET, [], ASIC)
    netlist = accelerator_netlist(config)
    progress = TerminalProgress()
    try:
        result = synthesise(netlist, target=ASIC, progress=progress.stage)
        library = asic.liberty(progress.stage)
    finally:
        progress.close()
    if not library:
        raise click.ClickException(f"{asic.LIBERTY_PACKAGE}, the standard cells, cannot be fetched.")
    keep_cells(config, result, netlist)
    units = unit_cells(result, netlist)
    counts: Counter[str] = Counter()
    for unit in units.values():
        counts.update(unit.cells)
    text = library.read_text(encoding="utf-8")
    energies = cell_energies(text, counts, load_conditions().wire_pf_per_sink)
    print(f"{sum(counts.values()):,.0f} cells; net: {energies.load_pf:.4f} pF, {energies.slew_ns:.3f} ns")
    common = [(name, energies.cells[name], count) for name, count in counts.most_common(SHOWN)]
    rows = (
        (name, f"{count:,.0f}", f"{each.toggle_pj:.4f}", f"{each.clock_pj:.4f}", f"{each.leakage_nw:.4f}")
        for name, each, count in common
    )
    print(table(("cell", "number", "pJ a toggle", "pJ a clock cycle", "leakage nW"), rows, numbers=True))
    if record:
        values = {
            "library": f"{asic.LIBERTY_PACKAGE} {result.tools.get(asic.LIBERTY_PACKAGE, '')}".strip(),
            "energies": _rounded(asdict(energies)),
            "preset": {
                "name": PRESET,
                "hash": config_hash(config),
                "units": {unit: _rounded(asdict(each)) for unit, each in units.items()},
            },
        }
        RECORD.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


def _rounded(values: object) -> object:
    """Return plain values with five significant digits."""
    if isinstance(values, dict):
        return {name: _rounded(each) for name, each in values.items()}
    return float(f"{values:.5g}") if isinstance(values, float) else values


if __name__ == "__main__":
    main()
