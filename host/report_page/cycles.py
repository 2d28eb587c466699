"""Sections on where the cycles go: by operator, by layer and by cause."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from rtlm.gen.common.plot_style import BLUE, GREEN, GREY, ORANGE, PURPLE, VERMILION
from rtlm.host.report_page.bars import Bar, bar_plot
from rtlm.host.report_page.parts import (
    Kind,
    Section,
    Table,
    dash,
    joined,
    lacking,
    origin,
    rounded,
    share,
    whole,
    words,
)
from rtlm.host.report_page.plot import Plot, gridded
from rtlm.host.report_page.run_file import Cause, Layer, RunFile
from rtlm.host.reports.layers import EMBEDDING, HEAD
from rtlm.host.reports.work import MODULES, operator_name

MODULE_OF = {operator_name(operator): module for module, operators in MODULES.items() for operator in operators}
MODULE_NAMES = {"attention": "attention", "feed_forward": "feed-forward", "head": "head", "other": "the rest"}
MODULE_COLOURS = {"attention": BLUE, "feed_forward": ORANGE, "head": PURPLE, "other": GREY}
CAUSE_COLOURS = {"needed": GREEN, "refresh": GREY, "rows": GREY, "turnaround": GREY, "timing": GREY}

LAYERS_HEIGHT = 2.9


def cycle_sections(run: RunFile) -> Iterator[Section]:
    """Return the sections on cycles."""
    yield _operators(run)
    yield _layers(run)
    yield _causes(run)


def module_of(operator: str) -> str:
    """Return the part of the model to which an operator belongs."""
    return MODULE_OF.get(operator, "other")


def most(named: Sequence[tuple[str, float]], verb: str = "") -> str:
    """Write the three largest shares in words, with a verb behind the first name."""
    largest = sorted(named, key=lambda each: -each[1])[:3]
    verbs = [f" {verb}" if verb else "", "", ""]
    return joined(
        [f"{name}{verb} {share(part).text}" for (name, part), verb in zip(largest, verbs, strict=False) if part]
    )


def _operators(run: RunFile) -> Section:
    section = Section(name="operators", title="Cycles by operator", kinds=(Kind.MEASURED,))
    if not run.operators:
        return replace(section, missing=lacking(run, "operators", "cycles by operator"))
    energy = {each.name: (i, each.j_per_token) for i, each in enumerate(run.power.operators)} if run.power else {}
    ordered = sorted(enumerate(run.operators), key=lambda each: -each[1].share)
    rows = []
    for i, each in ordered:
        millijoule = dash()
        if each.name in energy:
            k, joule = energy[each.name]
            millijoule = rounded(joule, f"power.operators.{k}.j_per_token", scale=1e3)
        rows.append(
            (
                words(each.name),
                words(MODULE_NAMES[module_of(each.name)]),
                whole(each.cycles_per_token, f"operators.{i}.cycles_per_token"),
                share(each.share, f"operators.{i}.share"),
                millijoule,
            )
        )
    drawn = [
        Bar(
            label=each.name,
            value=100 * each.share,
            text=share(each.share).text,
            colour=MODULE_COLOURS[module_of(each.name)],
            group=MODULE_NAMES[module_of(each.name)],
        )
        for _, each in ordered
    ]
    finding = f"Of the cycles of a decoded token, {most([(each.name, each.share) for each in run.operators], 'takes')}."
    return replace(
        section,
        finding=finding,
        origin=origin(run, "operators"),
        plot=bar_plot(drawn, "% of the cycles of a decoded token"),
        table=Table(
            caption="Cycles of a decoded token by operator",
            header=("operator", "part of the model", "cycles/token", "share", "mJ/token"),
            rows=tuple(rows),
            words=2,
        ),
    )


def _layers(run: RunFile) -> Section:
    section = Section(name="layers", title="Cycles by layer", kinds=(Kind.MEASURED,))
    if not run.layers:
        return replace(section, missing=lacking(run, "layers", "cycles by layer"))
    layers = [layer for layer in run.layers if layer.name not in (EMBEDDING, HEAD)]
    around = [f"the {layer.name} {share(layer.share).text}" for layer in run.layers if layer.name in (EMBEDDING, HEAD)]
    part = sum(layer.share for layer in layers)
    cycles = [layer.cycles_per_token for layer in layers]
    finding = f"The {len(layers)} layers take {share(part).text}, {joined(around)}."
    if layers:
        finding += f" A layer takes {min(cycles):,.0f} to {max(cycles):,.0f} cycles a token."
    rows = []
    for i, layer in enumerate(run.layers):
        parts = _by_module(layer)
        rows.append(
            (
                words(layer.name),
                *(whole(parts[module]) for module in MODULE_NAMES),
                whole(layer.cycles_per_token, f"layers.{i}.cycles_per_token"),
                share(layer.share, f"layers.{i}.share"),
            )
        )
    return replace(
        section,
        finding=finding,
        origin=origin(run, "layers"),
        plot=Plot(draw=lambda figure, _: _draw_layers(figure, layers), height=LAYERS_HEIGHT) if layers else None,
        table=Table(
            caption="Cycles of a decoded token by layer and part of the model",
            header=("layer", *MODULE_NAMES.values(), "cycles/token", "share"),
            rows=tuple(rows),
        ),
    )


def _by_module(layer: Layer) -> dict[str, float]:
    parts = dict.fromkeys(MODULE_NAMES, 0.0)
    for operator, cycles in layer.operators.items():
        parts[module_of(operator)] += cycles
    return parts


def _draw_layers(figure: Figure, layers: Sequence[Layer]) -> None:
    axes = gridded(figure, "y")
    numbers = range(len(layers))
    parts = [_by_module(layer) for layer in layers]
    bottom = [0.0] * len(layers)
    handles = []
    for module in MODULE_NAMES:
        values = [each[module] for each in parts]
        if not any(values):
            continue
        axes.bar(numbers, values, bottom=bottom, width=0.8, color=MODULE_COLOURS[module])
        bottom = [low + value for low, value in zip(bottom, values, strict=True)]
        handles.append(Patch(color=MODULE_COLOURS[module], label=MODULE_NAMES[module]))
    axes.set_xlim(-0.6, len(layers) - 0.4)
    axes.xaxis.set_major_locator(MaxNLocator(10, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.set(xlabel="layer", ylabel="cycles a token")
    figure.legend(
        handles=handles,
        loc="outside upper left",
        ncols=len(handles),
        frameon=False,
        handlelength=0.9,
        columnspacing=1.2,
        handletextpad=0.5,
    )


def _causes(run: RunFile) -> Section:
    section = Section(name="causes", title="Cycles by cause", kinds=(Kind.MEASURED, Kind.MODELLED))
    if not run.causes:
        missing = lacking(run, "causes", "cycles by cause")
        if run.memory and run.memory.ideal:
            missing = "An ideal memory has no clocks, so no cycle has a cause."
        return replace(section, missing=missing)
    rows = tuple(
        (
            words(_spoken(each)),
            words(each.meaning),
            whole(each.cycles_per_token, f"causes.{i}.cycles_per_token"),
            share(each.share, f"causes.{i}.share"),
        )
        for i, each in enumerate(run.causes)
    )
    drawn = [
        Bar(
            label=_spoken(each),
            value=100 * each.share,
            text=share(each.share).text,
            colour=CAUSE_COLOURS.get(each.name, VERMILION),
            group=_cause_group(each.name),
        )
        for each in run.causes
    ]
    needed = next((each.share for each in run.causes if each.name == "needed"), 0.0)
    others = [(_spoken(each), each.share) for each in run.causes if each.name != "needed"]
    finding = f"In {share(needed).text} of the cycles memory moved bytes that the token cannot do without."
    if others:
        finding += f" Most of the rest: {most(others)}."
    return replace(
        section,
        finding=finding,
        origin=origin(run, "causes"),
        plot=bar_plot(drawn, "% of the decoding cycles"),
        table=Table(
            caption="Cycles of a decoded token by what the memory's data bus did in them",
            header=("cause", "in these cycles", "cycles/token", "share"),
            rows=rows,
            words=2,
        ),
    )


def _spoken(cause: Cause) -> str:
    return cause.name.replace("_", " ")


def _cause_group(name: str) -> str:
    if name == "needed":
        return "useful"
    return "the memory itself" if name in CAUSE_COLOURS else "the accelerator"
