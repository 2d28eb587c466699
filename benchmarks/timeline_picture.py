"""Draws docs/pictures/timeline.svg: one layer of a decoding step, from the file that `rtlm run --trace` wrote.

rtlm run --prompt "The capital" --max-tokens 1 --config kv260 --trace capital.pftrace
python benchmarks/timeline_picture.py capital.pftrace --layer 3
"""

from pathlib import Path

import click
import numpy as np
from matplotlib.axes import Axes
from rtlm.gen.common.plot_style import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION, YELLOW, plot_file
from rtlm.host.reports.perfetto_file import NS_PER_CYCLE
from rtlm.host.reports.perfetto_reader import PerfettoReader, ReadSlice

WINDOWS = 150
"""Points of a line: shares of cycles are drawn, not the cycles themselves."""
COLOURS = (SKY, ORANGE, GREEN, YELLOW, PURPLE, VERMILION, BLUE)
BARS = {
    "operators": ("step", "operators"),
    "words taken": ("instructions", "words taken"),
    "epilogues": ("vector engine", "epilogues"),
    "attention": ("attention", "work"),
}
SHARES = {
    "matrix unit busy": ("matrix unit", "busy"),
    "vector engine busy": ("vector engine", "busy"),
    "prefetch buffer full": ("reader", "no_room"),
}


OUTPUT = Path("docs/pictures/timeline.svg")


@click.command()
@click.argument("trace", type=click.Path(exists=True, path_type=Path))
@click.option("--layer", default=3, show_default=True)
@click.option("--output", default=OUTPUT, type=click.Path(path_type=Path), show_default=True)
def main(trace: Path, layer: int, output: Path) -> None:
    """Draw one layer of a timeline."""
    read = PerfettoReader(trace)
    words = [each for each in read.track("instructions", "words taken") if each.name.startswith(f"layer {layer} · w")]
    following = [s for s in read.track("instructions", "words taken") if s.name.startswith(f"layer {layer + 1} · w")]
    start, end = words[0].ts / NS_PER_CYCLE, following[0].ts / NS_PER_CYCLE
    with plot_file(output, (10, 5.4)) as figure:
        figure.set_layout_engine("constrained", hspace=0.0, h_pad=0.02)
        axes = figure.subplots(len(BARS) + len(SHARES) + 2, sharex=True)
        rows = iter(axes)
        for label, track in BARS.items():
            _bars(next(rows), label, read.track(*track), start, end)
        for label, track in SHARES.items():
            _share(next(rows), label, read.track(*track), start, end)
        _causes(next(rows), read.track("memory", "channel 0"), start, end)
        _rate(next(rows), read.counter("memory", "read rate"), start, end)
        axes[0].set_title(f"{trace.name}: layer {layer}, {end - start:,.0f} cycles", loc="left")
        axes[-1].set_xlabel("cycles from the first word of the layer's first matrix")
        axes[-1].set_xlim(0, end - start)


def _row(axes: Axes, label: str) -> None:
    axes.set_ylabel(label, rotation=0, ha="right", va="center")
    axes.set_yticks([])
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)
    axes.tick_params(axis="x", length=0)


def _inside(slices: list[ReadSlice], start: float, end: float) -> list[tuple[float, float, str]]:
    """Return begin, length and name of slices within some cycles."""
    found = []
    for each in slices:
        first, last = max(each.ts / NS_PER_CYCLE, start), min((each.ts + each.dur) / NS_PER_CYCLE, end)
        if last > first:
            found.append((first - start, last - first, each.name.partition(" · ")[2] or each.name))
    return found


def _bars(axes: Axes, label: str, slices: list[ReadSlice], start: float, end: float) -> None:
    """Draw slices as bars, with their names where there is room."""
    _row(axes, label)
    colours: dict[str, str] = {}
    for begin, length, name in _inside(slices, start, end):
        if length < (end - start) / 1000:
            continue
        colour = colours.setdefault(name, COLOURS[len(colours) % len(COLOURS)])
        axes.broken_barh([(begin, length)], (0, 1), color=colour, alpha=0.6, linewidth=0)
        if length > (end - start) * 0.011 * len(name):
            axes.text(begin + length / 2, 0.48, name, ha="center", va="center", fontsize=8)
    axes.set_ylim(0, 1)


def _shares(slices: list[ReadSlice], start: float, end: float) -> np.ndarray:
    """Return the share of the cycles of each window that lie in slices."""
    edges = np.linspace(0, end - start, WINDOWS + 1)
    spans = [(begin, begin + length) for begin, length, _ in _inside(slices, start, end)]
    if not spans:
        return np.zeros(WINDOWS)
    begins, ends = (np.array(values) for values in zip(*spans, strict=True))
    lengths = np.concatenate([[0], np.cumsum(ends - begins)])
    # Cycles in slices before each edge.
    place = np.searchsorted(begins, edges)
    before = lengths[place] - np.maximum(0, ends[place - 1] - edges) * (place > 0)
    return np.diff(before) / np.diff(edges)


def _share(axes: Axes, label: str, slices: list[ReadSlice], start: float, end: float) -> None:
    _row(axes, label)
    edges = np.linspace(0, end - start, WINDOWS + 1)
    axes.stairs(_shares(slices, start, end), edges, fill=True, color=BLUE, alpha=0.8)
    axes.set_ylim(0, 1.05)


def _causes(axes: Axes, slices: list[ReadSlice], start: float, end: float) -> None:
    """Draw how much of each window the data bus moved data, and why it did not."""
    _row(axes, "data bus")
    edges = np.linspace(0, end - start, WINDOWS + 1)
    bottom = np.zeros(WINDOWS)
    kinds = {"data": SKY, "refresh": PURPLE, "rows": ORANGE, "turnaround": GREEN, "timing": YELLOW}
    for name, colour in kinds.items():
        share = _shares([each for each in slices if each.name == name], start, end)
        axes.stairs(bottom + share, edges, baseline=bottom, fill=True, color=colour, label=name)
        bottom = bottom + share
    axes.stairs(np.ones(WINDOWS), edges, baseline=bottom, fill=True, color=GREY, label="nothing asked for")
    axes.legend(ncols=6, frameon=False, fontsize=7, loc="lower center", bbox_to_anchor=(0.5, 0.9), borderaxespad=0)
    axes.set_ylim(0, 1)


def _rate(axes: Axes, values: list[tuple[int, float]], start: float, end: float) -> None:
    axes.set_ylabel("read rate, GB/s", rotation=0, ha="right", va="center")
    cycles, rates = (np.array(part) for part in zip(*values, strict=True))
    cycles = cycles / NS_PER_CYCLE - start
    inside = (cycles >= 0) & (cycles <= end - start)
    axes.step(cycles[inside], rates[inside], where="post", color=BLUE, linewidth=1)
    axes.set_ylim(0, None)


if __name__ == "__main__":
    main()
