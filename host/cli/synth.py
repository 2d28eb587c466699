"""``rtlm synth``."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from rtlm.gen.common.errors import NEGATIVE, OK
from rtlm.gen.common.installation import install_command
from rtlm.host.cli.names import known
from rtlm.host.cli.options import Whole, check_writable, config_option, make_folder, seed_option, set_option

TARGET_NAMES, ROUTERS = tuple(known("targets")), tuple(known("routers"))

router_option = click.option(
    "--router",
    type=click.Choice(ROUTERS),
    default=ROUTERS[0],
    show_default=True,
    help="Router of nextpnr; router2 is ended where it does not converge.",
)


@click.command(
    epilog=f"Needs the extra synth: {install_command('synth')}. Results are cached by content in ~/.cache/rtlm. "
    "The exit code is 1 when --place or --timing does not reach the clock."
)
@config_option
@set_option
@click.option(
    "--unit",
    "-u",
    default="",
    metavar="PATH",
    help="Only a part of the accelerator, by its place in the hierarchy: matmul, vector.routes.rope.  [default: all]",
)
@click.option(
    "--target", "-t", type=click.Choice(TARGET_NAMES), default=TARGET_NAMES[0], show_default=True, help="Technology."
)
@click.option("--place", is_flag=True, help=f"Place and route as well ({', '.join(known('placed'))}).")
@click.option(
    "--timing",
    is_flag=True,
    help="Static timing of the mapped netlist, with the delays in constraints/ or by OpenSTA "
    f"({', '.join(known('timed'))}).",
)
@click.option(
    "--liberty",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Standard cells of --target asic.  [default: OSU018, fetched]",
)
@click.option("--speed", default="", metavar="GRADE", help="Speed grade for --place.  [default: the slowest]")
@seed_option
@router_option
@click.option("--depth", type=Whole(0), default=1, show_default=True, help="Levels of the hierarchy.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), metavar="FILE", help="Write everything as JSON.")
@click.option("--markdown", "markdown_path", type=click.Path(path_type=Path), metavar="FILE", help="Write Markdown.")
@click.option("--quiet", "-q", is_flag=True, help="Print nothing.")
def synth(
    config: str,
    overrides: tuple[str, ...],
    unit: str,
    target: str,
    place: bool,
    timing: bool,
    liberty: Path | None,
    speed: str,
    seed: int,
    router: str,
    depth: int,
    json_path: Path | None,
    markdown_path: Path | None,
    quiet: bool,
) -> int:
    """Measure what a configuration takes of a device, with yosys and nextpnr.

    LUT, FF, DSP, BRAM, URAM and carry cells of each module; gate equivalents and area on an ASIC. With --place the
    clock that is reached after place and route, in a harness of registers, and the critical path by instance, kernel,
    operator and signal. With --timing the clock that the delays of cells and a model of wires allow, its pessimistic
    end, and the worst path of each pair of instances: evidence where there is no open place and route.

    The target brings its technology, for which pipelines are scheduled: --set technology=NAME keeps another. There are
    no delays for ice40 and gowin, which take the configuration's.

    \b
    Examples:
      rtlm synth --config kv260 --json kv260.json
      rtlm synth --config kv260 --unit matmul.array --set matmul.lanes=256
      rtlm synth --config ecp5-85k --unit matmul --target ecp5 --place
      rtlm synth --config kv260 --timing --json kv260.json
      rtlm synth --config tiny --target asic
      rtlm synth --config asic --unit vector --target asic --timing
      rtlm synth --config asic --target asic --liberty NangateOpenCellLibrary_typical.lib
    """
    from rtlm.gen.common.progress import SilentProgress, TerminalProgress
    from rtlm.gen.synthesis.accelerator import synthesise_accelerator
    from rtlm.gen.synthesis.place import Placement
    from rtlm.gen.synthesis.report import markdown
    from rtlm.gen.synthesis.synthesise import configuration_for

    prepare_file("--json", json_path)
    prepare_file("--markdown", markdown_path)
    settings, schedule = configuration_for(config, overrides, target)
    how = Placement(clock_mhz=settings.clock_mhz, speed=speed, seed=seed, router=router)
    progress = SilentProgress() if quiet else TerminalProgress()
    try:
        result, _ = synthesise_accelerator(
            settings,
            target=target,
            unit=unit,
            depth=depth,
            placement=how if place else None,
            timed=timing,
            liberty=liberty,
            progress=progress.stage,
        )
        result = replace(result, notes=(schedule, *result.notes))
    finally:
        progress.close()
    if json_path:
        json_path.write_text(as_json(result.to_json()), encoding="utf-8")
    if markdown_path:
        markdown_path.write_text(markdown(result), encoding="utf-8")
    if not quiet:
        show(result)
    return OK if all(found is None or found.met for found in (result.timing, result.static)) else NEGATIVE


def as_json(values: dict[str, Any]) -> str:
    """Write plain values."""
    import json

    return json.dumps(values, indent=1) + "\n"


def prepare_file(option: str, path: Path | None) -> None:
    """Make the folder of a file that is to be written, and refuse one that cannot be."""
    if path is None:
        return
    make_folder(option, path.parent)
    check_writable(option, path)


def show(result: Any) -> None:
    """Print a result as tables."""
    from rich.console import Console
    from rich.table import Table
    from rtlm.gen.synthesis.report import TITLES, clock, columns, number, share
    from rtlm.gen.synthesis.targets import TARGETS

    names = columns(result)
    table = Table("module", title=f"{result.top} on {result.target}")
    for name in names:
        table.add_column(TITLES[name], justify="right")
    for module in result.modules:
        level = module.path.count(".") + 1 if module.path else 0
        place = "  " * level + (module.path.rpartition(".")[2] or "all")
        table.add_row(place, *(number(module.total[name]) for name in names))
    if shares := share(result):
        table.add_section()
        table.add_row(
            f"of {TARGETS[result.target].device}", *(f"{shares[n]:.1f} %" if n in shares else "" for n in names)
        )
    console = Console()
    console.print(table)
    if timing := result.timing:
        verdict = "met" if timing.met else "MISSED"
        print(f"{timing.device}: {timing.fmax_mhz:.1f} MHz between registers; {timing.clock_mhz:g} MHz {verdict}.")
        print(f"Critical path, {timing.logic_levels} cells of logic, from {result.ends[0]} to {result.ends[1]}.")
        for part in result.path:
            times = f"{part.logic_ns:6.2f} ns logic {part.routing_ns:6.2f} ns routing"
            print(f"  {times} {part.cells:3} cells  {part.operator}")
        print("Step by step:")
        for step in timing.steps:
            print(f"  {step.delay_ns:6.2f} ns  {step.kind:9} {step.signal}")
    if static := result.static:
        print(clock(static))
        for path in static.paths:
            print(f"{path.period_ns:6.2f} ns, {path.levels} cells of logic, from {path.ends[0]} to {path.ends[1]}.")
            for part in path.parts:
                times = f"{part.logic_ns:6.2f} ns logic {part.routing_ns:6.2f} ns routing"
                print(f"  {times} {part.cells:3} cells  {part.operator}")
    for note in result.notes:
        print(note)
