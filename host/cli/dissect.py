"""``rtlm dissect``."""

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rtlm.gen.common.errors import OK
from rtlm.host.cli.files import STANDARD_OUTPUT, check_plot, check_text_file, console, save, write_text
from rtlm.host.cli.models import licence_option, named_file
from rtlm.host.cli.names import complete
from rtlm.host.cli.options import Real, Whole, config_option, set_option

if TYPE_CHECKING:
    from rtlm.host.dissection.micro import Dissection

PLAIN_WIDTH = 120
"""Characters in a line where no terminal says how many it has."""

MOST_GUESSES = 7
"""In a step: one column of eight is the sequence's own."""


@click.command(
    epilog="docs/dissection.md says what each figure means and describes the JSON. A report has its own configuration: "
    "--config and --set are for --model and --macro."
)
@click.argument("report", required=False, type=click.Path(path_type=Path))
@click.option(
    "--model",
    "-m",
    metavar="NAME|FILE",
    shell_complete=complete("models", "fetched", files=True),
    help="Estimate this model instead of reading a report (see rtlm estimate).",
)
@licence_option
@config_option
@set_option
@click.option("--weights", metavar="FORMAT", help="Block format of a model on paper.  [default: q4_0]")
@click.option("--output-weights", "output", metavar="FORMAT", help="Block format of its output projection.")
@click.option("--group", type=Whole(32, 256), help="Weights that share a scale: 32, 64, 128, 256.  [default: 32]")
@click.option("--context", type=Whole(0), help="Positions in the KV cache when the token is decoded.  [default: 512]")
@click.option("--batch", type=Whole(1), help="Sequences that decode together.  [default: 1]")
@click.option("--prompt", type=Whole(1), help="Tokens of each prompt.  [default: 128]")
@click.option("--host-us", type=Real(0), help="Host's time between steps of an estimate.  [default: 0]")
@click.option("--macro", is_flag=True, help="Llama 2 of 7B, 13B and 70B with and without each optimisation.")
@click.option(
    "--guesses",
    type=Whole(1, MOST_GUESSES),
    help="With --macro: guesses in a step of speculation.  [default: 2, as counted for a prompt]",
)
@click.option(
    "--accepted",
    type=Real(0, MOST_GUESSES),
    help="With --macro: how many of them are right on average.  [default: 0.55, as counted for the same prompt]",
)
@click.option("--json", "json_file", metavar="FILE", help="Write everything as JSON; - is standard output.")
@click.option(
    "--roofline",
    "plots",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Draw the operators under the roofs, replacing what is there: *.svg or *.png. May be repeated.",
)
@click.option("--quiet", "-q", is_flag=True, help="Print no tables.")
@click.pass_context
def dissect(
    ctx: click.Context,
    report: Path | None,
    licences: tuple[str, ...],
    config: str,
    overrides: tuple[str, ...],
    macro: bool,
    guesses: int | None,
    accepted: float | None,
    json_file: str | None,
    plots: tuple[Path, ...],
    quiet: bool,
    **estimated: Any,
) -> int:
    """Take a run or an estimate apart: by stage, module and operator, or with and without each optimisation.

    REPORT.json is what rtlm run --json or rtlm estimate --json wrote.

    \b
    Examples:
      rtlm run --prompt "The capital" --max-tokens 3 --json report.json && rtlm dissect report.json
      rtlm dissect report.json --roofline roofline.svg --json dissection.json
      rtlm dissect --model llama-2-7b --config u280 --context 2048
      rtlm dissect --model llama-2-7b --set matmul.columns=8 --batch 8 --roofline batch8.png
      rtlm dissect --macro --config kv260
    """
    given = {name: value for name, value in estimated.items() if value is not None}
    speculation = {name: value for name, value in (("guesses", guesses), ("accepted", accepted)) if value is not None}
    _check_options(ctx, report, given, speculation, macro=macro, plots=plots)
    for path in plots:
        check_plot("--roofline", path)
    check_text_file("--json", json_file)
    show = not quiet and json_file != STANDARD_OUTPUT
    if macro:
        return _macro(config, overrides, speculation, json_file, show=show)

    from rtlm.host.dissection.micro_table import render, to_json

    if report:
        found = _from_report(report)
    else:
        found = _from_estimate(config, overrides, given | {"model": named_file(given["model"], licences, quiet=quiet)})
    if plots:
        from rtlm.host.dissection.roofline import draw

        for path in plots:
            save("--roofline", str(path), partial(draw, found, path))
    _finish(to_json(found), render(found), json_file, show=show)
    return OK


def _check_options(
    ctx: click.Context,
    report: Path | None,
    given: dict[str, Any],
    speculation: dict[str, Any],
    *,
    macro: bool,
    plots: tuple[Path, ...],
) -> None:
    """Refuse options that contradict each other."""
    sources = [
        name
        for name, is_given in (("REPORT.json", report), ("--model", "model" in given), ("--macro", macro))
        if is_given
    ]
    if len(sources) != 1:
        got = " and ".join(sources) or "none of them"
        raise click.UsageError(
            f"What is to be taken apart must be one of REPORT.json, --model or --macro, got {got}.", ctx
        )
    if "model" not in given and given:
        option = "output-weights" if min(given) == "output" else min(given).replace("_", "-")
        raise click.UsageError(f"--{option} needs --model: {sources[0]} has its own.", ctx)
    if report:
        for name in ("config", "overrides"):
            if ctx.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT:
                option = "--set" if name == "overrides" else "--config"
                raise click.UsageError(f"{option} needs --model or --macro: the report has its configuration.", ctx)
    if speculation and not macro:
        raise click.UsageError(f"--{min(speculation)} needs --macro.", ctx)
    if plots and macro:
        raise click.UsageError("--roofline needs REPORT.json or --model: --macro has no operators.", ctx)


def _from_report(path: Path) -> "Dissection":
    from rtlm.host.dissection.micro import dissect as take_apart
    from rtlm.host.dissection.report_file import ReportFile

    return take_apart(ReportFile.read(path))


def _from_estimate(config: str, overrides: tuple[str, ...], given: dict[str, Any]) -> "Dissection":
    from rtlm.gen.configuration.load import load_config
    from rtlm.host.dissection.micro import dissect as take_apart
    from rtlm.host.dissection.report_file import ReportFile
    from rtlm.host.estimation.estimate import EstimateRequest, estimate
    from rtlm.host.models.paper import open_model

    storage = {name: given[name] for name in ("weights", "output", "group") if name in given}
    sizes = {name: given[name] for name in ("context", "batch", "prompt", "host_us") if name in given}
    model = open_model(given["model"], **storage)
    found = estimate(EstimateRequest(config=load_config(config, overrides), model=model, **sizes))
    return take_apart(ReportFile.parse(found.to_json(), "the estimate"))


def _macro(
    config: str, overrides: tuple[str, ...], speculation: dict[str, Any], json_file: str | None, *, show: bool
) -> int:
    from rtlm.gen.common.progress import TerminalProgress
    from rtlm.gen.configuration.load import load_config
    from rtlm.host.dissection.macro import macro_view
    from rtlm.host.dissection.macro_table import render, to_json

    progress = TerminalProgress()
    try:
        view = macro_view(load_config(config, overrides), progress=progress.stage, **speculation)
    finally:
        progress.close()
    _finish(to_json(view), render(view), json_file, show=show)
    return OK


def _finish(values: dict[str, Any], tables: Any, json_file: str | None, *, show: bool) -> None:
    """Write the JSON and print the tables, as far as they are wanted."""
    if json_file:
        write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", "--json", json_file)
    if show:
        console(PLAIN_WIDTH).print(tables)
