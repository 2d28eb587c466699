"""The optimisation ladder: what each measure against lost cycles brings and costs, from the plainest accelerator up.

Usage: ``python benchmarks/ladder.py [--context 128] [--json FILE]``. Each rung is the `kv260` preset with some
settings taken back, decoding one token of SmolLM2 (the last rung: eight sequences at once) in RTL behind the DRAM
model. Elements are estimated from the netlist. A rung needs a simulator build of its own, a minute or two each.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rtlm.gen.common.progress import TerminalProgress
from rtlm.gen.configuration.load import load_config
from rtlm.host.figures.results import record, record_option
from rtlm.host.models.download import fetch
from rtlm.host.models.model import LlamaModel
from rtlm.host.runtime.device import side_by_side
from rtlm.host.runtime.simulation import Simulation, simulate

TOKEN = 300
ELEMENTS = ("luts", "ffs", "dsps", "brams")
QUANTITIES = {
    "context": ("positions", "measured in RTL"),
    "cycles_per_token": ("clock cycles", "measured in RTL"),
    **{element: (element, "estimated") for element in ELEMENTS},
}


@dataclass(frozen=True)
class Rung:
    """One step of the ladder.

    Parameters
    ----------
    name
        What was changed against the rung before.
    overrides
        Settings against the preset.
    sequences
        Sequences that decode together.
    """

    name: str
    overrides: tuple[str, ...] = ()
    sequences: int = 1


SLOW_ATTENTION = "attention.bytes_per_cycle=16"
SHORT_BUFFER = "memory.prefetch_kib=32"

RUNGS = (
    Rung(
        "half the array, one burst at a time, the smallest buffer",
        ("matmul.lanes=64", "memory.outstanding=1", SHORT_BUFFER, SLOW_ATTENTION),
    ),
    Rung("as many lanes as weights arrive", ("memory.outstanding=1", SHORT_BUFFER, SLOW_ATTENTION)),
    Rung("two bursts in flight on each port", ("memory.outstanding=2", SHORT_BUFFER, SLOW_ATTENTION)),
    Rung("four bursts in flight", (SHORT_BUFFER, SLOW_ATTENTION)),
    Rung("prefetch buffer of four bursts", (SLOW_ATTENTION,)),
    Rung("attention at the memory's rate: the preset"),
    Rung("eight columns, eight sequences", ("matmul.columns=8",), 8),
)


def decode(simulation: Simulation, context: int, sequences: int) -> int:
    """Decode one token of each sequence and give the cycles; the KV cache's content makes no difference to them."""
    columns = side_by_side((TOKEN + slot, context, slot) for slot in range(sequences))
    return simulation.engine.step(columns).counters["CYCLES"]


@click.command()
@click.option("--context", default=128, show_default=True, help="Positions before the token.")
@click.option("--json", "path", type=click.Path(path_type=Path), help="Write the figures here too.")
@record_option
def main(context: int, path: Path | None, record_as: str | None) -> None:
    """Climb the ladder."""
    progress = TerminalProgress()
    model = LlamaModel.open(fetch(progress=progress.stage))
    rows: list[dict[str, Any]] = []
    table = Table("step", "cycles a token", "of the step before", *ELEMENTS, title=f"SmolLM2-135M, context {context}")
    for rung in RUNGS:
        progress.stage(rung.name)
        configuration = load_config("kv260", rung.overrides)
        with simulate(configuration, model, context=context + 1, progress=progress) as simulation:
            cycles = decode(simulation, context, rung.sequences) / rung.sequences
            units = simulation.rtl.manifest["elements"].values()
        row = {"step": rung.name, "overrides": list(rung.overrides), "cycles_per_token": cycles}
        row |= {element: round(sum(unit[element] for unit in units)) for element in ELEMENTS}
        change = f"{cycles / rows[-1]['cycles_per_token']:.3f}" if rows else ""
        rows.append(row)
        table.add_row(rung.name, f"{cycles:,.0f}", change, *(f"{row[element]:,}" for element in ELEMENTS))
    progress.close()
    Console().print(table)
    record(
        record_as, {"context": context, "steps": rows}, QUANTITIES, rtl=[("kv260", rung.overrides) for rung in RUNGS]
    )
    if path:
        path.write_text(json.dumps({"context": context, "steps": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
