"""The micro view as a table on a terminal, and as JSON."""

from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from rtlm.gen.configuration.schema import config_hash
from rtlm.host.dissection.micro import Dissection, ModuleRows, OperatorRow, Stage
from rtlm.host.reports.measurements import Work

SCHEMA = "rtlm.dissection"
SCHEMA_VERSION = 1

DASH = "-"
COLUMNS = ("count", "cycles", "average", "share", "MB", "GB/s", "MAC/B", "GMAC/s", "mJ/token")


def render(dissection: Dissection) -> RenderableType:
    """Return the tree of stages, modules and operators as something that `rich` prints."""
    machine, config = dissection.machine, dissection.config
    head = (
        f"{dissection.model} on {config.name} at {config.clock_mhz:g} MHz, batch {dissection.batch}, context "
        f"{dissection.context}; cycles {dissection.kind}"
    )
    roofs = (
        f"roofs: memory {machine.stream_bytes / 1e9:,.1f} GB/s in a linear stream, {machine.peak_bytes / 1e9:,.1f} by "
        f"its data sheet; matrix array {machine.nibble_macs / 1e9:,.1f} GMAC/s with 4-bit weights, "
        f"{machine.byte_macs / 1e9:,.1f} with 8-bit ones; attention {machine.attention_macs / 1e9:,.1f}"
    )
    table = Table(box=None, pad_edge=False)
    table.add_column("stage / module / operator")
    for name in COLUMNS:
        table.add_column(name, justify="right")
    table.add_column("bound by")
    for stage in dissection.stages:
        _add_stage(table, stage, machine.clock_hz)
    notes = [Text(f"Note: {note}") for note in dissection.notes]
    return Group(Text(head, style="bold"), Text(roofs), Text(), table, *notes)


def _add_stage(table: Table, stage: Stage, clock_hz: float) -> None:
    tokens = f"{stage.tokens} token{'s' if stage.tokens != 1 else ''}"
    everything = sum((module.work for module in stage.modules), Work())
    cells = _cells(stage.steps, stage.cycles, stage.cycles, everything, clock_hz, stage.j_per_token)
    table.add_row(Text(f"{stage.name} ({tokens})"), *cells, style="bold")
    for module in stage.modules:
        cells = _cells(0, module.cycles, stage.cycles, module.work, clock_hz, module.j_per_token)
        table.add_row(f"  {module.name.replace('_', ' ')}", *cells, style="italic")
        for row in module.operators:
            cells = _cells(row.work.count, row.cycles, stage.cycles, row.work, clock_hz, row.j_per_token)
            table.add_row(f"    {row.name}", *cells, row.bound)


def _cells(
    runs: int, cycles: float, of: float, work: Work, clock_hz: float, j_per_token: float | None
) -> tuple[str, ...]:
    seconds, average = cycles / clock_hz, cycles / runs if runs else 0.0
    return (
        f"{runs:,}" if runs else "",
        f"{cycles:,.0f}",
        (f"{average:,.0f}" if average >= 100 else f"{average:.3g}") if runs else "",
        f"{cycles / of:.1%}",
        f"{work.bytes / 1e6:,.3f}" if work.bytes else DASH,
        f"{work.bytes / seconds / 1e9:,.2f}" if work.bytes else DASH,
        f"{work.macs / work.bytes:.2f}" if work.macs and work.bytes else DASH,
        f"{work.macs / seconds / 1e9:,.2f}" if work.macs else DASH,
        f"{1e3 * j_per_token:,.3g}" if j_per_token else DASH,
    )


def to_json(dissection: Dissection) -> dict[str, Any]:
    """Return plain values (docs/dissection.md)."""
    machine = dissection.machine
    return {
        "schema": SCHEMA,
        "version": SCHEMA_VERSION,
        "view": "micro",
        "model": dissection.model,
        "config": {"name": dissection.config.name, "hash": config_hash(dissection.config)},
        "clock_mhz": dissection.config.clock_mhz,
        "batch": dissection.batch,
        "context": dissection.context,
        "kind": dissection.kind,
        "stages": [
            {
                "name": stage.name,
                "steps": stage.steps,
                "tokens": stage.tokens,
                "cycles": stage.cycles,
                "j_per_token": stage.j_per_token,
                "modules": [_module(module, stage.cycles) for module in stage.modules],
            }
            for stage in dissection.stages
        ],
        "roofs": {
            "memory_peak_bytes_per_s": machine.peak_bytes,
            "memory_stream_bytes_per_s": machine.stream_bytes,
            "matmul_4_bit_macs_per_s": machine.nibble_macs,
            "matmul_8_bit_macs_per_s": machine.byte_macs,
            "attention_macs_per_s": machine.attention_macs,
        },
        "notes": list(dissection.notes),
    }


def _module(module: ModuleRows, of: float) -> dict[str, Any]:
    return {
        "name": module.name,
        "cycles": module.cycles,
        "share": module.cycles / of,
        "bytes": module.work.bytes,
        "macs": module.work.macs,
        "j_per_token": module.j_per_token,
        "operators": [_operator(row, of) for row in module.operators],
    }


def _operator(row: OperatorRow, of: float) -> dict[str, Any]:
    return {
        "name": row.name,
        "sum": row.cycles,
        "count": row.work.count,
        "average": row.average,
        "share": row.cycles / of,
        "bytes": row.work.bytes,
        "macs": row.work.macs,
        "macs_per_byte": row.intensity,
        "bound": row.bound,
        "j_per_token": row.j_per_token,
    }
