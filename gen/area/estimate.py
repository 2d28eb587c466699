"""The parametric area model: counts of each unit times coefficients that were fitted to synthesis.

::

    area = estimate_area(load_config("kv260"))
    print(area.luts, area.units["attention"].luts, area.error)
    print(area.shares(DEVICES["kv260"].available))

``coefficients.json`` holds everything that is fitted; ``python benchmarks/area_model.py --fit`` writes it.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any

from rtlm.gen.area import attention, control, matmul, vector
from rtlm.gen.area.coefficients import coefficients
from rtlm.gen.area.counts import Counts, KernelUse
from rtlm.gen.area.pipelines import Pipeline, pipeline
from rtlm.gen.area.sharing import Sharing, sharing
from rtlm.gen.configuration.schema import Configuration
from rtlm.hw.params import AcceleratorParams
from rtlm.hw.unit_params import unit_params

KERNELS = "kernels"
"""Term of a unit's pipelines, beside those of `Counts`."""
FITTED = ("luts", "ffs")
"""Resources with fitted coefficients; the others follow from widths and depths."""


@dataclass(frozen=True, kw_only=True)
class UnitArea:
    """What a unit takes of a device.

    Parameters
    ----------
    luts, ffs, dsps, brams, urams
        Six-input tables, registers, multipliers of 27 x 18 bits, block memories of 36 Kbit, UltraRAM.
    """

    luts: float = 0
    ffs: float = 0
    dsps: float = 0
    brams: float = 0
    urams: float = 0

    def __add__(self, other: "UnitArea") -> "UnitArea":
        return UnitArea(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(UnitArea)})


@dataclass(frozen=True, kw_only=True)
class Band:
    """Error of the estimate against synthesis, as ``benchmarks/area_model.py`` found it.

    Parameters
    ----------
    mean, worst
        Mean and largest amount, as a fraction of the synthesised number.
    points
        Configurations behind it that no coefficient was fitted to.
    """

    mean: float
    worst: float
    points: int


@dataclass(frozen=True, kw_only=True)
class Area:
    """Estimated size of an accelerator on UltraScale+.

    Parameters
    ----------
    units
        Each unit, and ``top`` for what lies between them.
    error
        For ``luts``, ``ffs``, ``dsps`` and ``brams`` the error of the estimate.
    """

    units: Mapping[str, UnitArea]
    error: Mapping[str, Band] = field(default_factory=dict)

    @property
    def total(self) -> UnitArea:
        """All units together."""
        return sum(self.units.values(), UnitArea())

    def shares(self, available: Mapping[str, int]) -> dict[str, float]:
        """Return which part of a device each resource takes; a design fits where none is above 1.

        Parameters
        ----------
        available
            Amount of each resource, as in `rtlm.gen.boards.devices.DEVICES`.
        """
        total = self.total
        used = {"lut": total.luts, "ff": total.ffs, "dsp": total.dsps, "bram": total.brams, "uram": total.urams}
        return {
            name: amount / available[name] if available.get(name) else math.inf
            for name, amount in used.items()
            if amount or available.get(name)
        }

    @property
    def luts(self) -> float:
        """Tables."""
        return self.total.luts

    @property
    def ffs(self) -> float:
        """Registers."""
        return self.total.ffs

    @property
    def dsps(self) -> float:
        """Multipliers."""
        return self.total.dsps

    @property
    def brams(self) -> float:
        """Block memories of 36 Kbit."""
        return self.total.brams

    @property
    def urams(self) -> float:
        """UltraRAM blocks."""
        return self.total.urams


def estimate_area(config: Configuration) -> Area:
    """Estimate what a configuration takes of an UltraScale+ device.

    The first call for a clock and technology schedules the kernels; further ones take a millisecond.

    Parameters
    ----------
    config
        The configuration.
    """
    params = config.to_params()
    known = coefficients()
    units = {
        unit: unit_area(counts, known, unit, params.clock_mhz, params.technology)
        for unit, counts in unit_counts(params).items()
    }
    return Area(units=units, error=error_bands())


def unit_counts(params: AcceleratorParams) -> dict[str, Counts]:
    """Return the contents of each unit of an accelerator, by the names of the Verilog."""
    sizes = unit_params(params)
    return {
        "reader": control.reader_counts(sizes.reader),
        "writer": control.writer_counts(sizes.writer),
        "sequencer": control.sequencer_counts(sizes.sequencer),
        "banks": matmul.banks_counts(params.columns, params.max_k_blocks),
        "matmul": matmul.matmul_counts(sizes.matmul),
        "attention": attention.attention_counts(sizes.attention),
        "vector": vector.vector_counts(sizes.vector),
        "registers": control.registers_counts(params.columns),
        "counters": control.counters_counts(),
        "step_check": control.step_check_counts(params.columns, params.context_limit),
        "top": control.top_counts(params.vector_lanes, sizes.vector.write_bytes),
    }


def unit_area(counts: Counts, known: Mapping[str, Any], unit: str, clock_mhz: float, technology: str) -> UnitArea:
    """Multiply a unit's terms by its coefficients.

    Parameters
    ----------
    counts
        Contents of the unit.
    known
        From `coefficients`.
    unit
        Its name.
    clock_mhz, technology
        What its pipelines are scheduled for.
    """
    values = {
        resource: sum(
            amount * known["units"][unit][resource][term]
            for term, amount in terms(counts, known["kernels"], resource, clock_mhz, technology).items()
        )
        for resource in FITTED
    }
    queues = sum(use.copies * pipeline(use, clock_mhz, technology).brams for use in counts.kernels)
    return UnitArea(
        luts=values["luts"],
        ffs=values["ffs"],
        dsps=counts.dsps
        + sum(
            _multipliers(use, known["kernels"][use.name], sharing(use, clock_mhz, technology))
            for use in counts.kernels
            if not use.arguments
        ),
        brams=queues + sum(memory.brams for memory in counts.memories),
        urams=sum(memory.urams for memory in counts.memories),
    )


def terms(
    counts: Counts, kernels: Mapping[str, Mapping[str, float]], resource: str, clock_mhz: float, technology: str
) -> dict[str, float]:
    """Return what the coefficients of a unit multiply: its own terms, memories, and pipelines.

    Parameters
    ----------
    counts
        Contents of the unit.
    kernels
        What a lane of each kernel takes, from `coefficients`.
    resource
        One of `FITTED`.
    clock_mhz, technology
        What its pipelines are scheduled for.
    """
    own: dict[str, float] = dict(getattr(counts, resource))
    if counts.memories:
        own["memories"] = sum(getattr(memory, resource) for memory in counts.memories)
    for use in counts.kernels:
        found = pipeline(use, clock_mhz, technology)
        if use.arguments:
            own[use.term] += use.copies * (found.ffs if resource == "ffs" else found.shift_luts)
        else:
            shared = sharing(use, clock_mhz, technology)
            amount = kernel_amount(found, kernels[use.name], use.lanes, resource, shared)
            own[KERNELS] = own.get(KERNELS, 0) + use.copies * amount
    return own


def kernel_amount(found: Pipeline, kernel: Mapping[str, float], lanes: int, resource: str, shared: Sharing) -> float:
    """Return what a kernel's pipeline takes: registers by its schedule, tables by its operators and its delays."""
    if resource == "ffs":
        return found.ffs * kernel["ffs"]
    operators = shared.logic * (kernel["fixed_luts"] + lanes * kernel["luts"]) + shared.select_luts
    return operators + found.shift_luts * kernel["shifts"] + found.memory_luts


def _multipliers(use: KernelUse, kernel: Mapping[str, float], shared: Sharing) -> float:
    return use.copies * (kernel["fixed_dsps"] + use.lanes * kernel["dsps"] - shared.saved_dsps)


@cache
def error_bands() -> dict[str, Band]:
    """Return the measured error of each resource."""
    return {resource: Band(**band) for resource, band in coefficients()["error"].items()}
