"""Fit of the wire model of static timing to routed ECP5 designs, and its error on those that nothing is fitted to.

Units of `ecp5-85k` are placed and routed by nextpnr (speed grade 6, seed 1, the preset's clock), each in its harness
of registers. Every other one in the list is held out. For each the clock of
the mapped netlist is computed with the delays of ``constraints/timing-ecp5.yaml``; `--fit` finds the wires that come
closest to the routed clocks of the others.

Usage::

    python benchmarks/static_timing.py --fit      # wires from the units that are not held out
    python benchmarks/static_timing.py --record   # clocks of all units, routed and predicted, into data
    python benchmarks/static_timing.py            # the error that stands there

A unit takes 1 to 6 minutes of a core; results are cached, so that an interrupted run goes on where it stopped.
"""

import json
import math
from collections.abc import Mapping
from itertools import product
from pathlib import Path

import click
from rtlm.gen.common.progress import TerminalProgress
from rtlm.gen.synthesis.netlist import cut
from rtlm.gen.synthesis.place import Placement
from rtlm.gen.synthesis.synthesise import accelerator_netlist, configuration_for, place_unit
from rtlm.gen.synthesis.timing.graph import Graph, arrive, build
from rtlm.gen.synthesis.timing.static import flat_netlist
from rtlm.gen.synthesis.timing.technology import Wires, load_delays
from rtlm.hw.common.markdown import table

PRESET, TARGET = "ecp5-85k", "ecp5"
RECORD = Path(__file__).parent / "data" / "static_timing.json"
UNITS = (
    "vector.routes.swiglu",
    "writer",
    "vector.routes.rope",
    "matmul.array",
    "reader",
    "vector.routes.quantise",
    "sequencer.queue",
    "registers",
)
"""Places below the top; the second, fourth and so on are held out."""
FANOUT_NS, BLOCK_NS = 0.16, 0.55
"""Slopes of the mean delay of routed nets (nextpnr's --sdf): 0.166 and 0.150 in the first two units; out of and into a
multiplier 0.818 and 0.344 in `vector.routes.rope`, 0.698 and 0.413 in `vector.routes.swiglu`."""
FIXED_NS, PATH_NS = [n / 20 for n in range(4, 25)], [n / 4 for n in range(0, 13)]
"""What the fit tries."""


def held_out(unit: str) -> bool:
    """Return whether nothing is fitted to a unit."""
    return UNITS.index(unit) % 2 == 1


def fit(graphs: Mapping[str, Graph], routed: Mapping[str, float]) -> Wires:
    """Return the wires with which the predicted clocks come closest to the routed ones: least squares of logarithms.

    Parameters
    ----------
    graphs, routed
        Netlists, and their routed clocks in MHz.
    """
    return min(
        (
            Wires(fixed_ns=fixed, fanout_ns=FANOUT_NS, block_ns=BLOCK_NS, path_ns=path)
            for fixed, path in product(FIXED_NS, PATH_NS)
        ),
        key=lambda wires: sum(math.log(clock(graph, wires) / routed[unit]) ** 2 for unit, graph in graphs.items()),
    )


def clock(graph: Graph, wires: Wires) -> float:
    """Return the clock in MHz that wires allow."""
    return 1000 / arrive(graph, wires).period_ns


def report(record: Mapping[str, Mapping]) -> str:
    """Write the table of routed and predicted clocks, and the error of the units that are held out."""
    rows, errors = [], []
    for unit, row in record.items():
        off = row["predicted_mhz"] / row["routed_mhz"] - 1
        errors += [off] * row["held_out"]
        numbers = f"{row['cells']:,}", f"{row['routed_mhz']:.1f}", f"{row['predicted_mhz']:.1f}", f"{off:+.1%}"
        rows.append((f"`{unit}`", *numbers, "held out" if row["held_out"] else "fitted to"))
    mean = sum(map(abs, errors)) / len(errors)
    return (
        table(("unit", "cells", "routed MHz", "predicted MHz", "error", ""), rows)
        + f"\n{len(errors)} held out: mean {mean:.1%}, largest {max(errors, key=abs):+.1%}."
    )


@click.command()
@click.option("--fit", "fitting", is_flag=True, help="Print the wires that fit the units that are not held out.")
@click.option("--record", is_flag=True, help="Write routed and predicted clocks of all units.")
def main(fitting: bool, record: bool) -> None:
    """Fit the wire model, or state its error."""
    if not fitting and not record:
        print(report(json.loads(RECORD.read_text())))
        return
    progress = TerminalProgress()
    config, _ = configuration_for(PRESET, [], TARGET)
    netlist, delays = accelerator_netlist(config), load_delays(TARGET)
    routed, graphs = {}, {}
    try:
        for unit in UNITS:
            if fitting and held_out(unit):
                continue
            text, top = cut(netlist, unit)
            how = Placement(clock_mhz=config.clock_mhz)
            routed[unit] = place_unit(text, top, TARGET, how, progress.stage).fmax_mhz
            graphs[unit] = build(flat_netlist(text, top, TARGET, progress.stage), delays)
    finally:
        progress.close()
    if fitting:
        print(fit(graphs, routed))
        return
    rows = {
        unit: {
            "held_out": held_out(unit),
            "cells": len(graph.netlist.cells),
            "routed_mhz": routed[unit],
            "predicted_mhz": round(clock(graph, delays.wires), 1),
        }
        for unit, graph in graphs.items()
    }
    RECORD.write_text(json.dumps(rows, indent=1) + "\n")
    print(report(rows))


if __name__ == "__main__":
    main()
