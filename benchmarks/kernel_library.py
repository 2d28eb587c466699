"""The library's kernels under several directives: interval, latency, area by yosys, and whether the bits are equal.

Usage::

    python -m benchmarks.kernel_library                       # the table
    python -m benchmarks.kernel_library --unroll gemv.svg     # and GEMV at 1, 4, 16 and 64 columns a cycle as a plot
    python -m benchmarks.kernel_library --only gemv --only fir
    python -m benchmarks.kernel_library --record kernels      # for docs/kernels.md

Each row is synthesised for UltraScale+ (cached, so that an interrupted run goes on) and simulated in Amaranth's
simulator with random packets, gaps and back-pressure against the kernel's model.
"""

import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rtlm.gen.common.progress import TerminalProgress
from rtlm.gen.rtl.verilog import to_rtlil
from rtlm.gen.synthesis.synthesise import synthesise
from rtlm.host.figures.results import record, record_option
from rtlm.hw.common.markdown import table
from rtlm.hw.hls import Directives, Kernel
from rtlm.hw.kernels import library, residual_norm, rope, swiglu

from tests.hw.hls.nests import check_nest
from tests.hw.hls.simulate import check

TARGET, PACKET = "xilinx-us+", 16
SOURCE = ("hw/hls", "hw/hls/nests", "hw/hls/regions", "hw/kernels", "hw/kernels/library")
"""What decides the figures, with the versions of the tools."""
QUANTITIES = {
    "lanes": ("elements of a beat", "measured in RTL"),
    "ii": ("clock cycles", "measured in RTL"),
    "latency": ("clock cycles", "measured in RTL"),
    **{key: (unit, "synthesised") for key, unit in {"lut": "LUTs", "ff": "registers", "dsp": "DSP blocks"}.items()},
    "bram": ("block memories of 36 Kibit", "synthesised"),
}
KERNELS: dict[str, Kernel] = {
    kernel.name: kernel
    for kernel in (*vars(library).values(), swiglu, rope, residual_norm)
    if isinstance(kernel, Kernel)
}
ROWS: dict[str, list[dict[str, Any]]] = {
    "fir": [{}, {"lanes": 4}, {"lanes": 4, "ii": 4}],
    "conv1d": [{}, {"ii": 4}, {"ii": 12}],
    "prefix_sum": [{"lanes": lanes} for lanes in (1, 2, 4, 8)],
    "histogram": [{"lanes": lanes} for lanes in (1, 2, 4)],
    "top_k": [{}],
    "gemv": [{"lanes": lanes} for lanes in (1, 4, 16, 64)] + [{"lanes": 16, "ii": 4}],
    "matmul": [{"chain": False}, {"lanes": 4, "chain": False}],
    "conv2d": [
        {"chain": False},
        {"partition": {"taps": "complete"}, "chain": False},
        {"lanes": 3, "partition": {"taps": "complete"}, "chain": False},
    ],
    "qmatmul": [{}, {"ii": 4}],
    "systolic": [{}, {"ii": 4}],
    "softmax": [{}, {"lanes": 4}, {"lanes": 4, "ii": 4}],
    "layernorm": [{}, {"lanes": 4}, {"lanes": 4, "ii": 4}],
    "attention": [{}, {"clock_mhz": 100}],
    "swiglu": [
        {},
        {"lanes": 4},
        {"lanes": 4, "ii": 4},
        {"ii": 3},
        {"chain": False},
        {"bind": {"multiply": "lut"}},
        {"bind": {"F32 multiply": "lut"}},
    ],
    "rope": [{}, {"ii": 2}, {"ii": 4}],
    "residual_norm": [{"lanes": 2}, {"lanes": 2, "ii": 4}, {"lanes": 2, "clock_mhz": 150, "chain": True}],
}
"""Directives of each row, beside UltraScale+ at 300 MHz."""
COMMANDS = {"matmul": [(2, 3, 9), (1, 2, 32)], "conv2d": [(2, 5), (3, 2)]}
"""Arguments for kernels with loops."""
WAITS = ("softmax", "layernorm")
"""Kernels that use elements again behind a reduction."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """A kernel under directives."""

    kernel: str
    directives: str
    lanes: int
    ii: int
    latency: int
    lut: float
    ff: float
    dsp: float
    bram: float


def measure(name: str, changes: dict[str, Any]) -> Row:
    """Schedule, synthesise and simulate."""
    kernel, directives = KERNELS[name], Directives(**({"technology": TARGET} | changes))
    longest = PACKET if name in WAITS else None
    component = kernel.component(directives, max_length=longest)
    area = synthesise(to_rtlil(component, name), target=TARGET, depth=0).total
    if name in COMMANDS:
        check_nest(kernel, COMMANDS[name], directives, keep=(0,))
    else:
        check(kernel, directives, beats=24, longest=8, max_length=longest)
    return Row(
        kernel=name,
        directives=", ".join(f"{key}={value}" for key, value in changes.items()) or "none",
        lanes=directives.lanes,
        ii=component.schedule.initiation_interval,
        latency=component.latency,
        **{key: area[key] for key in ("lut", "ff", "dsp", "bram")},
    )


@click.command()
@click.option("--only", multiple=True, type=click.Choice(list(ROWS)), help="Kernels; all without it.")
@click.option("--unroll", type=click.Path(path_type=Path), help="Write GEMV's area and rate as a plot, SVG or PNG.")
@click.option("--json", "path", type=click.Path(path_type=Path), help="Write the rows as JSON.")
@record_option
def main(only: tuple[str, ...], unroll: Path | None, path: Path | None, record_as: str | None) -> None:
    """Print the table."""
    warnings.filterwarnings("ignore", module="amaranth")
    chosen = [(name, changes) for name in only or ROWS for changes in ROWS[name]]
    rows = []
    progress = TerminalProgress()
    for number, (name, changes) in enumerate(chosen):
        progress.stage(f"{name} {changes or ''}", number, len(chosen))
        rows.append(measure(name, changes))
    progress.close()
    print(as_table(rows))
    if path:
        path.write_text(json.dumps([vars(row) for row in rows], indent=1) + "\n", encoding="utf-8")
    record(record_as, {"rows": [vars(row) for row in rows]}, QUANTITIES, source=SOURCE)
    if unroll:
        draw([row for row in rows if row.kernel == "gemv" and row.ii == 1], unroll)


def as_table(rows: list[Row]) -> str:
    """Write rows as a Markdown table."""
    head = ("kernel", "directives", "elements a cycle", "II", "latency", "LUT", "FF", "DSP", "BRAM36", "bits")
    cells = [
        (
            f"`{row.kernel}`",
            row.directives,
            f"{row.lanes / row.ii:.3g}",
            row.ii,
            row.latency,
            *(f"{figure:,g}" for figure in (row.lut, row.ff, row.dsp, row.bram)),
            "equal",  # or `measure` would have failed
        )
        for row in rows
    ]
    return table(head, cells)


def draw(rows: list[Row], path: Path) -> None:
    """Draw area against rate."""
    from rtlm.gen.common.plot_style import BLUE, GREEN, VERMILION, plot_file

    rate = [row.lanes * 0.3 for row in rows]
    with plot_file(path, (6.4, 4.0)) as figure:
        axes = figure.add_axes((0.12, 0.14, 0.84, 0.78))
        for label, colour, marker in (("LUT", BLUE, "o"), ("FF", GREEN, "s"), ("DSP", VERMILION, "^")):
            axes.loglog(
                rate, [max(getattr(row, label.lower()), 0.5) for row in rows], marker, ls="-", color=colour, label=label
            )
        for row, x in zip(rows, rate, strict=True):
            axes.annotate(f"{row.lanes}", (x, row.lut), (0, -14), textcoords="offset points", ha="center")
        axes.set_xlabel("10⁹ multiply-accumulates a second at 300 MHz")
        axes.set_ylabel("LUT, FF, DSP (yosys, UltraScale+)")
        axes.set_title("The same GEMV at 1, 4, 16 and 64 lanes", loc="left")
        axes.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
        axes.yaxis.set_major_formatter(lambda y, _: f"{y:,g}")
        axes.grid(True, which="major", color="#ececec")
        axes.legend(frameon=False)


if __name__ == "__main__":
    main()
