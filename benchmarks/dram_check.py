"""Our DRAM model against litedram's controller RTL, pattern by pattern.

Usage: ``python benchmarks/dram_check.py [--memory ddr3-800] [--recorded] [--json FILE]``.

litedram's controller, crossbar and PHY model (PyPI, BSD-2) become Verilog, run in Verilator, and are driven through
their native ports; every word that is read is checked. Our model replays the same accesses with the same timings.
Efficiency is data beats / (cycles x peak). The document docs/dram-model.md explains the columns.

Exit codes: 0 every line is within its limit, 1 one is not, 2 usage, 3 something is not installed.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from importlib import metadata
from pathlib import Path

import click
from dram_litedram.compare import (
    MODULES,
    PACKAGES,
    RECORDED,
    ControllerError,
    Measured,
    Row,
    compare,
    measure,
    recorded,
)
from rtlm.gen.common.errors import ToolError
from rtlm.gen.common.progress import TerminalProgress
from rtlm.host.figures.results import record, record_option
from rtlm.sim import stream_ceiling
from rtlm.sim.memory.dram import named

BOARD = {"memory": "ddr4-2400", "ports": 4, "port_bytes": 16, "clock_mhz": 300.0}
"""The ports of configuration kv260."""

BOARD_FRACTION = 0.95
"""What a linear stream reaches on boards with DDR4-2400: between the 94 % of peak that a whole decoder reaches on a
KV260 (Hummingbird, arXiv 2507.03308) and the 95.5 % that refresh leaves (1 - tRFC / tREFI)."""

BOARD_LIMIT = 1.0
SOURCE = (
    "benchmarks/dram_litedram",
    "benchmarks/data/litedram.json",
    "sim/memory",
    "sim/native/channel.h",
    "sim/native/dram_config.h",
    "sim/native/memory_system.h",
    "sim/native/request_queue.h",
)
"""What decides the figures."""
RTL, MODEL, PEAK = "measured in RTL", "modelled", "of the data bus's peak"
QUANTITIES = {
    "litedram": (PEAK, RTL),
    "ours": (PEAK, MODEL),
    "window": (PEAK, MODEL),
    "shipped": (PEAK, MODEL),
    "difference": ("percentage points", MODEL),
    "ceiling": (PEAK, MODEL),
    "lines": ("patterns", MODEL),
    "largest_difference": ("percentage points", MODEL),
}


def _table(rows: list[Row]) -> str:
    lines = [
        "| pattern | ports | litedram | ours, its front end | difference | ours, its timings | ours as shipped |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        mark = "" if row.good else " (!)"
        lines.append(
            f"| {row.pattern} | {row.ports} | {row.litedram:.1%} | {row.ours:.1%} | {row.difference:+.1f}{mark} "
            f"| {row.window:.1%} | {row.shipped:.1%} |"
        )
    return "\n".join(lines)


def _record(measurements: list[Measured]) -> None:
    versions = {package: metadata.version(package) for package in PACKAGES}
    data: dict = {"command": "python benchmarks/dram_check.py --record-litedram", "versions": versions}
    data |= {measured.memory: measured.to_json() for measured in measurements}
    RECORDED.write_text(json.dumps(data, indent=1) + "\n")


@click.command(epilog="Exit codes: 0 all within limits, 1 a line is not, 2 usage, 3 something is not installed.")
@click.option("--memory", "memories", multiple=True, type=click.Choice(list(MODULES)), help="Default: all.")
@click.option("--accesses", default=16000, show_default=True, type=click.IntRange(1000), help="Length of a pattern.")
@click.option("--seed", default=1, show_default=True, help="For random addresses.")
@click.option("--recorded", "from_file", is_flag=True, help="Take litedram's side from benchmarks/data/litedram.json.")
@click.option("--record-litedram", is_flag=True, help="Write that file; only with all memories.")
@click.option("--json", "json_path", type=click.Path(path_type=Path, dir_okay=False), help="Write the figures here.")
@record_option
def main(
    memories: tuple[str, ...],
    accesses: int,
    seed: int,
    from_file: bool,
    record_litedram: bool,
    json_path: Path | None,
    record_as: str | None,
) -> None:
    """Compare our DRAM model with litedram's controller and print a table.

    The first run builds two controllers with Verilator, a minute or two each; later runs take seconds.

    \b
    Examples:
      pip install -e '.[dram-check]' && python benchmarks/dram_check.py
      python benchmarks/dram_check.py --recorded --memory ddr4-2400 --json dram.json
    """
    if record_litedram and (from_file or memories):
        raise click.UsageError("--record-litedram measures all memories: leave --recorded and --memory away.")
    progress = TerminalProgress()
    names = memories or tuple(MODULES)
    try:
        if from_file:
            measurements = [recorded(name) for name in names]
        else:
            measurements = [measure(name, accesses=accesses, seed=seed, progress=progress.stage) for name in names]
        tables = {measured.memory: compare(measured) for measured in measurements}
    except (ControllerError, ToolError) as problem:
        progress.close()
        print(problem, file=sys.stderr)
        sys.exit(3)
    progress.close()
    if record_litedram:
        _record(measurements)
    for measured in measurements:
        print(f"{measured.memory}, {measured.accesses} accesses, seed {measured.seed}:")
        print(f"{measured.checked} reads had the right data.\n\n{_table(tables[measured.memory])}\n")
    ceiling = stream_ceiling(
        named(str(BOARD["memory"])),
        ports=int(BOARD["ports"]),
        port_bytes=int(BOARD["port_bytes"]),
        clock_mhz=float(BOARD["clock_mhz"]),
    )
    away = 100 * (ceiling - BOARD_FRACTION)
    print(f"Linear reads of {BOARD['memory']}: {ceiling:.2%} of peak; boards {BOARD_FRACTION:.0%}, {away:+.2f} points.")
    good = abs(away) <= BOARD_LIMIT and all(row.good for rows in tables.values() for row in rows)
    if record_as or json_path:
        rows = {name: [asdict(row) | {"difference": row.difference} for row in rows] for name, rows in tables.items()}
        values = {"good": good, "ceiling": ceiling, "memories": rows}
        if json_path:
            json_path.write_text(json.dumps(values, indent=1) + "\n")
        differences = [abs(row["difference"]) for each in rows.values() for row in each]
        values |= {"lines": len(differences), "largest_difference": max(differences)}
        record(record_as, values, QUANTITIES, source=SOURCE)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
