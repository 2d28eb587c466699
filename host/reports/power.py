"""Estimated power: elements x switching activity x energy for each event, plus memory by bytes, plus static.

Every constant carries its source. The result is a range, because the element counts come without synthesis, the
energies from another FPGA family of similar node, and published DRAM energies differ by a factor of four.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from rtlm.host.reports.measurements import ActivityMeasurement

FPGA_SOURCE = "os-fpga Rapid Power Estimator, 22 nm, 0.8 V"
LUT_TOGGLE_PJ = 0.19
FF_TOGGLE_PJ = 0.22
FF_CLOCK_PJ = 0.0019
DSP_CYCLE_PJ = 4.6
DSP_TOGGLE_RATE = 0.125
"""Toggle rate at which a DSP block takes `DSP_CYCLE_PJ`; also the rate assumed where none was measured."""
BRAM_READ_PJ = 45.0
BRAM_TOGGLE_RATE = 0.5
"""Toggle rate at which a 36-bit read takes `BRAM_READ_PJ`."""
BRAM_READS = 2
"""36-bit reads that one 72-bit access of a 36 Kbit block counts as."""
CLOCK_ROOT_PJ = 10.0
CLOCK_SINK_PJ = 0.03
DSP_STATIC_W = 11.5e-6
BRAM_STATIC_W = 7.8e-6
CLB_STATIC_W = 2.2e-6
LUTS_IN_CLB = 8
ELEMENTS = ("luts", "ffs", "dsps", "brams")

LOGIC_LOW, LOGIC_HIGH = 0.5, 2.0
"""Range of the on-chip figures: judged, not measured; counts are not synthesised and wires not placed."""

DRAM_PJ_PER_BIT = {
    "ddr4": (15.0, 4.5, 20.0),
    "lpddr4": (8.0, 4.0, 14.0),
    "lpddr5": (5.0, 2.0, 7.0),
    "hbm2": (4.0, 3.9, 7.0),
    "hbm3": (4.0, 3.0, 5.0),
}
"""Energy of a transferred bit: typical, low, high (published values)."""

# Currents in ampere (maxima) of four 8 Gbit x16 devices at DDR4-2400: Micron MTA4ATF51264AZ data sheet, table 13.
_IDD2N, _IDD3N, _IPP3N, _IDD5B = 0.136, 0.188, 0.012, 1.120
_VDD, _VPP = 1.2, 2.5
_REFRESH_SHARE = 350 / 7812.5
_REFRESH_W = (_IDD5B - _IDD3N) * _VDD * _REFRESH_SHARE
DRAM_BACKGROUND = {
    "ddr4-2400": (
        _IDD3N * _VDD + _IPP3N * _VPP + _REFRESH_W,
        _IDD2N * _VDD + _REFRESH_W,
        1.2 * (_IDD3N * _VDD + _IPP3N * _VPP + _REFRESH_W),
        "standby and refresh currents of a 64-bit module, Micron MTA4ATF51264AZ data sheet",
    ),
}
"""Power that does not depend on traffic, in watt: typical, low, high, source."""

PUBLISHED_PJ_PER_WEIGHT_BIT = 25.0
"""Whole-system energy of the best published FPGA design with DDR4 (25.5 to 27.9 pJ for each weight bit)."""


@dataclass(frozen=True, kw_only=True)
class PowerComponent:
    """One summand.

    Parameters
    ----------
    name
        What takes the power.
    w, low_w, high_w
        Estimate and range in watt.
    method
        How it was found.
    """

    name: str
    w: float
    low_w: float
    high_w: float
    method: str


@dataclass(frozen=True, kw_only=True)
class Power:
    """Power while decoding.

    Parameters
    ----------
    components
        The summands.
    tokens_per_s
        Speed that the power belongs to.
    pj_per_weight_bit
        All energy divided by the weight bits that were read; None where that is unknown.
    notes
        What the reader has to know: assumptions, what is missing, whether it looks too good.
    """

    components: tuple[PowerComponent, ...]
    tokens_per_s: float
    pj_per_weight_bit: float | None
    notes: tuple[str, ...]

    @property
    def total_w(self) -> float:
        """Sum of the estimates."""
        return sum(component.w for component in self.components)

    @property
    def low_w(self) -> float:
        """Sum of the lower bounds."""
        return sum(component.low_w for component in self.components)

    @property
    def high_w(self) -> float:
        """Sum of the upper bounds."""
        return sum(component.high_w for component in self.components)

    @property
    def tokens_per_j(self) -> float:
        """Tokens for a joule."""
        return self.tokens_per_s / self.total_w

    def to_json(self) -> dict[str, Any]:
        """Return plain values, as in a report."""
        return {
            "total_w": self.total_w,
            "low_w": self.low_w,
            "high_w": self.high_w,
            "tokens_per_j": self.tokens_per_j,
            "pj_per_weight_bit": self.pj_per_weight_bit,
            "components": [asdict(component) for component in self.components],
            "notes": list(self.notes),
        }


def estimate_power(
    *,
    elements: Mapping[str, Mapping[str, float]],
    activity: ActivityMeasurement | None,
    busy: Mapping[str, float],
    clock_mhz: float,
    dram: str,
    bytes_per_s: float,
    tokens_per_s: float,
    weight_bytes_per_s: float | None,
    bytes_source: str = "measured in RTL",
) -> Power:
    """Estimate the power of chip and memory.

    Parameters
    ----------
    elements
        ``luts``, ``ffs``, ``dsps``, ``brams`` of each unit.
    activity
        Counted toggles; None assumes `DSP_TOGGLE_RATE` while a unit is busy. A unit that was not counted gets the mean
        of those that were.
    busy
        Share of the cycles in which a unit is busy; 1 where it is not given.
    clock_mhz
        Clock.
    dram
        Name of the memory, such as ``ddr4-2400``.
    bytes_per_s
        Bytes that the memory moves.
    tokens_per_s
        Decoding speed.
    weight_bytes_per_s
        Bytes of weights and scales among them.
    bytes_source
        Where the bytes come from.
    """
    notes: list[str] = []
    components: list[PowerComponent] = []
    hz = clock_mhz * 1e6
    toggles = activity.toggles if activity else {}
    known = [rate for unit, rate in toggles.items() if unit in elements]
    assumed = sum(known) / len(known) if known else DSP_TOGGLE_RATE
    if known:
        assert activity is not None
        notes.append(f"Toggles for the power of the logic were {activity.source}.")
    else:
        notes.append(
            f"No toggles were counted: a rate of {DSP_TOGGLE_RATE:.1%} is assumed while a unit is busy. "
            "`rtlm run --power measured` counts them once for a configuration and a model."
        )
    for unit, counts in sorted(elements.items()):
        measured = unit in toggles
        rate = toggles[unit] if measured else assumed * busy.get(unit, 1.0)
        if watt := _unit_pj(counts, rate) * 1e-12 * hz:
            share = f" while busy ({busy[unit]:.1%} of the cycles)" if unit in busy and not measured else ""
            how = f"toggle rate {rate:.1%} counted in RTL" if measured else f"assumed toggle rate {assumed:.1%}{share}"
            components.append(_logic(unit, watt, f"{how}, estimated elements, {FPGA_SOURCE}"))
    total = {name: sum(counts.get(name, 0) for counts in elements.values()) for name in ELEMENTS}
    sinks = total["ffs"] + total["dsps"] + total["brams"]
    tree = (CLOCK_ROOT_PJ + CLOCK_SINK_PJ * sinks + FF_CLOCK_PJ * total["ffs"]) * 1e-12 * hz
    components.append(_logic("clock tree", tree, f"{FPGA_SOURCE} x {sinks:.0f} estimated sinks"))
    static = total["dsps"] * DSP_STATIC_W + total["brams"] * BRAM_STATIC_W + total["luts"] / LUTS_IN_CLB * CLB_STATIC_W
    components.append(_logic("static", static, f"{FPGA_SOURCE}, 25 degrees, used elements only"))
    components += _dram(dram, bytes_per_s, bytes_source, notes)
    notes.append("Not included: processors, unused fabric, DRAM PHY, voltage conversion and the rest of the board.")
    energy = None
    if weight_bytes_per_s:
        energy = sum(component.w for component in components) / (weight_bytes_per_s * 8) * 1e12
        if energy < PUBLISHED_PJ_PER_WEIGHT_BIT:
            notes.append(
                f"{energy:.1f} pJ for each weight bit is more optimistic than every published FPGA board "
                "(25.5 pJ and more, for the whole system): take the upper end of the range."
            )
    return Power(components=tuple(components), tokens_per_s=tokens_per_s, pj_per_weight_bit=energy, notes=tuple(notes))


def _unit_pj(counts: Mapping[str, float], rate: float) -> float:
    """Energy of a unit in a cycle."""
    return (
        counts.get("luts", 0) * LUT_TOGGLE_PJ * rate
        + counts.get("ffs", 0) * FF_TOGGLE_PJ * rate
        + counts.get("dsps", 0) * DSP_CYCLE_PJ * rate / DSP_TOGGLE_RATE
        + counts.get("brams", 0) * BRAM_READS * BRAM_READ_PJ * rate / BRAM_TOGGLE_RATE
    )


def _logic(name: str, watt: float, method: str) -> PowerComponent:
    return PowerComponent(name=name, w=watt, low_w=watt * LOGIC_LOW, high_w=watt * LOGIC_HIGH, method=method)


def _dram(name: str, bytes_per_s: float, source: str, notes: list[str]) -> list[PowerComponent]:
    """Energy of the memory by bytes, and its background."""
    family = name.split("-")[0].split(" ")[0]
    if family == "ideal":
        notes.append("The ideal memory takes no energy here: its power is missing from the total.")
        return []
    if family not in DRAM_PJ_PER_BIT:
        notes.append(f"No energy figure for {name} is at hand: that of DDR4 is used.")
        family = "ddr4"
    bits = bytes_per_s * 8e-12
    typical, low, high = DRAM_PJ_PER_BIT[family]
    method = f"bytes {source} x {typical:g} pJ/bit ({low:g} to {high:g}), published range for {family.upper()}"
    found = [
        PowerComponent(name="DRAM transfers", w=bits * typical, low_w=bits * low, high_w=bits * high, method=method)
    ]
    if background := DRAM_BACKGROUND.get(name.removesuffix(" (changed)")):
        watt, least, most, source = background
        found.append(PowerComponent(name="DRAM background", w=watt, low_w=least, high_w=most, method=source))
    else:
        notes.append(f"Background power of {name} (standby, refresh) is not included: no data sheet was at hand.")
    return found
