"""The section of docs/power.md on a chip in standard cells: by unit, at both batches, and scaled to newer nodes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from rtlm.gen.configuration.load import load_config
from rtlm.host.estimation.estimate import EstimateRequest, estimate
from rtlm.host.models.paper import open_model
from rtlm.host.power.accelerator_cells import recorded_cells
from rtlm.host.power.cells import UnitPower, cell_technology, record, running, total, unit_power
from rtlm.host.power.estimate import shipped_rate
from rtlm.host.power.nodes import nodes
from rtlm.host.power.result import Part, Power, Range
from rtlm.host.power.shipped import shipped_for
from rtlm.hw.common.markdown import table

PRESET, MODEL, CONTEXT, BATCHES = "asic", "smollm2-135m", 512, (1, 8)
CLOCK_MHZ = 99.0
"""What static timing gives (docs/synthesis.md, "Standard cells")."""
SCALED = (180, 65, 32, 16, 7)

TEXT = """
## Standard cells

The preset `asic` in OSU018 (0.18 um, 1.8 V, typical corner; Debian's `qflow-tech-osu018`, fetched, not part of the
project). Nothing was laid out and nothing was made.

* **Cells**: counts by unit from the mapped netlist (`rtlm synth --config asic --target asic`, which keeps them for
  `rtlm run` and `rtlm estimate`); where there was no synthesis, the recorded cells of the preset, scaled by the area
  model if the configuration is another one. The `method` of each component says which.
* **Internal**: (rise + fall) / 2 of the liberty tables, the mean over a cell's arcs, at the typical net of the
  netlist: LOAD fF and SLEW ns. With the input of a flip-flop that takes energy by itself.
* **Nets**: half of C V2 for a toggle, C the inputs with WIRE fF of wire to each.
* **Clock**: the clock pin of each flip-flop in every cycle (DFF pJ inside), its capacitance and wire, and a buffer for
  16 of them. Where a clock is gated, only in the busy share of the cycles; at most always, as gates linger for 32
  cycles. Estimates know no share for `vector` and `writer` and take always.
* **Leakage**: at 40 degrees twice that of the library (25 degrees).
* **SRAM**: the library has none. CACTI 7 at 90 nm, **scaled** to 180 nm: 0.097 pJ x bits x root of the words for an
  access (0.053 to 0.126).
* **Toggles**: the rates above, of RTL nets, taken for the nets between cells.

`python benchmarks/cell_power.py --record` renews cells and energies, `python benchmarks/sram_energy.py` the SRAM's.

"""

AT = f"""
{MODEL} at context {CONTEXT}, {CLOCK_MHZ:g} MHz (static timing), batch 1:

"""

WHOLE = """
The whole, with a DDR3 device at the published energy of DDR4 (15 pJ for each bit, 4.5 to 20), of which DDR3 takes
more; cycles a token are those at 100 MHz. At batch 8 the accelerator has eight columns; its cells are the recorded
ones scaled by the area model. A run in RTL at 100 MHz (`rtlm run --config asic --prompt "The capital" --max-tokens 1`,
30 November 2026) counts `vector` busy in 1.7 % of the cycles of its step: its chip takes 0.90 W (0.72 to 2.5), of which
the clock 0.45 W.

"""

NODES = """
**Scaled** to newer nodes: energy of the chip's switching, clock and SRAM, and area of its cells and SRAM, by A.
Stillmaker and B. Baas, "Scaling equations for the accurate prediction of CMOS device performance from 180 nm to 7 nm"
(Integration 58, 2017; high-performance devices from 32 nm on), at each node's nominal supply, the same clock, hence
the same speed. No library of these nodes was used; leakage, which grows, and the memory are left out. Beside it what
C V2 would give with C by the length: the paper's steps are larger, the first one from 180 nm most of all.

"""


@dataclass(frozen=True, kw_only=True)
class _Found:
    """A batch: its units, and the estimate of the whole at the preset's clock."""

    units: Mapping[str, UnitPower]
    power: Power
    faster: float


def cells_section() -> str:
    """Return the section."""
    one, more = (_found(batch) for batch in BATCHES)
    technology = cell_technology()
    cells = sum(sum(unit["cells"].values()) for unit in record()["preset"]["units"].values())
    text = (
        TEXT.replace("LOAD", f"{1e3 * technology.energies.load_pf:.0f}")
        .replace("SLEW", f"{technology.energies.slew_ns:.2f}")
        .replace("WIRE", f"{1e3 * technology.wire_pf:g}")
        .replace("DFF", f"{technology.energies.cells['DFFPOSX1'].clock_pj:.2f}")
    )
    head = ("unit", "cells mm2", "SRAM mm2", *(f"{name} mW" for name in ("internal", "nets", "clock", "SRAM")))
    head = (*head, "leakage uW", "all mW")
    units = sorted(one.units.items(), key=lambda each: -each[1].total.nominal)
    rows = [_unit(unit, power) for unit, power in units]
    rows.append(_unit("**all**", _sum(one.units)))
    whole = (_whole(batch, found) for batch, found in zip(BATCHES, (one, more), strict=True))
    titles = (
        "batch",
        "tokens/s",
        "chip W",
        "memory W",
        "chip J/token",
        "J/token",
        "chip pJ/weight bit",
        "pJ/weight bit",
    )
    return (
        text
        + f"The record is of {cells:,.0f} cells, mapped for area: the netlist that static timing is of, with buffers\n"
        + "and sizes for its clock, has about a tenth more (docs/synthesis.md).\n"
        + AT
        + table(head, rows, numbers=True)
        + WHOLE
        + table(titles, whole)
        + NODES
        + table(("node", "V", "energy", "by C V2", "area", "chip mW", "mJ/token", "mm2"), _nodes(one), numbers=True)
    )


def _found(batch: int) -> _Found:
    config = load_config(PRESET, [f"matmul.columns={batch}"])
    found = estimate(EstimateRequest(config=config, model=open_model(MODEL), context=CONTEXT, batch=batch))
    assert found.power is not None
    cells, _ = recorded_cells(config)
    busy = {unit: min(1.0, cycles / found.decode.cycles) for unit, cycles in found.decode.busy.items()}
    units = {}
    for unit, each in cells.items():
        rate, _ = shipped_rate(shipped_for(config).rates, unit, busy.get(unit, 1.0))
        share = running(busy.get(unit))
        units[unit] = unit_power(cell_technology(), each, rate=rate, busy=share, clock_mhz=CLOCK_MHZ)
    return _Found(units=units, power=found.power, faster=CLOCK_MHZ / config.clock_mhz)


def _sum(units: Mapping[str, UnitPower]) -> UnitPower:
    parts = {
        name: total(getattr(each, name) for each in units.values())
        for name in ("internal", "nets", "clock", "sram", "leakage", "sram_um2")
    }
    return UnitPower(**parts, area_um2=sum(each.area_um2 for each in units.values()))


def _unit(name: str, power: UnitPower) -> tuple[str, ...]:
    milliwatt = (f"{1e3 * getattr(power, part).nominal:.3g}" for part in ("internal", "nets", "clock", "sram"))
    return (
        name,
        f"{1e-6 * power.area_um2:.3f}",
        f"{1e-6 * power.sram_um2.nominal:.2f}",
        *milliwatt,
        f"{1e6 * power.leakage.nominal:.2g}",
        _spread(power.total * 1e3),
    )


def _whole(batch: int, found: _Found) -> tuple[str, ...]:
    """Return a row: everything but leakage, and the speed, go with the clock."""
    chip = _sum(found.units).total
    memory = Range.of(each for each in found.power.components if each.part is Part.MEMORY) * found.faster
    speed = found.power.tokens_per_s * found.faster
    bits = (found.power.weight_bits_per_s or 0.0) * found.faster
    both = chip + memory
    return (
        str(batch),
        f"{speed:.3g}",
        *(_spread(each) for each in (chip, memory, chip * (1 / speed), both * (1 / speed))),
        *(_spread(each * (1e12 / bits)) for each in (chip, both)),
    )


def _nodes(found: _Found) -> Iterator[tuple[str, ...]]:
    whole = _sum(found.units)
    dynamic = total((whole.internal, whole.nets, whole.clock, whole.sram))
    area = 1e-6 * (whole.area_um2 + whole.sram_um2.nominal)
    speed = found.power.tokens_per_s * found.faster
    first = nodes()[SCALED[0]]
    for length in SCALED:
        node = nodes()[length]
        energy, space = node.energy_factor / first.energy_factor, node.area / first.area
        milliwatt = dynamic * (1e3 * energy)
        yield (
            f"{length} nm" + ("" if node is first else ", scaled"),
            f"{node.volt:g}",
            f"{energy:.3g}",
            f"{length / SCALED[0] * (node.volt / first.volt) ** 2:.3g}",
            f"{space:.3g}",
            _spread(milliwatt),
            _spread(milliwatt * (1 / speed)),
            f"{area * space:.3g}",
        )


def _spread(one: Range) -> str:
    return f"{one.nominal:.3g} ({one.low:.3g} to {one.high:.3g})"
