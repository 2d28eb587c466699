"""Error of the netlist estimate against synthesis.

The model (`rtlm.gen.rtl.elements`) counts the netlist of a configuration, without synthesis; one factor for each
resource, fitted here, corrects it. The error of each point is that of the factor fitted to all the others.

Usage: ``python benchmarks/area_model.py [--target xilinx-us+] [--points matmul,writer] [--json FILE]``. A point takes
10 to 60 s of a core; results are cached, so that an interrupted run goes on where it stopped.
"""

import json
import math
from pathlib import Path

import click
from rtlm.gen.configuration.load import load_config
from rtlm.gen.rtl import elements
from rtlm.gen.synthesis.netlist import cut
from rtlm.gen.synthesis.synthesise import accelerator_netlist, synthesise

BASE = "tiny"
POINTS = (
    ("matmul", ("matmul.lanes=32",)),
    ("matmul", ()),
    ("matmul", ("matmul.columns=2",)),
    ("attention", ("attention.bytes_per_cycle=8",)),
    ("attention", ("attention.bytes_per_cycle=16", "attention.group=1", "limits.kv_heads=4")),
    ("attention", ()),
    ("vector", ()),
    ("vector", ("matmul.columns=2",)),
    ("sequencer", ()),
    ("reader", ()),
    ("reader", ("memory.ports=4", "memory.prefetch_kib=32")),
    ("writer", ()),
    ("banks", ("matmul.columns=2",)),
    ("registers", ()),
)
"""Units and changes of the base configuration."""

RESOURCES = {"lut": "luts", "ff": "ffs", "dsp": "dsps", "bram": "brams"}
"""Names in synthesis, and in the model."""

SMALLEST = {"lut": 100, "ff": 100, "dsp": 4, "bram": 2}
"""Points below have no error to speak of: one block more or less."""

Row = dict[str, tuple[float, float]]


@click.command()
@click.option("--target", default="xilinx-us+", show_default=True, help="FPGA.")
@click.option("--points", default="", help="Only these units, separated by commas.")
@click.option("--json", "path", type=click.Path(path_type=Path), help="Write the points as JSON.")
def main(target: str, points: str, path: Path | None) -> None:
    """Print estimate, synthesis and error of each point, and the mean error."""
    chosen = [point for point in POINTS if not points or point[0] in points.split(",")]
    rows = {f"{unit} {' '.join(changes)}".strip(): measure(unit, changes, target) for unit, changes in chosen}
    print("| point | " + " | ".join(f"{name}: model | synthesis | error" for name in RESOURCES) + " |")
    print("|---" + "|---:" * 3 * len(RESOURCES) + "|")
    errors: dict[str, list[float]] = {name: [] for name in RESOURCES}
    for point, row in rows.items():
        cells = []
        for name, (estimate, real) in row.items():
            others = [r[name] for p, r in rows.items() if p != point]
            predicted = estimate * factor(others, SMALLEST[name])
            error = ""
            if real >= SMALLEST[name]:
                errors[name].append(abs(predicted / real - 1))
                error = f"{100 * (predicted / real - 1):+.0f} %"
            cells.append(f"{predicted:,.0f} | {real:,g} | {error}")
        print(f"| {point} | " + " | ".join(cells) + " |")
    for name, values in errors.items():
        if values:
            whole = factor([row[name] for row in rows.values()], SMALLEST[name])
            mean, worst = 100 * sum(values) / len(values), 100 * max(values)
            print(f"{name}: factor {whole:.3f}; {len(values)} points, mean error {mean:.1f} %, largest {worst:.0f} %")
    if path:
        path.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def measure(unit: str, changes: tuple[str, ...], target: str) -> Row:
    """Return estimate and synthesis of each resource of a point."""
    netlist = accelerator_netlist(load_config(BASE, changes))
    text, _ = cut(netlist, unit)
    estimate = sum(elements.count_elements(text).values(), elements.Elements())
    real = synthesise(netlist, target=target, unit=unit, depth=0, progress=click.echo).total
    return {name: (float(getattr(estimate, field)), real[name]) for name, field in RESOURCES.items()}


def factor(points: list[tuple[float, float]], smallest: float) -> float:
    """Fit the factor from estimates to synthesis: the geometric mean of their ratios."""
    ratios = [math.log(real / estimate) for estimate, real in points if real >= smallest and estimate > 0]
    return math.exp(sum(ratios) / len(ratios)) if ratios else 1.0


if __name__ == "__main__":
    main()
