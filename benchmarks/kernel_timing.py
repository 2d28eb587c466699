"""Clock of each kernel that an accelerator contains, as the scheduler plans it and by static timing of its netlist.

Each kernel is taken with the directives, tag and packets that the accelerator gives it, synthesised alone in a harness
of registers, and its longest path added up (`rtlm.gen.synthesis.timing`). Nothing is placed: the clock is a model's.

Usage::

    python benchmarks/kernel_timing.py                     # the kernels of kv260
    python benchmarks/kernel_timing.py scale rope          # some of them, by name
    python benchmarks/kernel_timing.py --json kernels.json

A kernel takes seconds to a minute of a core; results are cached.
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
from amaranth.hdl import Fragment
from rtlm.gen.common.progress import TerminalProgress
from rtlm.gen.rtl.names import origin_of
from rtlm.gen.rtl.verilog import emit
from rtlm.gen.synthesis.harness import harness
from rtlm.gen.synthesis.synthesise import configuration_for
from rtlm.gen.synthesis.targets import TARGETS
from rtlm.gen.synthesis.timing.static import analyse, flat_netlist
from rtlm.hw.accelerator import Accelerator
from rtlm.hw.common.markdown import table
from rtlm.hw.hls.emit import KernelComponent
from rtlm.hw.hls.technology import find

TARGET = "xilinx-us+"


@dataclass(frozen=True, kw_only=True)
class Row:
    """A kernel of an accelerator.

    Parameters
    ----------
    kernel, place
        Its name, and the first instance of it below the top.
    lanes, interval
        Elements a beat, and cycles between beats.
    latency
        Cycles from a beat in to its beat out.
    planned_ns
        The longest planned delay between registers, and what a register takes.
    static_ns
        The shortest period by static timing.
    start, end
        Operator and stage at either end of the path that takes it.
    luts, ffs, dsps
        What it takes: the netlist with the harness, less what the harness adds.
    """

    kernel: str
    place: str
    lanes: int
    interval: int
    latency: int
    planned_ns: float
    static_ns: float
    start: str
    end: str
    luts: float
    ffs: float
    dsps: float


def kernels_of(accelerator: Accelerator) -> Iterator[tuple[str, KernelComponent]]:
    """Yield each kernel of an accelerator once, with the place of its first instance."""
    seen = set()
    waiting: list[tuple[str, Fragment]] = [("", Fragment.get(accelerator, None))]
    while waiting:
        path, fragment = waiting.pop(0)
        origin = origin_of(fragment)
        if isinstance(origin, KernelComponent):
            built = (id(origin.plan), origin.max_length, origin.tag_shape, origin.framing, origin.keys)
            if built not in seen:
                seen.add(built)
                yield path, origin
            continue
        waiting += [(f"{path}.{name}".lstrip("."), inner) for inner, name, _ in fragment.subfragments]


def measured(place: str, instance: KernelComponent, progress: Any) -> Row:
    """Synthesise a kernel as it stands in an accelerator."""
    plan = instance.plan
    alone = KernelComponent(
        plan,
        max_length=instance.max_length,
        tag=instance.tag_shape,
        framing=instance.framing,
        busy="busy" in instance.signature.members,
        keys=instance.keys,
    )
    name = plan.kernel.name
    emitted = emit(alone, name)
    netlist = flat_netlist(emitted.rtlil, name, TARGET, progress)
    worst = analyse(netlist, TARGET, plan.clock_mhz, name, emitted.objects).paths[0]
    use = TARGETS[TARGET].resources(Counter(cell.kind.partition(".")[0] for cell in netlist.cells))
    around = harness(emitted.rtlil, name)
    return Row(
        kernel=name,
        place=place,
        lanes=plan.lanes,
        interval=plan.schedule.initiation_interval,
        latency=plan.schedule.latency,
        planned_ns=round(plan.schedule.critical_ns + find(TARGET).register_ns, 2),
        static_ns=round(worst.period_ns, 2),
        start=worst.ends[0].part,
        end=worst.ends[1].part,
        luts=use["lut"] - around.tables,
        ffs=use["ff"] - around.registers,
        dsps=use["dsp"],
    )


def report(rows: list[Row]) -> str:
    """Write the rows as a table, the slowest first."""
    sizes = ("LUT", "FF", "DSP")
    titles = ("kernel", "lanes, interval", "latency", "planned ns", "static ns", "MHz", "from", "to", *sizes)
    return table(
        titles,
        [
            (
                f"`{row.kernel}`",
                f"{row.lanes}, {row.interval}",
                str(row.latency),
                f"{row.planned_ns:.2f}",
                f"{row.static_ns:.2f}",
                f"{1000 / row.static_ns:.0f}",
                row.start,
                row.end,
                f"{row.luts:,.0f}",
                f"{row.ffs:,.0f}",
                f"{row.dsps:.0f}",
            )
            for row in sorted(rows, key=lambda row: -row.static_ns)
        ],
    )


@click.command()
@click.argument("names", nargs=-1)
@click.option("--config", default="kv260", help="Preset or file.")
@click.option("--json", "path", type=click.Path(path_type=Path), help="Write the rows as JSON.")
def main(names: tuple[str, ...], config: str, path: Path | None) -> None:
    """Print planned delay, static timing, latency and size of an accelerator's kernels."""
    loaded, _ = configuration_for(config, [], TARGET)
    progress = TerminalProgress()
    try:
        rows = [
            measured(place, kernel, progress.stage)
            for place, kernel in kernels_of(Accelerator(loaded.to_params()))
            if not names or kernel.plan.kernel.name in names
        ]
    finally:
        progress.close()
    if path:
        path.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n", encoding="utf-8")
    print(report(rows))


if __name__ == "__main__":
    main()
