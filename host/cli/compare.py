"""``rtlm compare``."""

from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any

import click
from rtlm.gen.common.errors import OK, RtlmError
from rtlm.host.cli.files import STANDARD_OUTPUT, check_plot, check_text_file, console, save, write_text
from rtlm.host.cli.options import Whole

PLATFORMS = ("cpu", "gpu", "fpga", "asic", "pim")
METHODS = (
    *("quantisation", "sparsity", "fast-decoding", "operator-optimisation"),
    *("heterogeneous-cooperation", "homogeneous-cooperation", "none"),
)
KINDS = ("measured", "simulated", "vendor", "derived", "unstated")
PLAIN_WIDTH = 130
"""Characters in a line where no terminal says how many it has."""


class Span(click.ParamType):
    """A number, or the two ends of a range: ``6:9``."""

    name = "from:to"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, float]:
        """Return both ends, or fail."""
        if isinstance(value, tuple):
            return value
        first, colon, last = value.partition(":")
        try:
            low, high = float(first), float(last if colon else first)
        except ValueError:
            low, high = 1.0, 0.0
        if not low <= high:
            option = param.opts[0] if param else "the range"
            raise click.UsageError(
                f"{option} must be a number, or a smaller and a larger one with a colon between, got {value}.", ctx
            )
        return low, high


@click.command(
    epilog="docs/comparison.md says where the figures come from, what the columns of a file for --add are, and "
    "describes the JSON."
)
@click.option(
    "--ours",
    "reports",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="REPORT.json",
    help="A design of ours: what rtlm run --json or rtlm estimate --json wrote. May be repeated. Without any, presets "
    "are estimated.",
)
@click.option("--only-published", is_flag=True, help="Leave our designs out.")
@click.option(
    "--add",
    "tables",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE.csv",
    help="Further published figures, in the columns of the table that comes with rtlm. May be repeated.",
)
@click.option("--platform", "platforms", multiple=True, type=click.Choice(PLATFORMS, case_sensitive=False))
@click.option("--method", "methods", multiple=True, type=click.Choice(METHODS, case_sensitive=False))
@click.option("--kind", "kinds", multiple=True, type=click.Choice(KINDS), help="How the speed was found.")
@click.option("--batch", "batches", multiple=True, type=Whole(1), help="Sequences that decode together.")
@click.option("--year", "years", type=Span(), metavar="YEAR|FROM:TO", help="Year of publication.")
@click.option(
    "--model-size",
    "parameters_b",
    type=Span(),
    metavar="B|FROM:TO",
    help="Parameters of the model in billions; 6:9 is what the ranges are of.",
)
@click.option("--summary", is_flag=True, help="Print the ranges and our designs, not every point.")
@click.option("--csv", "csv_file", metavar="FILE", help="Write the points as CSV; - is standard output.")
@click.option("--json", "json_file", metavar="FILE", help="Write points and ranges as JSON; - is standard output.")
@click.option(
    "--plot",
    "plots",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Draw W against tokens/s, replacing what is there: *.svg or *.png. May be repeated.",
)
@click.option("--quiet", "-q", is_flag=True, help="Print no tables.")
def compare(
    reports: tuple[Path, ...],
    only_published: bool,
    tables: tuple[Path, ...],
    platforms: tuple[str, ...],
    methods: tuple[str, ...],
    kinds: tuple[str, ...],
    batches: tuple[int, ...],
    years: tuple[float, float] | None,
    parameters_b: tuple[float, float] | None,
    summary: bool,
    csv_file: str | None,
    json_file: str | None,
    plots: tuple[Path, ...],
    quiet: bool,
) -> int:
    """Compare with published CPUs, GPUs, FPGAs, ASICs and processing in memory.

    Tokens a second, watt and tokens a joule by platform and by optimisation method. The options --platform to
    --model-size choose among the published designs; a value may be one of several where they are repeated. Ours are
    always shown.

    \b
    Examples:
      rtlm compare --summary
      rtlm compare --platform fpga --model-size 6:9
      rtlm compare --method fast-decoding --year 2025
      rtlm compare --batch 8 --json batch8.json
      rtlm compare --ours report.json --plot comparison.svg --plot comparison.png
      rtlm compare --add mine.csv --csv all.csv --quiet
    """
    _check_files(csv_file, json_file, plots)
    from rtlm.host.survey.export import dumps_csv, dumps_json
    from rtlm.host.survey.load import published_rows
    from rtlm.host.survey.ours import our_points, read_report, shipped_reports
    from rtlm.host.survey.point import Point
    from rtlm.host.survey.row import Kind, Method, Platform
    from rtlm.host.survey.selection import Selection

    published = [Point.from_row(row) for row in published_rows(tables)]
    if reports and only_published:
        raise click.UsageError("--only-published leaves out what --ours gives: give one of them.")
    ours = our_points([read_report(path) for path in reports] or (() if only_published else shipped_reports()))
    selection = Selection(
        platforms=_members(Platform, platforms),
        methods=_members(Method, methods),
        kinds=_members(Kind, kinds),
        batches=batches,
        years=years,
        parameters_b=parameters_b,
    )
    points = selection.of([*ours, *published])
    if not selection.of(published):
        raise RtlmError(f"None of the {len(published)} published designs meets all conditions")
    if plots and not any(point.power_w for point in points):
        raise RtlmError(f"--plot needs a point with watts, which none of the {len(points)} has")
    if csv_file:
        write_text(dumps_csv(points), "--csv", csv_file)
    if json_file:
        write_text(dumps_json(points, selection), "--json", json_file)
    if plots:
        from rtlm.host.survey.plot import draw

        for path in plots:
            save("--plot", str(path), partial(draw, points, path))
    if not quiet and STANDARD_OUTPUT not in (csv_file, json_file):
        from rtlm.host.survey.table import render

        console(PLAIN_WIDTH).print(render(points, selection, summary=summary))
    return OK


def _members(kind: type[Any], names: tuple[str, ...]) -> tuple[Any, ...]:
    """Return the members of an enumeration that options name."""
    return tuple(member for member in kind if _option_name(member) in names)


def _option_name(member: StrEnum) -> str:
    return member.value.lower().partition("/")[0].replace(" ", "-")


def _check_files(csv_file: str | None, json_file: str | None, plots: tuple[Path, ...]) -> None:
    """Refuse files that cannot be written, before anything is."""
    if csv_file == json_file == STANDARD_OUTPUT:
        raise click.UsageError("Standard output can be written once: give - to --csv or to --json.")
    for path in plots:
        check_plot("--plot", path)
    check_text_file("--csv", csv_file)
    check_text_file("--json", json_file)
