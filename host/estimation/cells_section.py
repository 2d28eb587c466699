"""The section of docs/power.md on a chip in standard cells: two libraries by unit and batch, scaled to newer nodes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from rtlm.gen.configuration.load import load_config
from rtlm.host.estimation.estimate import EstimateRequest, estimate
from rtlm.host.models.paper import open_model
from rtlm.host.power.accelerator_cells import recorded_cells
from rtlm.host.power.cells import UnitPower, cell_technology, record, running, total, unit_power
from rtlm.host.power.estimate import shipped_rate
from rtlm.host.power.libraries import LIBRARIES, NANGATE45, OSU018
from rtlm.host.power.nodes import nodes
from rtlm.host.power.result import Kind, Power, Range
from rtlm.host.power.shipped import shipped_for
from rtlm.hw.common.markdown import table

PRESET, MODEL, CONTEXT, BATCHES = "asic", "smollm2-135m", 512, (1, 8)
TITLES = {OSU018: "OSU018", NANGATE45: "Nangate45"}
CLOCKS_MHZ = {OSU018: 99.0, NANGATE45: 100.0}
"""What power is of: the clock of static timing (docs/synthesis.md), or the preset's if that is lower."""
SCALED = (180, 65, 32, 16, 7)

TEXT = """
## Standard cells

The preset `asic` in two libraries, at their typical corners. Both are read from their liberty files and are no part of
the project; nothing was laid out and nothing was made.

"""

FACTS = {
    "process": {OSU018: "0.18 um, 1.8 V", NANGATE45: "45 nm, 1.1 V; predictive, not for manufacture"},
    "from": {
        OSU018: "Debian's `qflow-tech-osu018`, fetched (Debian states the GPL)",
        NANGATE45: "`examples/nangate45_typ.lib.gz` of OpenSTA, d1b2b39; Apache 2.0 by Si2 and OpenROAD-flow-scripts",
    },
    "SRAM by CACTI 7": {OSU018: "at 90 nm, **scaled** to 180 nm", NANGATE45: "at 45 nm, ITRS-HP, 1.0 V; not scaled"},
    "clock by static timing": {
        OSU018: "99 MHz, 76 at the pessimistic end",
        NANGATE45: "314 MHz (`vector`, the slowest unit in OSU018), 242 at the pessimistic end",
    },
}
"""What the libraries are; the figures of their netlists stand below."""

METHOD = """
* **Cells**: counts by unit from the mapped netlist (`rtlm synth --config asic --target asic`, which keeps those of
  OSU018 for `rtlm run` and `rtlm estimate`; `--liberty FILE` maps to any other library). Where there was no synthesis,
  the recorded cells of the preset, scaled by the area model if the configuration is another one. The `method` of each
  component says which.
* **Internal**: (rise + fall) / 2 of the liberty tables, the mean over a cell's arcs, at the typical net of the netlist.
  With the input of a flip-flop that takes energy by itself.
* **Nets**: half of C V2 for a toggle, C the inputs with the wire to each.
* **Clock**: the clock pin of each flip-flop in every cycle, its capacitance and wire, and a buffer for 16 of them.
  Where a clock is gated, only in the busy share of the cycles; at most always, as gates linger for 32 cycles.
  Estimates know no share for `vector` and `writer` and take always.
* **Leakage**: at 40 degrees twice that of OSU018, one and a half times that of Nangate45 (25 degrees): guesses.
* **SRAM**: neither library has any; energy of an access as bits x root of the words.
* **Toggles**: the rates above, of RTL nets, taken for the nets between cells.

`python benchmarks/cell_power.py --record` renews cells and energies, with `--liberty FILE --name nangate45` those of
Nangate45, `python benchmarks/sram_energy.py [--nm 45]` the SRAM's.

The cells are mapped for area: the netlist of OSU018 that static timing is of, with buffers and sizes for its clock, has
about a tenth more (docs/synthesis.md).
"""

WHOLE = """
The whole, each library at its clock above (`rtlm estimate --model smollm2-135m --config asic --cells LIBRARY`, with
`--set matmul.columns=8 --batch 8`, has both at the preset's 100 MHz), with the DDR3L device by its currents and both
ends of its interface, which the table of the presets divides between chip and memory. Cycles a token are those at 100
MHz, where the memory decides the speed. At batch 8 the accelerator has eight columns; its cells are the recorded ones
scaled by the area model.

"""

NODES = """
**Scaled** to newer nodes: energy of the chip's switching, clock and SRAM, and area of its cells and SRAM, by A.
Stillmaker and B. Baas, "Scaling equations for the accurate prediction of CMOS device performance from 180 nm to 7 nm"
(Integration 58, 2017; high-performance devices from 32 nm on), at each node's nominal supply, the same clock, hence
the same speed, from OSU018. No library of these nodes was used; leakage, which grows, and the memory are left out.
Beside it what C V2 would give with C by the length: the paper's steps are larger, the first one from 180 nm most of
all.

"""


@dataclass(frozen=True, kw_only=True)
class _Found:
    """A batch: its units, and the estimate of the whole at the preset's clock."""

    units: Mapping[str, UnitPower]
    power: Power
    faster: float


def cells_section() -> str:
    """Return the section."""
    found = {(library, batch): _found(library, batch) for library in LIBRARIES for batch in BATCHES}
    parts = [TEXT, table(("", *TITLES.values()), _libraries(found)), METHOD]
    head = ("unit", "cells mm2", "SRAM mm2", *(f"{name} mW" for name in ("internal", "nets", "clock", "SRAM")))
    head = (*head, "leakage mW", "all mW")
    for library, title in TITLES.items():
        one = found[library, 1]
        units = sorted(one.units.items(), key=lambda each: -each[1].total.nominal)
        rows = [_unit(unit, power) for unit, power in units]
        rows.append(_unit("**all**", _sum(one.units)))
        parts += [f"\n{title}: {MODEL} at context {CONTEXT}, {CLOCKS_MHZ[library]:g} MHz, batch 1:\n\n"]
        parts += [table(head, rows, numbers=True)]
    titles = (
        "library",
        "batch",
        "tokens/s",
        "chip W",
        "memory and interface W",
        "chip J/token",
        "J/token",
        "chip pJ/weight bit",
        "pJ/weight bit",
    )
    whole = ((TITLES[library], *_whole(batch, each)) for (library, batch), each in found.items())
    scaled = table(
        ("node", "V", "energy", "by C V2", "area", "chip mW", "mJ/token", "mm2"), _nodes(found[OSU018, 1]), numbers=True
    )
    return "".join((*parts, WHOLE, table(titles, whole), NODES, scaled, _check(found)))


def _libraries(found: Mapping[tuple[str, int], _Found]) -> Iterator[tuple[str, ...]]:
    """Return what the libraries are, and their netlists."""
    for what, each in FACTS.items():
        yield what, *(each[library] for library in LIBRARIES)
    technologies = [cell_technology(library) for library in LIBRARIES]
    sums = [_sum(found[library, 1].units) for library in LIBRARIES]
    counts = [
        sum(sum(unit["cells"].values()) for unit in record(each)["preset"]["units"].values()) for each in LIBRARIES
    ]
    yield "cells", *(f"{count:,.0f}" for count in counts)
    yield "area of the cells", *(f"{1e-6 * each.area_um2:.3g} mm2" for each in sums)
    yield "area of the SRAM", *(f"{1e-6 * each.sram_um2.nominal:.3g} mm2" for each in sums)
    yield (
        "typical net",
        *(f"{1e3 * each.energies.load_pf:.3g} fF, {1e3 * each.energies.slew_ns:.3g} ps" for each in technologies),
    )
    yield "wire to a sink", *(f"{1e3 * each.wire_pf:.2g} fF" for each in technologies)


def _found(library: str, batch: int) -> _Found:
    config, clock_mhz = load_config(PRESET, [f"matmul.columns={batch}"]), CLOCKS_MHZ[library]
    found = estimate(EstimateRequest(config=config, model=open_model(MODEL), context=CONTEXT, batch=batch))
    assert found.power is not None
    cells, _ = recorded_cells(config, library)
    busy = {unit: min(1.0, cycles / found.decode.cycles) for unit, cycles in found.decode.busy.items()}
    rates, technology = shipped_for(config).rates, cell_technology(library)
    units = {}
    for unit, each in cells.items():
        rate, _ = shipped_rate(rates, unit, busy.get(unit, 1.0))
        share = running(busy.get(unit))
        units[unit] = unit_power(technology, each, rate=rate, busy=share, clock_mhz=clock_mhz)
    return _Found(units=units, power=found.power, faster=clock_mhz / config.clock_mhz)


def _check(found: Mapping[tuple[str, int], _Found]) -> str:
    """Return what the library of 45 nm says of the scaling."""
    watt = {library: _dynamic(found[library, 1]).nominal / CLOCKS_MHZ[library] for library in LIBRARIES}
    energies = {node: nodes()[node].energy_factor / nodes()[SCALED[0]].energy_factor for node in (65, 32)}
    return (
        f"\nA check of the scaling: the library of 45 nm takes {watt[NANGATE45] / watt[OSU018]:.3g} of the energy of "
        f"that of 180 nm,\nwhere the table has {energies[65]:.3g} for 65 nm and {energies[32]:.3g} for 32 nm.\n"
    )


def _dynamic(found: _Found) -> Range:
    whole = _sum(found.units)
    return total((whole.internal, whole.nets, whole.clock, whole.sram))


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
        f"{1e3 * power.leakage.nominal:.2g}",
        _spread(power.total * 1e3),
    )


def _whole(batch: int, found: _Found) -> tuple[str, ...]:
    """Return a row: everything but leakage, and the speed, go with the clock."""
    chip = _sum(found.units).total
    moved = (Kind.TRAFFIC, Kind.STANDBY)
    memory = Range.of(each for each in found.power.components if each.kind in moved) * found.faster
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
    dynamic = _dynamic(found)
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
