"""Fit of the area models to synthesis, and their error.

Two models are measured: the parametric one (`rtlm.gen.area`), which needs a configuration only, and the count of the
netlist (`rtlm.gen.rtl.elements`). Points are in ``data/area_points.yaml``: units, and whole accelerators whose units
count for the fit one by one. Nothing is fitted to the held-out points.

Usage::

    python benchmarks/area_model.py --fit       # coefficients from the training points, into the package
    python benchmarks/area_model.py --fit --known    # from the few points with figures of earlier syntheses
    python benchmarks/area_model.py             # error at the training and the held-out points
    python benchmarks/area_model.py --record    # error at the held-out points alone: the band that estimates state

A unit takes a minute of a core, a whole accelerator 5 to 30; results are cached, so that an interrupted run goes on
where it stopped.
"""

import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import yaml
from amaranth.lib import wiring
from rtlm.gen.area import coefficients, estimate
from rtlm.gen.area.counts import KernelUse
from rtlm.gen.area.fit import band, fit_terms
from rtlm.gen.area.memories import Memory
from rtlm.gen.area.pipelines import pipeline
from rtlm.gen.configuration.load import load_config
from rtlm.gen.rtl import elements
from rtlm.gen.rtl.verilog import TOP, to_rtlil
from rtlm.gen.synthesis.synthesise import SynthResult, accelerator_netlist, synthesise
from rtlm.hw import kernels
from rtlm.hw.accelerator import REGISTER_ADDRESS_BITS, Accelerator
from rtlm.hw.params import AcceleratorParams
from rtlm.hw.registers import RegisterFile
from rtlm.hw.registers.accelerator import register_map

POINTS = Path(__file__).parent / "data" / "area_points.yaml"
TARGET = "xilinx-us+"
KERNEL_TECHNOLOGY, KERNEL_MHZ = "xilinx-us+", 300
"""What kernels alone are scheduled for."""
KERNEL_PACKET = 64
"""Values of the longest packet, for kernels that use elements again."""

RESOURCES = {"lut": "luts", "ff": "ffs", "dsp": "dsps", "bram": "brams"}
"""Names in synthesis, and in the model."""
SMALLEST = {"lut": 100, "ff": 100, "dsp": 4, "bram": 2}
"""Points below have no error to speak of: one block more or less."""


Row = dict[str, tuple[float, float, float]]
"""For each resource the parametric estimate, the netlist's count, and synthesis."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """A configuration, or a unit of one.

    Parameters
    ----------
    unit
        Name below the top; empty for the whole.
    base, changes
        Preset, and what differs from it.
    known
        What synthesis found earlier.
    """

    unit: str
    base: str
    changes: tuple[str, ...]
    known: Mapping[str, float] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """Name in the table."""
        return " ".join((self.base, *self.changes))

    @property
    def config(self) -> Any:
        """The configuration."""
        return load_config(self.base, self.changes)

    @property
    def netlist(self) -> str:
        """What is synthesised."""
        config = self.config
        if self.unit in ("counters", "step_check", "top"):
            return ""  # too small for the netlist's model to be fitted to
        if not self.unit:
            return accelerator_netlist(config)
        return to_rtlil(_unit(config.to_params(), self.unit), self.unit)

    def measured(self, netlist: str) -> dict[str, dict[str, float]]:
        """Synthesise; return what each unit takes, and under the empty name the whole, if it is a whole."""
        if self.known:
            return {self.unit: dict(self.known)}
        result = _synthesised(netlist, 0 if self.unit else 1)
        if self.unit:
            return {self.unit: result.total}
        known = set(estimate.unit_counts(self.config.to_params()))
        units = {module.path: module.total for module in result.modules if module.path in known}
        rest = {name: amount - sum(unit[name] for unit in units.values()) for name, amount in result.total.items()}
        return {"": result.total, **units, "top": rest}

    def unit_of(self, module: str) -> str:
        """Return the unit that a module of the netlist belongs to."""
        parts = module.split(".")
        inside = parts[1] if len(parts) > 1 else "top"
        return inside if parts[0] == TOP else self.unit


def _unit(params: AcceleratorParams, name: str) -> wiring.Component:
    """Make a unit alone, which takes seconds less than the accelerator around it."""
    if name == "registers":
        return RegisterFile(register_map(params.columns), address_bits=REGISTER_ADDRESS_BITS)
    return Accelerator(params).units()[name]


def _synthesised(netlist: str, depth: int) -> SynthResult:
    return synthesise(netlist, target=TARGET, depth=depth, progress=click.echo)


def points(name: str) -> list[Point]:
    """Return the points ``training``, ``held_out`` or ``known``."""
    found = yaml.safe_load(POINTS.read_text(encoding="utf-8"))[name]
    return [
        Point(
            unit=p["unit"],
            base=p["base"],
            changes=tuple(p["changes"]),
            known={resource: p[resource] for resource in RESOURCES if resource in p},
        )
        for p in found
    ]


@click.command()
@click.option("--fit", is_flag=True, help="Fit the coefficients to the training points.")
@click.option("--known", is_flag=True, help="With --fit: fit to the points with figures of earlier syntheses only.")
@click.option("--record", is_flag=True, help="Write the error at the held-out points beside the coefficients.")
@click.option("--json", "path", type=click.Path(path_type=Path), help="Write the points as JSON.")
def main(fit: bool, known: bool, record: bool, path: Path | None) -> None:
    """Fit, or print estimates, synthesis and error of each point, and the mean errors."""
    if fit:
        write(fitted(points("known" if known else "training")) | {"error": {}})
        return
    names = ("held_out",) if record else ("training", "held_out")
    rows = {name: {(p.unit, p.title): _compared(p) for p in points(name)} for name in names}
    bands: dict[str, dict[str, tuple[float, float, int]]] = {}
    for name, group in rows.items():
        bands[name] = _table(name, group)
    if record:
        error = {
            RESOURCES[resource]: {"mean": round(mean, 4), "worst": round(worst, 4), "points": count}
            for resource, (mean, worst, count) in bands["held_out"].items()
        }
        write(coefficients.coefficients() | {"error": error})
    if path:
        listed = {name: [[*key, row] for key, row in group.items()] for name, group in rows.items()}
        path.write_text(json.dumps(listed, indent=1) + "\n", encoding="utf-8")


def _table(title: str, group: Mapping[tuple[str, str], Row]) -> dict[str, tuple[float, float, int]]:
    """Print a table of points, and under it the errors; return those of the parametric model."""
    print(f"\n{title}\n\n| | | " + " | ".join(f"{r}: model | netlist | synthesis | error" for r in RESOURCES) + " |")
    print("|---|---" + "|---:" * 4 * len(RESOURCES) + "|")
    for (unit, name), row in group.items():
        cells = " | ".join(
            f"{model:,.0f} | {count:,.0f} | {real:,g} | "
            + (f"{100 * (model / real - 1):+.1f} %" if real >= SMALLEST[resource] else "")
            for resource, (model, count, real) in row.items()
        )
        print(f"| {unit or 'whole'} | {name} | {cells} |")
    found = {}
    for resource, least in SMALLEST.items():
        large = [row[resource] for row in group.values() if row[resource][-1] >= least]
        found[resource] = band([(model, real) for model, _, real in large])
        for model, (mean, worst, count) in (
            ("model", found[resource]),
            ("netlist", band([(counted, real) for _, counted, real in large])),
        ):
            print(f"{resource}, {model}: {count} points, mean error {100 * mean:.1f} %, largest {100 * worst:.1f} %")
    return found


def _compared(point: Point) -> Row:
    """Return for each resource the parametric estimate, the netlist's count, and synthesis."""
    area = estimate.estimate_area(point.config)
    model = area.units[point.unit] if point.unit else area.total
    netlist = point.netlist
    count = sum(elements.count_elements(netlist).values(), elements.Elements())
    real = point.measured(netlist)[point.unit]
    return {
        name: (float(getattr(model, key)), float(getattr(count, key)), real[name]) for name, key in RESOURCES.items()
    }


def write(values: Mapping[str, Any]) -> None:
    """Write the coefficients into the package."""
    coefficients.PATH.write_text(json.dumps(values, indent=1, sort_keys=True) + "\n", encoding="utf-8")


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A unit of a training point.

    Parameters
    ----------
    terms
        What the coefficients multiply, by resource.
    classes, kept
        Tables by class in the netlist; tables and registers of memories and delays, which are not scaled.
    ffs
        Registers in the netlist, which are.
    measured
        Synthesis.
    """

    terms: Mapping[str, Mapping[str, float]]
    classes: Counter[str]
    kept: Memory
    ffs: float
    measured: Mapping[str, float]


def fitted(training: list[Point]) -> dict[str, Any]:
    """Fit kernels, then units, then the netlist's classes.

    Parameters
    ----------
    training
        Points to fit to.
    """
    lanes = yaml.safe_load(POINTS.read_text(encoding="utf-8"))["kernels"]
    known = {name: _kernel(name, n) for name, n in lanes.items()}
    samples: dict[str, list[Sample]] = {}
    for point in training:
        for unit, sample in _samples(point, known).items():
            samples.setdefault(unit, []).append(sample)
    units = {
        unit: {
            resource: fit_terms([s.terms[resource] for s in found], [s.measured[name] for s in found])
            for name, resource in RESOURCES.items()
            if resource in estimate.FITTED
        }
        for unit, found in samples.items()
    }
    large = [s for found in samples.values() for s in found if s.measured["lut"] >= SMALLEST["lut"] and s.ffs]
    netlist = dict.fromkeys(elements.LUT_CLASSES, 1.0) | fit_terms(
        [s.classes for s in large], [s.measured["lut"] for s in large], [s.kept.luts for s in large]
    )
    ratios = [math.log(max(1.0, s.measured["ff"] - s.kept.ffs) / s.ffs) for s in large]
    netlist["ffs"] = round(math.exp(sum(ratios) / len(ratios)), 4)
    return {"kernels": known, "units": units, "netlist": netlist}


def _samples(point: Point, known: Mapping[str, Mapping[str, float]]) -> dict[str, Sample]:
    """Return the units of a point."""
    params = point.config.to_params()
    counts = estimate.unit_counts(params)
    netlist = point.netlist
    classes: dict[str, Counter[str]] = {}
    kept: dict[str, Memory] = {}
    ffs: Counter[str] = Counter()
    for module, counted in elements.count_modules(netlist):
        unit = point.unit_of(module)
        registers, shifts = counted.delays()
        ffs[unit] += registers
        classes.setdefault(unit, Counter()).update(counted.luts)
        kept[unit] = kept.get(unit, Memory()) + counted.kept() + Memory(luts=shifts)
    return {
        unit: Sample(
            terms={
                resource: estimate.terms(counts[unit], known, resource, params.clock_mhz, params.technology)
                for resource in estimate.FITTED
            },
            classes=classes.get(unit, Counter()),
            kept=kept.get(unit, Memory()),
            ffs=ffs[unit],
            measured=real,
        )
        for unit, real in point.measured(netlist).items()
        if unit
    }


def _kernel(name: str, lanes: list[int]) -> dict[str, float]:
    """Synthesise a kernel alone and return what it takes, once and for each lane."""
    luts, dsps, ffs, shifts, planned_ffs, planned_shifts = [], [], 0.0, 0.0, 0.0, 0.0
    for count in lanes:
        packet = KERNEL_PACKET // count if getattr(kernels, name).graph.reduces else None
        component = getattr(kernels, name).component(
            lanes=count, clock_mhz=KERNEL_MHZ, technology=KERNEL_TECHNOLOGY, max_length=packet
        )
        result = _synthesised(to_rtlil(component, name), 0)
        use = KernelUse(name=name, lanes=count, max_length=packet or 0)
        found = pipeline(use, KERNEL_MHZ, KERNEL_TECHNOLOGY)
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


if __name__ == "__main__":
    main()
