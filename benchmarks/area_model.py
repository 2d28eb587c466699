"""Fit of the area models to synthesis, and their error.

Two models are measured: the parametric one (`rtlm.gen.area`), which needs a configuration only, and the count of the
netlist (`rtlm.gen.rtl.elements`). Points are in ``data/area_points.yaml``: units, and whole accelerators whose units
count for the fit one by one. Nothing is fitted to the held-out points.

Usage::

    python benchmarks/area_model.py --fit       # coefficients from the training points, into the package
    python benchmarks/area_model.py             # error at the training and the held-out points
    python benchmarks/area_model.py --record    # the same, and the band that estimates state

A unit takes a minute of a core, a whole accelerator 5 to 30; results are cached, so that an interrupted run goes on
where it stopped.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import yaml
from amaranth.lib import wiring
from rtlm.gen.area import estimate
from rtlm.gen.area.pipelines import pipeline
from rtlm.gen.configuration.load import load_config
from rtlm.gen.rtl.verilog import to_rtlil
from rtlm.gen.synthesis.synthesise import SynthResult, accelerator_netlist, synthesise
from rtlm.hw import kernels
from rtlm.hw.accelerator import REGISTER_ADDRESS_BITS, Accelerator
from rtlm.hw.params import AcceleratorParams
from rtlm.hw.registers import RegisterFile
from rtlm.hw.registers.accelerator import register_map

POINTS = Path(__file__).parent / "data" / "area_points.yaml"
COEFFICIENTS = Path(estimate.__file__).with_name(estimate.COEFFICIENTS)
TARGET = "xilinx-us+"
KERNEL_TECHNOLOGY, KERNEL_MHZ = "xilinx-us+", 300
"""What kernels alone are scheduled for."""
KERNEL_PACKET = 64
"""Values of the longest packet, for kernels that use elements again."""

RESOURCES = {"lut": "luts", "ff": "ffs", "dsp": "dsps", "bram": "brams"}
"""Names in synthesis, and in the model."""
SMALLEST = {"lut": 100, "ff": 100, "dsp": 4, "bram": 2}
"""Points below have no error to speak of: one block more or less."""

STIFFNESS = (0.0003, 0.001, 0.003, 0.01, 0.03)
"""How strongly a coefficient is held at 1, against relative squared errors; what predicts left-out points best is
taken."""
FEW_POINTS_STIFFNESS = 0.001
"""The same where there are too few points to leave one out."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """A configuration, or a unit of one.

    Parameters
    ----------
    unit
        Name below the top; empty for the whole.
    base, changes
        Preset, and what differs from it.
    """

    unit: str
    base: str
    changes: tuple[str, ...]

    @property
    def title(self) -> str:
        """Name in the table."""
        return " ".join((self.base, *self.changes))

    @property
    def config(self) -> Any:
        """The configuration."""
        return load_config(self.base, self.changes)

    def measured(self) -> dict[str, dict[str, float]]:
        """Synthesise; return what each unit takes, and under the empty name the whole, if it is a whole."""
        config = self.config
        if self.unit:
            return {self.unit: _synthesised(to_rtlil(_unit(config.to_params(), self.unit), self.unit), 0).total}
        result = _synthesised(accelerator_netlist(config), 1)
        known = set(estimate.unit_counts(config.to_params()))
        units = {module.path: module.total for module in result.modules if module.path in known}
        rest = {name: amount - sum(unit[name] for unit in units.values()) for name, amount in result.total.items()}
        return {"": result.total, **units, "top": rest}


def _unit(params: AcceleratorParams, name: str) -> wiring.Component:
    """Make a unit alone, which takes seconds less than the accelerator around it."""
    if name == "registers":
        return RegisterFile(register_map(params.columns), address_bits=REGISTER_ADDRESS_BITS)
    return Accelerator(params).units()[name]


def _synthesised(netlist: str, depth: int) -> SynthResult:
    return synthesise(netlist, target=TARGET, depth=depth, progress=click.echo)


def points(name: str) -> list[Point]:
    """Return the points ``training`` or ``held_out``."""
    found = yaml.safe_load(POINTS.read_text(encoding="utf-8"))[name]
    return [Point(unit=p["unit"], base=p["base"], changes=tuple(p["changes"])) for p in found]


@click.command()
@click.option("--fit", is_flag=True, help="Fit the coefficients to the training points.")
@click.option("--record", is_flag=True, help="Write the error at the held-out points beside the coefficients.")
@click.option("--json", "path", type=click.Path(path_type=Path), help="Write the points as JSON.")
def main(fit: bool, record: bool, path: Path | None) -> None:
    """Fit, or print estimate, synthesis and error of each point, and the mean errors."""
    if fit:
        write(fitted(points("training")) | {"error": {}})
        return
    rows = {name: {(p.unit, p.title): _compared(p) for p in points(name)} for name in ("training", "held_out")}
    bands = {}
    for name, group in rows.items():
        print(f"\n{name}\n\n| | | " + " | ".join(f"{r}: model | synthesis | error" for r in RESOURCES) + " |")
        print("|---|---" + "|---:" * 3 * len(RESOURCES) + "|")
        for (unit, title), row in group.items():
            cells = " | ".join(
                f"{model:,.0f} | {real:,g} | {100 * (model / real - 1):+.1f} %"
                if real >= SMALLEST[resource]
                else f"{model:,.0f} | {real:,g} | "
                for resource, (model, real) in row.items()
            )
            print(f"| {unit or 'whole'} | {title} | {cells} |")
        bands[name] = {resource: band(row[resource] for row in group.values()) for resource in RESOURCES}
        for resource, (mean, worst, count) in bands[name].items():
            print(f"{resource}: {count} points, mean error {100 * mean:.1f} %, largest {100 * worst:.1f} %")
    if record:
        error = {
            RESOURCES[resource]: {"mean": round(mean, 4), "worst": round(worst, 4), "points": count}
            for resource, (mean, worst, count) in bands["held_out"].items()
        }
        write(estimate.coefficients() | {"error": error})
    if path:
        listed = {name: [[*key, row] for key, row in group.items()] for name, group in rows.items()}
        path.write_text(json.dumps(listed, indent=1) + "\n", encoding="utf-8")


def _compared(point: Point) -> dict[str, tuple[float, float]]:
    """Return estimate and synthesis of each resource."""
    area = estimate.estimate_area(point.config)
    model = area.units[point.unit] if point.unit else area.total
    real = point.measured()[point.unit]
    return {name: (float(getattr(model, field)), real[name]) for name, field in RESOURCES.items()}


def band(pairs: Iterable[tuple[float, float]]) -> tuple[float, float, int]:
    """Return mean and largest relative error, and of how many points."""
    errors = [abs(model / real - 1) for (model, real) in pairs if real]
    return (sum(errors) / len(errors), max(errors), len(errors)) if errors else (0.0, 0.0, 0)


def write(values: Mapping[str, Any]) -> None:
    """Write the coefficients into the package."""
    COEFFICIENTS.write_text(json.dumps(values, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def fitted(training: list[Point]) -> dict[str, Any]:
    """Fit kernels, then units.

    Parameters
    ----------
    training
        Points to fit to.
    """
    lanes = yaml.safe_load(POINTS.read_text(encoding="utf-8"))["kernels"]
    known = {name: _kernel(name, n) for name, n in lanes.items()}
    samples: dict[str, list[tuple[dict[str, dict[str, float]], dict[str, float]]]] = {}
    for point in training:
        params = point.config.to_params()
        counts = estimate.unit_counts(params)
        for unit, real in point.measured().items():
            if unit:
                found = {
                    resource: estimate.terms(counts[unit], known, resource, params.clock_mhz, params.technology)
                    for resource in estimate.FITTED
                }
                samples.setdefault(unit, []).append((found, real))
    units = {
        unit: {
            resource: fit_terms([found[resource] for found, _ in pairs], [real[name] for _, real in pairs])
            for name, resource in RESOURCES.items()
            if resource in estimate.FITTED
        }
        for unit, pairs in samples.items()
    }
    return {"kernels": known, "units": units}


def _kernel(name: str, lanes: list[int]) -> dict[str, float]:
    """Synthesise a kernel alone and return what it takes, once and for each lane."""
    luts, dsps, ffs, shifts, planned_ffs, planned_shifts = [], [], 0.0, 0.0, 0.0, 0.0
    for count in lanes:
        packet = KERNEL_PACKET // count if getattr(kernels, name).graph.reduces else None
        component = getattr(kernels, name).component(
            lanes=count, clock_mhz=KERNEL_MHZ, technology=KERNEL_TECHNOLOGY, max_length=packet
        )
        result = _synthesised(to_rtlil(component, name), 0)
        found = pipeline(name, count, KERNEL_MHZ, KERNEL_TECHNOLOGY, 0, packet or 0)
        delayed = sum(number for cell, number in result.modules[0].cells.items() if cell.startswith("SRL"))
        luts.append(result.total["lut"] - delayed - found.memory_luts)
        dsps.append(result.total["dsp"])
        ffs, planned_ffs = ffs + result.total["ff"], planned_ffs + found.ffs
        shifts, planned_shifts = shifts + delayed, planned_shifts + found.shift_luts
    fixed_luts, lane_luts = _line(lanes, luts)
    fixed_dsps, lane_dsps = _line(lanes, dsps)
    return {
        "fixed_luts": fixed_luts,
        "luts": lane_luts,
        "fixed_dsps": fixed_dsps,
        "dsps": lane_dsps,
        "shifts": round(shifts / planned_shifts, 3) if planned_shifts else 1.0,
        "ffs": round(ffs / planned_ffs, 3),
    }


def _line(lanes: list[int], amounts: list[float]) -> tuple[float, float]:
    """Return what does not depend on the lanes, and what each lane adds."""
    if len(lanes) == 1:
        return 0.0, round(amounts[0] / lanes[0], 1)
    slope = (amounts[-1] - amounts[0]) / (lanes[-1] - lanes[0])
    return round(amounts[0] - slope * lanes[0], 1), round(slope, 1)


def fit_terms(rows: list[dict[str, float]], real: list[float]) -> dict[str, float]:
    """Fit a coefficient to each term: small relative errors, coefficients near 1 where the points do not tell.

    Parameters
    ----------
    rows
        Terms of each point.
    real
        What synthesis found.
    """
    names = sorted(rows[0])
    x = np.array([[row[name] for name in names] for row in rows])
    y = np.array(real)
    weights = 1 / np.maximum(y, SMALLEST["lut"])
    held = np.array([name != "control" for name in names], dtype=float)

    def left_out(stiffness: float) -> float:
        errors = []
        for i in range(len(y)):
            keep = np.arange(len(y)) != i
            found = solve(x[keep] * weights[keep, None], y[keep] * weights[keep], held * stiffness)
            errors.append((x[i] @ found - y[i]) * weights[i])
        return float(np.mean(np.square(errors)))

    best = min(STIFFNESS, key=left_out) if len(y) > 2 else FEW_POINTS_STIFFNESS
    return dict(zip(names, solve(x * weights[:, None], y * weights, held * best).round(4).tolist(), strict=True))


def solve(x: np.ndarray, y: np.ndarray, stiffness: np.ndarray) -> np.ndarray:
    """Minimise ``|x c - y|^2 + sum stiffness (c - 1)^2`` over coefficients that are not negative."""
    active = np.ones(x.shape[1], dtype=bool)
    while True:
        root = np.sqrt(stiffness[active])
        found, *_ = np.linalg.lstsq(np.vstack([x[:, active], np.diag(root)]), np.concatenate([y, root]), rcond=None)
        if (found >= 0).all():
            out = np.zeros(x.shape[1])
            out[active] = found
            return out
        active[np.flatnonzero(active)[found < 0]] = False


if __name__ == "__main__":
    main()
