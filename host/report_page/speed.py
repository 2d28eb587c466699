"""Sections on the roofline, utilisation over time, speed against context, and published designs."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator
from rtlm.gen.common.errors import RtlmError
from rtlm.gen.common.plot_style import BLUE, GREY, ORANGE, PURPLE, VERMILION
from rtlm.host.dissection import roofline
from rtlm.host.dissection.micro import Dissection, dissect
from rtlm.host.dissection.report_file import ReportFile
from rtlm.host.report_page.parts import (
    NO_CYCLES,
    OLD,
    Cell,
    Kind,
    Section,
    Table,
    dash,
    lacking,
    rounded,
    share,
    significant,
    whole,
    words,
)
from rtlm.host.report_page.plot import Plot, gridded
from rtlm.host.report_page.run_file import RunFile, Step
from rtlm.host.reports.measurements import DECODE, PREFILL
from rtlm.host.survey import plot as survey_plot
from rtlm.host.survey.load import SurveyError, published_rows
from rtlm.host.survey.ours import our_points
from rtlm.host.survey.point import Point

MAX_ROWS = 512
"""Steps in a table; a longer run is in the JSON."""
WORDS_AT = 30
"""Per cent at which the plot of utilisation has its words."""
ARRAYS = {"matmul": (BLUE, "matrix array"), "attention": (PURPLE, "attention array")}


def speed_sections(run: RunFile) -> Iterator[Section]:
    """Return the sections on speed."""
    yield _roofline(run)
    yield _utilisation(run)
    yield _context(run)
    yield _survey(run)


def _roofline(run: RunFile) -> Section:
    section = Section(name="roofline", title="Roofline", kinds=(Kind.MEASURED, Kind.MODELLED))
    if run.performance.stream_ceiling is None:
        return replace(section, missing=NO_CYCLES)
    try:
        found = dissect(ReportFile.parse(run.values, "this JSON file"))
    except RtlmError as error:
        return replace(section, missing=f"There is no roofline: {error}.")
    machine = found.machine
    last = found.stages[-1]
    slowest = max(roofline.points(last), key=lambda row: row.cycles, default=None)
    finding = "Each point is an operator: how much it computes for a byte, and how fast."
    if slowest:
        finding += (
            f" {slowest.name}, which takes the most cycles of {last.name}, reaches "
            f"{share(roofline.share_of_roof(slowest, machine)).text} of its roof and is bound by {slowest.bound}."
        )
    panels = len(found.stages)
    return replace(
        section,
        finding=finding,
        origin="Cycles are measured in RTL; bytes and multiply-accumulates follow from the program; the roofs are what "
        "arrays and DRAM model allow. More than 100% is possible where words were fetched while another operator ran",
        plot=Plot(
            draw=lambda figure, narrow: _draw_roofline(figure, found, narrow),
            height=5.0,
            narrow_height=1.9 + 3.3 * panels,
        ),
        table=_roofline_table(found),
    )


def _draw_roofline(figure: Figure, found: Dissection, narrow: bool) -> None:
    roofline.draw_on(figure, found, stacked=narrow, brief=True)


def _roofline_table(found: Dissection) -> Table:
    rows = []
    for stage in found.stages:
        for row in stage.operators:
            seconds = row.cycles / found.machine.clock_hz
            rows.append(
                (
                    words(stage.name),
                    words(row.name),
                    words(row.bound),
                    whole(row.cycles),
                    rounded(row.work.bytes, scale=1e-6) if row.work.bytes else dash(),
                    rounded(row.work.bytes / seconds, scale=1e-9) if row.work.bytes else dash(),
                    rounded(row.intensity) if row.intensity else dash(),
                    rounded(row.work.macs / seconds, scale=1e-9) if row.work.macs else dash(),
                )
            )
    return Table(
        caption="Operators by stage, all steps of the run",
        header=("stage", "operator", "bound by", "cycles", "MB", "GB/s", "MAC/byte", "GMAC/s"),
        rows=tuple(rows),
        words=3,
    )


def _utilisation(run: RunFile) -> Section:
    section = Section(name="utilisation", title="Utilisation over time", kinds=(Kind.MEASURED,))
    counted = [step for step in run.steps if step.cycles]
    if not counted or run.memory is None:
        return replace(section, missing=NO_CYCLES)
    if any(step.lacks("needed_bytes") or step.lacks("units") for step in counted):
        return replace(section, missing=OLD.format(what="utilisation by step"))
    shares = [bandwidth(run, step) for step in counted]
    decode = [each for each, step in zip(shares, counted, strict=True) if step.phase == DECODE] or shares
    ceiling = run.performance.stream_ceiling
    low, high = share(min(decode)).text, share(max(decode)).text
    between = low if low == high else f"{low} to {high}"
    finding = f"Decoding steps use {between} of the memory's bandwidth"
    finding += f"; a linear stream reaches {share(ceiling).text}." if ceiling else "."
    rows = []
    for number, (step, used) in enumerate(zip(counted[:MAX_ROWS], shares, strict=False), 1):
        rows.append(
            (
                words(step.phase),
                whole(number),
                whole(step.tokens),
                whole(step.context),
                whole(step.cycles or 0),
                share(used),
                *(share(_busy(step, unit)) if unit in step.units else dash() for unit in ARRAYS),
            )
        )
    caption = "Steps of the run"
    if len(counted) > MAX_ROWS:
        caption += f", the first {MAX_ROWS} of {len(counted):,}; the JSON has all"
    return replace(
        section,
        finding=finding,
        origin="A step is a pass through the weights. Bandwidth: bytes it cannot do without / (time x the memory's "
        "peak); arrays: cycles in which they took words",
        plot=Plot(
            draw=lambda figure, narrow: _draw_utilisation(figure, run, counted, shares, narrow),
            height=3.0,
            narrow_height=3.4,
        ),
        table=Table(
            caption=caption,
            header=("phase", "step", "tokens", "context", "cycles", "bandwidth", "matrix array", "attention array"),
            rows=tuple(rows),
        ),
    )


def bandwidth(run: RunFile, step: Step) -> float:
    """Return the bandwidth utilisation of a step, as `performance.bandwidth_utilisation` is of all."""
    assert run.memory is not None
    seconds = (step.cycles or 0) / (run.config.clock_mhz * 1e6)
    return (step.needed_bytes or 0) / (seconds * run.memory.peak_bytes_per_s)


def _busy(step: Step, unit: str) -> float:
    return step.units.get(unit, {}).get("busy", 0) / (step.cycles or 1)


def _draw_utilisation(figure: Figure, run: RunFile, steps: list[Step], shares: list[float], narrow: bool) -> None:
    axes = gridded(figure, "y")
    numbers = range(1, len(steps) + 1)
    marker = "o" if len(steps) <= 60 else None
    axes.plot(numbers, [100 * each for each in shares], color=ORANGE, marker=marker, ms=4, label="bandwidth")
    for unit, (colour, label) in ARRAYS.items():
        if any(unit in step.units for step in steps):
            values = [100 * _busy(step, unit) for step in steps]
            axes.plot(numbers, values, color=colour, marker="s" if marker else None, ms=3.5, label=label)
    if ceiling := run.performance.stream_ceiling:
        axes.axhline(100 * ceiling, color="black", linestyle="--", linewidth=1.0, label="linear stream")
    prompt = sum(step.phase == PREFILL for step in steps)
    if prompt and prompt < len(steps):
        axes.axvline(prompt + 0.5, color=GREY, linewidth=1.0, linestyle=":")
        for text, offset, side in (("prompt", -6, "right"), ("decoding", 6, "left")):
            style: Any = {
                "xytext": (offset, 0),
                "textcoords": "offset points",
                "ha": side,
                "va": "center",
                "color": GREY,
            }
            axes.annotate(text, (prompt + 0.5, WORDS_AT), **style)
    axes.set(xlim=(0.5, len(steps) + 0.5), ylim=(0, 105), xlabel="step", ylabel="%")
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    figure.legend(loc="outside upper left", ncols=2 if narrow else 4, frameon=False)


def _context(run: RunFile) -> Section:
    section = Section(name="context", title="Speed against context", kinds=(Kind.MEASURED, Kind.MODELLED))
    hz, batch = run.config.clock_mhz * 1e6, run.performance.batch
    measured = [
        (step.context, step.tokens * hz / step.cycles) for step in run.steps if step.phase == DECODE and step.cycles
    ]
    curve = run.context_curve
    if not measured and curve is None:
        return replace(section, missing=lacking(run, "context_curve", "estimated speed by context"))
    rows: list[tuple[Cell, ...]] = [
        (words("measured in RTL"), whole(context), rounded(speed, digits=4)) for context, speed in measured[:MAX_ROWS]
    ]
    finding, origin = "", ""
    if measured:
        slow, fast = (significant(pick(speed for _, speed in measured), 4) for pick in (min, max))
        between = f"{slow} to {fast}" if slow != fast else slow
        finding = f"{len(measured)} measured decoding step{'s' * (len(measured) != 1)}: {between} tokens/s. "
    if curve is None or not curve.points:
        finding += "The file has no estimated speed at other contexts: only rtlm run --json or --report estimates it."
    else:
        last = curve.points[-1]
        finding += f"Estimated for {last.context:,} positions: {significant(last.tokens_per_s, 4)} tokens/s."
        origin = (
            f"The curve is estimated; cycles of estimates were {curve.error.mean:.2%} from RTL in the mean and "
            f"{curve.error.worst:.2%} at worst, over {curve.error.points} points"
        )
        rows += [
            (
                words("estimated"),
                whole(point.context, f"context_curve.points.{i}.context"),
                rounded(point.tokens_per_s, f"context_curve.points.{i}.tokens_per_s", digits=4),
            )
            for i, point in enumerate(curve.points)
        ]
    return replace(
        section,
        finding=finding,
        origin=origin,
        plot=Plot(
            draw=lambda figure, narrow: _draw_context(figure, run, measured, narrow),
            height=3.1,
            narrow_height=3.4,
        ),
        table=Table(
            caption=f"Tokens a second by context, batch {batch}",
            header=("kind", "context", "tokens/s"),
            rows=tuple(rows),
        ),
    )


def _draw_context(figure: Figure, run: RunFile, measured: list[tuple[int, float]], narrow: bool) -> None:
    axes = gridded(figure, "both")
    curve = run.context_curve
    if curve and curve.points:
        contexts = [point.context for point in curve.points]
        speeds = [point.tokens_per_s for point in curve.points]
        worst = curve.error.worst
        low, high = [speed / (1 + worst) for speed in speeds], [speed / max(1 - worst, 0.1) for speed in speeds]
        axes.fill_between(contexts, low, high, color=BLUE, alpha=0.22, linewidth=0)
        label = f"estimated, \N{PLUS-MINUS SIGN} {worst:.1%} at worst"
        axes.plot(contexts, speeds, color=BLUE, linewidth=1.6, label=label)
    if measured:
        places, values = zip(*measured, strict=True)
        axes.plot(places, values, "o", color=VERMILION, ms=5, label="measured in RTL", zorder=4)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.xaxis.set_major_locator(LogLocator(base=2, numticks=6 if narrow else 12))
    estimated = [point.tokens_per_s for point in curve.points] if curve else []
    axes.set_ylim(0, 1.12 * max([*estimated, *(speed for _, speed in measured)]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axes.set(xlabel="context in positions", ylabel="tokens/s")
    figure.legend(loc="outside upper left", ncols=1 if narrow else 2, frameon=False)


def _survey(run: RunFile) -> Section:
    kinds = (Kind.MEASURED, Kind.MODELLED, Kind.SOURCED)
    section = Section(name="published", title="Among published designs", kinds=kinds)
    try:
        (ours,) = our_points([run.values])
    except SurveyError:
        return replace(section, missing="Without a speed there is nothing to compare.")
    published = [Point.from_row(row) for row in published_rows()]
    if ours.power_w is None:
        return replace(section, missing="Without power the run has no place among watts and tokens/s.")
    known = sum(point.power_w is not None for point in published)
    size = (
        f"{ours.parameters_b * 1e3:,.0f} million parameters"
        if ours.parameters_b
        else "parameters that its name does not tell"
    )
    finding = (
        f"{significant(ours.tokens_per_s, 4)} tokens/s at {significant(ours.power_w)} W are "
        f"{significant(ours.tokens_per_j or 0)} tokens/J. Speeds depend on the size of the model: this one has {size}, "
        f"most of the {known} published points with a power about 7,000 million."
    )
    rows = tuple(
        (
            words(point.work),
            words(point.platform.value),
            words(point.model),
            words(str(point.kind)),
            whole(point.batch),
            rounded(
                point.tokens_per_s, "performance.tokens_per_s" if point.ours else "", digits=4 if point.ours else 3
            ),
            rounded(point.power_w, "power.total_w" if point.ours else "") if point.power_w else dash(),
            rounded(point.tokens_per_j, "power.tokens_per_j" if point.ours else "") if point.tokens_per_j else dash(),
            words(point.source),
        )
        for point in (ours, *published)
    )
    return replace(
        section,
        finding=finding,
        origin="Published figures are from the sources in the table; what their watts are of differs (rtlm compare)",
        plot=Plot(
            draw=lambda figure, narrow: survey_plot.draw_on(figure, [ours, *published], narrow=narrow),
            height=6.2,
            narrow_height=5.4,
        ),
        table=Table(
            caption="This run, and published designs",
            header=("work", "platform", "model", "kind", "batch", "tokens/s", "W", "tokens/J", "source"),
            rows=rows,
            words=4,
        ),
    )
