"""Power as rows of tables, the same for runs and estimates."""

from collections.abc import Iterator

from rtlm.host.power.result import Boundary, Power, Range

MEANING = {Boundary.CHIP: "the chip", Boundary.MODULE: "chip and memory", Boundary.PLUG: "at the plug"}
"""What the boundaries are, in words."""

COMPONENT_HEADER = ("component", "part", "W", "range", "pJ a cycle")
OPERATOR_HEADER = ("operator", "W", "range", "mJ/token", "share")


def summary_rows(power: Power, title: str = "power") -> Iterator[tuple[str, str]]:
    """Return power by boundary, and the energies that follow, each as a name and a value."""
    known = ((boundary, power.within(boundary)) for boundary in Boundary)
    for boundary, within in known:
        if within is not None:
            yield f"{title}, {MEANING[boundary]}", f"{spread(within)} W ({boundary.value}, estimated)"
    yield "tokens/J", f"{power.tokens_per_j:.3g} (module)"
    yield "J/token", f"{spread(power.j_per_token)} (module)"
    if bit := power.pj_per_weight_bit:
        per_bit = power.total * (bit / power.total_w)
        yield "pJ/weight bit", f"{spread(per_bit)} (module)"


def component_rows(power: Power, clock_mhz: float) -> Iterator[tuple[str, ...]]:
    """Return a row for each component (`COMPONENT_HEADER`)."""
    for each in power.components:
        picojoule = each.w / (clock_mhz * 1e6) * 1e12
        yield each.name, each.part.value, f"{each.w:.3g}", f"{each.low_w:.3g} to {each.high_w:.3g}", f"{picojoule:,.3g}"


def operator_rows(power: Power) -> Iterator[tuple[str, ...]]:
    """Return a row for each operator (`OPERATOR_HEADER`); chip and memory, which they add up to."""
    for name, each in power.operators.items():
        if each.nominal:
            millijoule = 1e3 * each.nominal / power.tokens_per_s
            share = f"{each.nominal / power.total_w:.1%}"
            yield name, f"{each.nominal:.3g}", f"{each.low:.3g} to {each.high:.3g}", f"{millijoule:.3g}", share


def spread(one: Range) -> str:
    """Write a figure with its range."""
    return f"{one.nominal:.3g} ({one.low:.3g} to {one.high:.3g})"
