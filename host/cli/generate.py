"""``rtlm generate``."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem
from rtlm.host.cli.models import check_context, context_option, for_option, licence_option, named_file
from rtlm.host.cli.names import complete, known
from rtlm.host.cli.options import Real, Whole, config_option, set_option

if TYPE_CHECKING:
    from rtlm.gen.common.progress import Stage
    from rtlm.gen.package.folder import Package

output_option = click.option(
    "--output",
    "-o",
    "folder",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the files; made if it does not exist.",
)
force_option = click.option("--force", is_flag=True, help="Write into a folder that holds files of others.")
prefix_option = click.option(
    "--prefix",
    default="",
    metavar="NAME",
    help="Begin the name of each Verilog module with this, so that two configurations can live in one design.",
)
quiet_option = click.option("--quiet", "-q", is_flag=True, help="Print nothing.")


class GenerateGroup(click.Group):
    """The fixed commands, and one for each unit, which is found when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names."""
        from rtlm.gen.rtl.units import UNITS

        return ["accelerator", "kernel", *UNITS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Find a command."""
        fixed = super().get_command(ctx, cmd_name)
        if fixed is None and ctx.resilient_parsing and cmd_name in known("units"):
            return _unit_options(click.Command(cmd_name))
        return fixed if fixed is not None else _unit_command(cmd_name)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete a name without loading the units."""
        found = complete("units")(ctx, click.Argument(["name"]), incomplete)
        return found or click.Command.shell_complete(self, ctx, incomplete)


@click.group(cls=GenerateGroup)
def generate() -> None:
    """Write RTL, and what an engineer needs to use it, to a folder.

    \b
    Examples:
      rtlm generate accelerator --config kv260 --set matmul.columns=2 -o build/kv260
      rtlm generate gemv --set lanes=256 -o build/gemv
      rtlm generate kernel mine.py:gelu --lanes 4 -o build/gelu
    """


@generate.command()
@config_option
@set_option
@for_option
@context_option
@licence_option
@prefix_option
@output_option
@force_option
@quiet_option
def accelerator(
    config: str,
    overrides: tuple[str, ...],
    model: str | None,
    licences: tuple[str, ...],
    context: int | None,
    prefix: str,
    folder: Path,
    force: bool,
    quiet: bool,
) -> None:
    """Write the whole accelerator.

    The folder holds the Verilog (the same bytes on every machine) with lint waivers, a manifest, constraints, register
    map, instruction set and memory layout as Markdown and C headers, instantiation templates, IP-XACT, and a README
    that says what each file is.

    \b
    Examples:
      rtlm generate accelerator --config kv260 -o build/kv260
      rtlm generate accelerator --config kv260 --prefix left_ -o build/left
      rtlm generate accelerator --config kv260 --for model.gguf --context 2048 -o build/kv260
      rtlm image model.gguf --config build/kv260/configuration.yaml -o build/image
    """
    import yaml
    from rtlm.gen.configuration.load import load_config
    from rtlm.gen.package.handover import CONFIGURATION, accelerator_package
    from rtlm.host.cli.fitting import fitted
    from rtlm.host.compiler.page import memory_page

    check_context(model, context)
    loaded = load_config(config, overrides)
    if model is not None:
        loaded, said = fitted(loaded, named_file(model, licences, quiet=quiet), context)
        if not quiet:
            print(said, file=sys.stderr)
    documents = {
        "memory-image.md": memory_page(loaded),
        CONFIGURATION: yaml.safe_dump(loaded.model_dump(mode="json"), sort_keys=False),
    }
    _write(lambda progress: accelerator_package(loaded, documents, progress, prefix=prefix), folder, force, quiet)


@generate.command()
@click.argument("source", metavar="FILE.py:FUNCTION")
@click.option("--lanes", type=Whole(1, 64), default=1, show_default=True, help="Elements in a cycle.")
@click.option(
    "--clock-mhz",
    type=Real(1, 1000),
    default=300,
    show_default=True,
    help="Clock that the pipeline is scheduled for.",
)
@click.option(
    "--technology",
    default="generic",
    show_default=True,
    shell_complete=complete("technologies"),
    help="Operator delays; see rtlm list technologies.",
)
@click.option(
    "--max-length",
    type=Whole(1),
    help="Longest packet in beats, for a kernel that uses elements again after a reduction, or a region of packets.",
)
@click.option("--ii", type=Whole(1, 256), help="Cycles between beats: operators share units for it.")
@click.option(
    "--chain",
    type=click.FloatRange(0, 1),
    metavar="SHARE",
    help="Share of a cycle up to which operators follow each other within it, from 0 (never) to 1.  [default: 0.75]",
)
@click.option(
    "--bind",
    multiple=True,
    metavar="NAME=STYLE",
    help="Make a memory of block, distributed or ultra, or products, by the name of their operator or all "
    "(multiply), of dsp or lut (repeatable).",
)
@click.option(
    "--partition",
    multiple=True,
    metavar="MEMORY=KIND",
    help="Lay the words of a memory out as cyclic, block or complete (repeatable).",
)
@output_option
@force_option
@quiet_option
def kernel(
    source: str,
    lanes: int,
    clock_mhz: float,
    technology: str,
    max_length: int | None,
    ii: int | None,
    chain: float | None,
    bind: tuple[str, ...],
    partition: tuple[str, ...],
    folder: Path,
    force: bool,
    quiet: bool,
) -> None:
    """Write a kernel or region of your own: RTL, cost, and a bench against its golden model.

    FUNCTION is a Python function with @kernel or @region above it; docs/hls.md walks through both.

    \b
    Examples:
      rtlm generate kernel mine.py:gelu --lanes 4 --clock-mhz 250 -o build/gelu
      python build/gelu/bench.py
    """
    from rtlm.gen.configuration.schema import TECHNOLOGIES
    from rtlm.gen.package.user_kernel import cost_table, kernel_package
    from rtlm.gen.rtl.units import KernelParams

    if technology not in TECHNOLOGIES:
        raise click.BadParameter(f"{technology} is none of {', '.join(TECHNOLOGIES)}.", param_hint="--technology")
    for each in bind:
        if "=" not in each:
            raise click.BadParameter(f"{each} is written NAME=STYLE, such as x=ultra.", param_hint="--bind")
    for each in partition:
        if "=" not in each:
            raise click.BadParameter(f"{each} is written MEMORY=KIND, such as x=cyclic.", param_hint="--partition")
    cost: dict[str, Any] = {}

    def make(progress: "Stage") -> "Package":
        progress(f"generating RTL of {source}")
        params = KernelParams(lanes=lanes, max_length=max_length, ii=ii, chain=chain, bind=bind, partition=partition)
        package, found = kernel_package(source, params, clock_mhz=clock_mhz, technology=technology)
        cost.update(found)
        return package

    _write(make, folder, force, quiet)
    if not quiet:
        print(f"\n{cost_table(cost)}", end="")


def _unit_command(name: str) -> click.Command | None:
    """Make the command of a unit."""
    from rtlm.gen.rtl.units import UNITS

    unit = UNITS.get(name)
    if unit is None:
        return None

    def run(config: str, overrides: tuple[str, ...], prefix: str, folder: Path, force: bool, quiet: bool) -> None:
        from rtlm.gen.configuration.load import load_config
        from rtlm.gen.configuration.schema import Configuration
        from rtlm.gen.package.handover import unit_package
        from rtlm.gen.rtl.units import with_settings

        own = [text for text in overrides if not _is_config_key(text.partition("=")[0], Configuration)]
        loaded = load_config(config, [text for text in overrides if text not in own], unit_only=True)
        params = with_settings(name, unit.defaults(loaded), own)
        _write(lambda progress: unit_package(unit, params, loaded, progress, prefix=prefix), folder, force, quiet)

    parameters = _parameter_help(unit.params)
    run.__doc__ = (
        f"{unit.summary}\n\n\b\nParameters (--set NAME=VALUE; those of the configuration, such as clock_mhz, too):\n"
        f"{parameters}\n\n\b\nExamples:\n  rtlm generate {name} --config kv260 -o build/{name}\n"
    )
    return _unit_options(click.command(name=name, short_help=unit.summary)(run))


def _unit_options(command: click.Command) -> click.Command:
    """Add the options of every unit's command."""
    for add in (quiet_option, force_option, output_option, prefix_option, set_option, config_option):
        add(command)
    command.params.reverse()
    return command


def _parameter_help(params: type[Any]) -> str:
    """Return the names and the documentation of a unit's parameters."""
    import inspect

    text = inspect.getdoc(params) or ""
    _, _, section = text.partition("Parameters\n----------\n")
    return "\n".join(f"  {line}" for line in section.rstrip().splitlines())


def _is_config_key(key: str, schema: Any) -> bool:
    """Return whether a key is the configuration's (clock and technology among them) or a unit's parameter."""
    return "." in key or key in schema.model_fields


def _write(make: Callable[["Stage"], "Package"], folder: Path, force: bool, quiet: bool) -> None:
    """Make a package and write it, with progress."""
    from rtlm.gen.common.progress import SilentProgress, TerminalProgress
    from rtlm.gen.package.folder import check_folder

    check_folder(folder, force=force)
    progress = SilentProgress() if quiet else TerminalProgress()
    try:
        files = make(progress.stage).write(folder, force=force)
    finally:
        progress.close()
    if not quiet:
        for path in files:
            print(path)
