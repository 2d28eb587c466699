"""Power of an accelerator: elements x activity x energy, leakage of the device, memory by command, and the board."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from rtlm.gen.boards.devices import DEVICES
from rtlm.gen.synthesis.cell_counts import UnitCells
from rtlm.host.power import cells as standard_cells
from rtlm.host.power.dram import DramCommands, command_energy, dram_power, family_of
from rtlm.host.power.libraries import OSU018
from rtlm.host.power.result import (
    PROCESSOR,
    Kind,
    OperatorUse,
    Part,
    Power,
    PowerComponent,
    Range,
    by_operator,
)
from rtlm.host.power.shipped import Shipped, default_shipped
from rtlm.host.power.technology import (
    BoardPower,
    Figure,
    ShippedRates,
    Technology,
    board_power,
    dram_technology,
    fpga_technology,
)
from rtlm.sim.memory.dram import Dram

ELEMENTS = ("luts", "ffs", "dsps", "brams", "urams")
MULTIPLIER_BITS = (27, 18)
"""Of the products that `dsps` counts."""
BRAM_BITS = 72
"""That an access of a 36 Kbit memory moves."""
FALLBACK_TECHNOLOGY = "xilinx-us+"
FALLBACK_FAMILY = "ddr4"
CHIP_SHARE_OF_INTERFACE = 0.5
"""Part of the interface's energy that the chip takes, the memory the rest: a guess."""

PUBLISHED_PJ_PER_WEIGHT_BIT = 25.0
"""Whole-system energy of the best published FPGA design with DDR4 (25.5 to 27.9 pJ for each weight bit)."""

UNKNOWN_JUNCTION_C = Figure(low=25, nominal=40, high=85, source="guess")


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """What the memory does.

    Parameters
    ----------
    dram
        The memory; None where only its name is known.
    name
        Its name, such as ``ddr4-2400``.
    commands
        What its channels are told; None where that is not known.
    bytes_per_s
        Bytes that it moves.
    source
        Where the bytes are from.
    """

    dram: Dram | None = None
    name: str
    commands: DramCommands | None = None
    bytes_per_s: float
    source: str = "measured in RTL"


@dataclass(frozen=True, kw_only=True)
class PowerRequest:
    """An accelerator at work.

    Parameters
    ----------
    technology, board
        Of its configuration.
    elements
        ``luts``, ``ffs``, ``dsps``, ``brams`` and ``urams`` of each unit.
    elements_are
        How they were found.
    cells, cells_are
        Standard cells of each unit and how they were found, which go before the elements; none on an FPGA.
    library
        Library that the cells are of.
    rates
        Counted toggles for each net bit and cycle by unit; None takes the shipped ones. A unit that was not counted
        gets the mean of those that were.
    shipped
        The shipped rates for the configuration; None takes those of the default preset.
    rates_are
        How they were counted.
    busy
        Share of the cycles in which a unit is busy, by which the shipped rate of some units is multiplied, and in which
        gated clocks run; 1 where it is not given, for gated clocks 0 at least.
    clock_mhz
        Clock.
    traffic
        What the memory does.
    tokens_per_s
        Speed.
    weight_bytes_per_s
        Bytes of weights and scales that are read; None where that is unknown.
    uses
        What each operator takes; none gives no power by operator.
    """

    technology: str = FALLBACK_TECHNOLOGY
    board: str = ""
    elements: Mapping[str, Mapping[str, float]]
    elements_are: str = "estimated elements"
    cells: Mapping[str, UnitCells] = field(default_factory=dict)
    cells_are: str = ""
    library: str = OSU018
    rates: Mapping[str, float] | None = None
    shipped: Shipped | None = None
    rates_are: str = ""
    busy: Mapping[str, float] = field(default_factory=dict)
    clock_mhz: float
    traffic: Traffic
    tokens_per_s: float
    weight_bytes_per_s: float | None
    uses: Mapping[str, OperatorUse] = field(default_factory=dict)


def estimate_power(request: PowerRequest) -> Power:
    """Estimate the power of chip, memory and board."""
    return _Estimate(request=request).power()


@dataclass(kw_only=True)
class _Estimate:
    request: PowerRequest
    notes: list[str] = field(default_factory=list)

    def power(self) -> Power:
        """Return the sum of everything."""
        request = self.request
        components = [*self._logic(), *self._chip(), *self._memory()]
        components += self._board(Range.of(components))
        bits = request.weight_bytes_per_s * 8 if request.weight_bytes_per_s else None
        if bits:
            self._floor(Range.of(each for each in components if each.part is not Part.BOARD).nominal / bits * 1e12)
        return Power(
            components=tuple(components),
            tokens_per_s=request.tokens_per_s,
            weight_bits_per_s=bits,
            operators=by_operator(components, request.uses),
            memory_by_bytes=self._by_bytes(),
            notes=tuple(self.notes),
        )

    @cached_property
    def technology(self) -> Technology:
        found = fpga_technology(self.request.technology)
        if found is None:
            self.notes.append(
                f"No energies of {self.request.technology} are at hand: those of {FALLBACK_TECHNOLOGY} are used."
            )
            found = fpga_technology(FALLBACK_TECHNOLOGY)
        assert found is not None
        return found

    @cached_property
    def board(self) -> BoardPower | None:
        return board_power(self.request.board)

    @cached_property
    def volts(self) -> float:
        """Supply of the logic over that of the energies."""
        return self.board.volt / self.technology.volt if self.board else 1.0

    @cached_property
    def total(self) -> Mapping[str, float]:
        return {name: sum(counts.get(name, 0) for counts in self.request.elements.values()) for name in ELEMENTS}

    def _logic(self) -> Iterator[PowerComponent]:
        """What toggles, by unit, and the clock; of standard cells their leakage too."""
        request = self.request
        shipped = request.shipped or default_shipped()
        units = request.cells or request.elements
        known = [rate for unit, rate in (request.rates or {}).items() if unit in units]
        if known:
            self.notes.append(f"Toggles for the power of the logic were {request.rates_are}.")
        else:
            self.notes.append(
                f"No toggles were counted: {shipped.note} are used ({shipped.source}). "
                "`rtlm run --power measured` counts them once for a configuration and a model."
            )
        yield from self._cells(known, shipped.rates) if request.cells else self._elements(known, shipped.rates)

    def _elements(self, known: list[float], shipped: ShippedRates) -> Iterator[PowerComponent]:
        """What toggles and the clock of an FPGA."""
        request, technology = self.request, self.technology
        hz = request.clock_mhz * 1e6 * self.volts**2
        for unit, counts in sorted(request.elements.items()):
            rate, how = self._rate(unit, known, shipped)
            taken = _unit_pj(technology, counts, rate) * (hz * 1e-12)
            if taken.nominal:
                method = f"{how}, {request.elements_are}, constraints/power-{technology.name}.yaml"
                yield _component(unit, Part.CHIP, Kind.SWITCHING, taken, method)
        sinks = sum(self.total[name] for name in ("ffs", "dsps", "brams", "urams"))
        tree = technology.clock_root_pj.as_range + technology.clock_sink_pj.as_range * sinks
        method = f"root and {sinks:,.0f} sinks, {request.elements_are}, {technology.clock_sink_pj.source}"
        yield _component("clock tree", Part.CHIP, Kind.CLOCK, tree * (hz * 1e-12), method)

    def _cells(self, known: list[float], shipped: ShippedRates) -> Iterator[PowerComponent]:
        """What toggles, the clock, memories and leakage of standard cells."""
        request, technology = self.request, standard_cells.cell_technology(self.request.library)
        conditions = technology.conditions
        found = {}
        for unit, counts in sorted(request.cells.items()):
            rate, how = self._rate(unit, known, shipped)
            busy = standard_cells.running(request.busy.get(unit))
            found[unit] = standard_cells.unit_power(
                technology, counts, rate=rate, busy=busy, clock_mhz=request.clock_mhz
            )
            tables = f"liberty tables of {conditions.name}, constraints/power-{conditions.name}.yaml"
            method = f"{how}, {request.cells_are}, {tables}"
            yield _component(unit, Part.CHIP, Kind.SWITCHING, found[unit].internal + found[unit].nets, method)
        sums = {
            name: standard_cells.total(getattr(each, name) for each in found.values())
            for name in ("sram", "clock", "leakage")
        }
        sram, buffer = conditions.sram, conditions.clock_buffer
        method = f"{request.cells_are}, {sram.pj_per_bit.source}"
        yield _component("SRAM", Part.CHIP, Kind.SWITCHING, sums["sram"], method)
        method = f"clock pins and wires, {request.cells_are}, {buffer.cell}, {buffer.per_sink.source}"
        yield _component("clock tree", Part.CHIP, Kind.CLOCK, sums["clock"], method)
        method = f"{conditions.leakage.source}; SRAM: {sram.leakage_nw_per_bit.source}"
        yield _component("static", Part.CHIP, Kind.STATIC, sums["leakage"], method)

    def _rate(self, unit: str, known: list[float], shipped: ShippedRates) -> tuple[float, str]:
        """Return the toggle rate of a unit, and how it was found."""
        rates, busy = self.request.rates or {}, self.request.busy
        if unit in rates:
            return rates[unit], f"toggle rate {rates[unit]:.1%} counted in RTL"
        if known:
            mean = sum(known) / len(known)
            return mean, f"toggle rate {mean:.1%}, the mean of the counted units"
        return shipped_rate(shipped, unit, busy.get(unit, 1.0))

    def _chip(self) -> Iterator[PowerComponent]:
        """Leakage of an FPGA, and its processor."""
        if self.request.cells:
            return
        static = self.technology.static
        device = DEVICES.get(self.request.board)
        available = device.available["lut"] if device else self.board.luts if self.board else None
        luts = available or self.total["luts"]
        junction = self.board.junction_c if self.board else UNKNOWN_JUNCTION_C
        warm = [2 ** ((degrees - static.at_c) / static.doubling_c) for degrees in junction.all]
        nominal, low, high = (
            watt * luts * 1e-6 * factor * self.volts for watt, factor in zip(static.uw_per_lut.all, warm, strict=True)
        )
        what = f"device of {luts:,} tables" if available else f"{luts:,.0f} used tables, no device known"
        method = (
            f"{what}, {junction.nominal:g} degrees ({junction.low:g} to {junction.high:g}), {static.uw_per_lut.source}"
        )
        yield _component("static", Part.CHIP, Kind.STATIC, Range(nominal=nominal, low=low, high=high), method)
        if self.board and self.board.processor_w:
            processor = self.board.processor_w
            yield _component(PROCESSOR, Part.CHIP, Kind.STATIC, processor.as_range, processor.source)

    def _memory(self) -> Iterator[PowerComponent]:
        """Return what the memory takes: by command where its currents are known, else by bytes."""
        traffic = self.request.traffic
        if family_of(traffic.name) == "ideal":
            self.notes.append("The ideal memory takes no energy here: its power is missing from the total.")
            return
        technology = dram_technology()
        energy = command_energy(technology, traffic.dram) if traffic.dram else None
        interface = technology.interface_pj_per_bit.get(family_of(traffic.name))
        if energy and interface and traffic.dram and traffic.commands:
            taken = dram_power(energy, traffic.commands, traffic.dram.channels)
            currents = technology.range.as_range
            method = f"commands {traffic.commands.source}, constraints/power-dram.yaml, {technology.range.source}"
            for name, watt, kind in (
                ("DRAM activate and precharge", taken.activate + taken.precharge, Kind.TRAFFIC),
                ("DRAM read", taken.read, Kind.TRAFFIC),
                ("DRAM write", taken.write, Kind.TRAFFIC),
                ("DRAM refresh", taken.refresh, Kind.STANDBY),
                ("DRAM background", taken.background, Kind.STANDBY),
            ):
                yield _component(name, Part.MEMORY, kind, currents * watt, method)
            bits = interface.as_range * (traffic.bytes_per_s * 8e-12)
            method = f"bytes {traffic.source} x {interface.nominal:g} pJ/bit, {interface.source}"
            ends = ((Part.CHIP, CHIP_SHARE_OF_INTERFACE), (Part.MEMORY, 1 - CHIP_SHARE_OF_INTERFACE))
            for part, share in ends:
                yield _component(f"DRAM interface, {part.value}", part, Kind.TRAFFIC, bits * share, method)
            return
        family = family_of(traffic.name)
        if family not in technology.transfers_pj_per_bit:
            self.notes.append(f"No energy figure for {traffic.name} is at hand: that of DDR4 is used.")
        figure = technology.transfers_pj_per_bit.get(family, technology.transfers_pj_per_bit[FALLBACK_FAMILY])
        method = f"bytes {traffic.source} x {figure.nominal:g} pJ/bit, {figure.source}"
        bits = figure.as_range * (traffic.bytes_per_s * 8e-12)
        yield _component("DRAM transfers", Part.MEMORY, Kind.TRAFFIC, bits, method)
        self.notes.append(
            f"Background power of {traffic.name} (standby, refresh) is not included: no currents of it are at hand."
        )

    def _by_bytes(self) -> Range | None:
        """Return what bytes x published energy says of the memory, the cross-check of what its commands take."""
        traffic = self.request.traffic
        figure = dram_technology().transfers_pj_per_bit.get(family_of(traffic.name))
        return figure.as_range * (traffic.bytes_per_s * 8e-12) if figure else None

    def _board(self, module: Range) -> Iterator[PowerComponent]:
        """Return what lies between plug and module."""
        if not self.board or not self.board.board_w or not self.board.efficiency:
            return
        efficiency = self.board.efficiency
        lost = Range(
            nominal=module.nominal * (1 / efficiency.nominal - 1),
            low=module.low * (1 / efficiency.high - 1),
            high=module.high * (1 / efficiency.low - 1),
        )
        method = f"converters with {efficiency.nominal:.0%} ({efficiency.low:.0%} to {efficiency.high:.0%}), "
        yield _component("voltage conversion", Part.BOARD, Kind.BOARD, lost, method + efficiency.source)
        yield _component(
            "rest of the board", Part.BOARD, Kind.BOARD, self.board.board_w.as_range, self.board.board_w.source
        )

    def _floor(self, energy: float) -> None:
        """Say where an energy for each weight bit is below what any board has shown."""
        if energy < PUBLISHED_PJ_PER_WEIGHT_BIT:
            self.notes.append(
                f"{energy:.1f} pJ for each weight bit is more optimistic than every published FPGA board "
                "(25.5 pJ and more, for the whole system): take the upper end of the range."
            )


def shipped_rate(shipped: ShippedRates, unit: str, busy: float) -> tuple[float, str]:
    """Return the toggle rate of a unit that was not counted, and how it was found.

    Parameters
    ----------
    shipped
        The rates that come with the project.
    unit
        The unit.
    busy
        Share of the cycles in which it is busy.
    """
    if unit in shipped.busy:
        rate = shipped.busy[unit]
        return rate * busy, f"shipped toggle rate {rate:.1%} while busy ({busy:.1%} of the cycles)"
    rate = shipped.always.get(unit, shipped.other)
    return rate, f"shipped toggle rate {rate:.1%}"


def _unit_pj(technology: Technology, counts: Mapping[str, float], rate: float) -> Range:
    """Energy of a unit in a cycle."""
    dsp = technology.dsp
    return (
        technology.lut_toggle_pj.as_range * (counts.get("luts", 0) * rate)
        + technology.ff_toggle_pj.as_range * (counts.get("ffs", 0) * rate)
        + dsp.cycle_pj.as_range * (counts.get("dsps", 0) * dsp.scale(MULTIPLIER_BITS) * rate / dsp.toggle_rate)
        + technology.bram.access_pj.as_range
        * (counts.get("brams", 0) * BRAM_BITS / technology.bram.bits * rate / technology.bram.toggle_rate)
        + technology.uram.access_pj.as_range * (counts.get("urams", 0) * rate / technology.uram.toggle_rate)
    )


def _component(name: str, part: Part, kind: Kind, taken: Range, method: str) -> PowerComponent:
    return PowerComponent(
        name=name, part=part, kind=kind, w=taken.nominal, low_w=taken.low, high_w=taken.high, method=method
    )
