"""Sections on bytes, power and size."""

from collections.abc import Iterator
from dataclasses import replace

from rtlm.gen.common.plot_style import BLUE, GREEN, ORANGE, PURPLE
from rtlm.host.report_page.bars import Bar, bar_plot
from rtlm.host.report_page.cycles import most
from rtlm.host.report_page.parts import (
    Cell,
    Kind,
    Section,
    Table,
    lacking,
    origin,
    rounded,
    share,
    significant,
    whole,
    words,
)
from rtlm.host.report_page.run_file import RunFile

PART_COLOURS = {"chip": BLUE, "memory": GREEN, "board": PURPLE}
SMALLEST_DRAWN = 0.002
"""Share of the largest component below which a component is only in the table."""
SIZES = {"luts": "look-up tables", "ffs": "flip-flops", "dsps": "DSP blocks", "brams": "memory blocks"}


def byte_section(run: RunFile) -> Section:
    """Return the section on bytes."""
    section = Section(name="bytes", title="Bytes by purpose", kinds=(Kind.MEASURED,))
    if run.bytes is None:
        missing = lacking(run, "bytes", "bytes by purpose", "Nothing counted bytes in this run.")
        return replace(section, missing=missing)
    total = run.bytes.total or 1
    moved = [
        (direction, purpose, size)
        for direction, purposes in (("read", run.bytes.read), ("written", run.bytes.written))
        for purpose, size in purposes.items()
        if size
    ]
    moved.sort(key=lambda each: -each[2])
    drawn = [
        Bar(
            label=f"{purpose} {direction}",
            value=size / 1e6,
            text=f"{significant(size / 1e6)} MB",
            colour=BLUE if direction == "read" else ORANGE,
            group=direction,
        )
        for direction, purpose, size in moved
    ]
    finding = (
        f"{significant(total / 1e6, 4)} MB were moved: "
        f"{most([(f'{purpose} {direction}', size / total) for direction, purpose, size in moved])}."
    )
    return replace(
        section,
        finding=finding,
        origin=origin(run, "bytes"),
        plot=bar_plot(drawn, "MB in the whole run", room=1.2, narrow_room=1.5),
        table=Table(
            caption="Bytes on the AXI ports in the whole run, by purpose",
            header=("purpose", "direction", "bytes", "share"),
            rows=tuple(
                (words(purpose), words(direction), whole(size, f"bytes.{direction}.{purpose}"), share(size / total))
                for direction, purpose, size in moved
            ),
            words=2,
        ),
    )


def power_section(run: RunFile) -> Section:
    """Return the section on power."""
    section = Section(name="power", title="Power by component", kinds=(Kind.MODELLED,))
    power = run.power
    if power is None:
        missing = lacking(run, "power", "power", "Without gates and cycles there is no power.")
        return replace(section, missing=missing)
    largest = max((each.w for each in power.components), default=0.0)
    shown = [each for each in power.components if each.w >= SMALLEST_DRAWN * largest]
    drawn = [
        Bar(
            label=each.name.replace("_", " "),
            value=each.w,
            text=significant(each.w),
            colour=PART_COLOURS.get(each.part, BLUE),
            group=each.part,
            low=each.low_w,
            high=each.high_w,
        )
        for each in sorted(shown, key=lambda each: (list(PART_COLOURS).index(each.part), -each.w))
        if each.part in PART_COLOURS
    ]
    finding = (
        f"Chip and memory take {significant(power.total_w)} W ({significant(power.low_w)} to "
        f"{significant(power.high_w)} W). {power.included}"
    )
    left = len(power.components) - len(drawn)
    how = origin(run, "power")
    if left:
        how += f". The {left} smallest components are in the table only"
    rows = tuple(
        (
            words(each.name.replace("_", " ")),
            words(each.part),
            _watts(each.w, f"power.components.{i}.w"),
            _watts(each.low_w, f"power.components.{i}.low_w"),
            _watts(each.high_w, f"power.components.{i}.high_w"),
            words(each.method),
        )
        for i, each in enumerate(power.components)
    )
    return replace(
        section,
        finding=finding,
        origin=how,
        plot=bar_plot(drawn, "W while decoding"),
        table=Table(
            caption="Power while decoding by component, W",
            header=("component", "part", "W", "low", "high", "how it was found"),
            rows=rows,
            words=2,
        ),
    )


def _watts(value: float, path: str) -> Cell:
    """Return a component's watts; of the smallest, that they are small."""
    if 0 < value < 0.0005:
        return Cell(text="<\N{NO-BREAK SPACE}0.001", value=value, path=path)
    return rounded(value, path)


def size_section(run: RunFile) -> Iterator[Section]:
    """Return the section on size, a table alone; none where nothing was counted."""
    if not run.elements:
        return
    kind = size_kind(run)
    columns = [key for key in SIZES if any(key in counts for counts in run.elements.values())]
    rows = [
        (words(unit), *(whole(counts.get(key, 0), f"elements.{unit}.{key}") for key in columns))
        for unit, counts in run.elements.items()
    ]
    totals = {key: sum(counts.get(key, 0) for counts in run.elements.values()) for key in columns}
    finding = ", ".join(f"{total:,.0f} {SIZES[key]}" for key, total in totals.items()) + "."
    yield Section(
        name="size",
        title="Size by unit",
        kinds=(kind,),
        finding=finding,
        origin="All units of the accelerator, without the board's processor",
        table=Table(
            caption="Elements by unit",
            header=("unit", *(SIZES[key] for key in columns)),
            rows=(*rows, (words("all"), *(whole(totals[key]) for key in columns))),
        ),
    )


def size_kind(run: RunFile) -> Kind:
    """Return what the numbers of elements are."""
    return Kind.SYNTHESISED if (run.elements_are or "").startswith("synthesised") else Kind.COUNTED


def energy_sections(run: RunFile) -> Iterator[Section]:
    """Return the sections on bytes, power and size."""
    yield byte_section(run)
    yield power_section(run)
    yield from size_section(run)
