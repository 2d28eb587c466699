"""``rtlm sweep``."""

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rtlm.gen.common.errors import INTERRUPTED, NEGATIVE, OK
from rtlm.host.cli.files import STANDARD_OUTPUT, check_plot, check_text_file, save, write_text
from rtlm.host.cli.options import Whole, check_writable

if TYPE_CHECKING:
    from rtlm.host.exploration.sweep import Outcome, Sweep
    from rtlm.host.exploration.workers import Workers

MAX_WORKERS = 256
FILE_COLUMNS = 200
"""Width of what goes to a file or a pipe."""


def _processors() -> int:
    """Return the processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@click.command(
    epilog="The exit code is 1 if no point meets the constraints. A sweep that is interrupted or killed goes on where "
    "it was with the same command."
)
@click.argument("path", metavar="SPACE.yaml", type=click.Path(path_type=Path))
@click.option(
    "--store",
    "store_path",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="SQLite file that keeps every result.  [default: SPACE.sqlite beside SPACE.yaml]",
)
@click.option(
    "--workers",
    type=Whole(1, MAX_WORKERS),
    default=_processors,
    metavar="N",
    help="Processes of this machine.  [default: one for each processor]",
)
@click.option("--scheduler", metavar="ADDRESS", help="Compute on this Dask cluster, such as tcp://10.0.0.1:8786.")
@click.option("--limit", type=Whole(1), metavar="N", help="Compute at most N points now; the next run goes on.")
@click.option("--simulate", type=Whole(0), default=0, metavar="N", help="Simulate N points of the front in RTL.")
@click.option("--synthesise", type=Whole(0), default=0, metavar="N", help="Synthesise N points of the front.")
@click.option(
    "--plot",
    "plots",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="FILE",
    help="Draw the points, replacing what is there: *.svg or *.png. May be repeated.",
)
@click.option("--json", "json_file", metavar="FILE", help="Write the front as JSON; - is standard output.")
@click.option("--csv", "csv_file", metavar="FILE", help="Write all points as CSV; - is standard output.")
@click.option("--rows", type=Whole(1), default=20, show_default=True, help="Rows of the table at most.")
@click.option("--quiet", "-q", is_flag=True, help="Print nothing.")
def sweep(
    path: Path,
    store_path: Path | None,
    workers: int,
    scheduler: str | None,
    limit: int | None,
    simulate: int,
    synthesise: int,
    plots: tuple[Path, ...],
    json_file: str | None,
    csv_file: str | None,
    rows: int,
    quiet: bool,
) -> int:
    """Explore a space of designs: estimate its points, and print those that no other beats.

    SPACE.yaml says what varies, what must hold and what is sought (docs/sweeps.md). Points are estimated; with
    --simulate and --synthesise some of the best, spread evenly over the front, are run in RTL and through yosys, and
    stand beside their estimates.

    \b
    Examples:
      rtlm sweep space.yaml --plot front.svg
      rtlm sweep space.yaml --simulate 3 --csv points.csv
      rtlm sweep space.yaml --scheduler tcp://10.0.0.1:8786
    """
    from rtlm.gen.common.progress import SilentProgress, TerminalProgress
    from rtlm.host.exploration.checks import check
    from rtlm.host.exploration.evaluation import evaluate_chunk, evaluator_version
    from rtlm.host.exploration.grid import Grid
    from rtlm.host.exploration.proposals import method_of
    from rtlm.host.exploration.space import read_space
    from rtlm.host.exploration.store import SIMULATION, SYNTHESIS, Store
    from rtlm.host.exploration.sweep import Outcome, Sweep

    space = read_space(path)
    if plots and len(space.objectives) < 2:
        raise click.UsageError(f"--plot draws two objectives; {path} has one, {next(iter(space.objectives))}.")
    for plot in plots:
        check_plot("--plot", plot)
    check_text_file("--json", json_file)
    check_text_file("--csv", csv_file)
    store_path = store_path or path.with_suffix(".sqlite")
    check_writable("--store", store_path)
    quiet = quiet or STANDARD_OUTPUT in (json_file, csv_file)
    grid = Grid.of(space, str(path))
    method = method_of(space, grid, str(path))
    progress = SilentProgress() if quiet else TerminalProgress()
    outcome = Outcome(total=method.total)
    interrupted = False
    with Store(store_path) as store:
        team = _workers(workers, scheduler)
        found = Sweep(
            space=space,
            grid=grid,
            method=method,
            store=store,
            workers=team,
            version=evaluator_version(),
            evaluate=evaluate_chunk,
        )
        try:
            found.run(outcome, limit=limit, progress=progress.stage)
            for kind, count in ((SIMULATION, simulate), (SYNTHESIS, synthesise)):
                if count and outcome.complete:
                    check(found, kind, outcome.front, count, progress.stage)
        except KeyboardInterrupt:
            interrupted = True
        finally:
            deaths = team.deaths
            team.close()
            progress.close()
        _write(found, outcome, plots, json_file, csv_file)
        if not quiet:
            click.echo(_work(found, outcome, deaths), err=True)
            _show(found, outcome, rows)
    if interrupted:
        click.echo(f"Interrupted; the same command goes on: {_left(outcome)}.", err=True)
        return INTERRUPTED
    if outcome.complete and not outcome.feasible:
        click.echo(_nothing(outcome), err=True)
        return NEGATIVE
    return OK


def _workers(count: int, scheduler: str | None) -> "Workers":
    """Return processes of this machine, or the workers of a Dask scheduler."""
    if scheduler is None:
        from rtlm.host.exploration.local_workers import LocalWorkers

        return LocalWorkers(count)
    from rtlm.host.exploration.dask_workers import DaskWorkers

    return DaskWorkers(scheduler)


def _write(
    found: "Sweep", outcome: "Outcome", plots: Sequence[Path], json_file: str | None, csv_file: str | None
) -> None:
    """Write the files that were asked for."""
    import io
    import json

    from rtlm.host.exploration.output import to_json, write_csv

    if json_file is not None:
        write_text(json.dumps(to_json(found, outcome), indent=1) + "\n", "--json", json_file)
    if csv_file is not None:
        text = io.StringIO()
        write_csv(found, outcome, text)
        write_text(text.getvalue(), "--csv", csv_file)
    if plots:
        from rtlm.host.exploration.plot import draw

        for plot in plots:
            save("--plot", str(plot), partial(draw, found, outcome, plot))


def _show(found: "Sweep", outcome: "Outcome", rows: int) -> None:
    """Print the front, and what became of the points."""
    from rich.console import Console
    from rtlm.host.estimation.errors import stated_band
    from rtlm.host.exploration.output import check_lines, front_table

    if outcome.front:
        print(f"Pareto front, {len(outcome.front):,} point{'s' if len(outcome.front) > 1 else ''}")
        console = Console()
        if not console.is_terminal:
            console.width = FILE_COLUMNS
        console.print(front_table(found, outcome, rows))
        if len(outcome.front) > rows:
            print(f"... and {len(outcome.front) - rows} more (--rows, --json, --csv)")
        print()
    for line in check_lines(found, outcome):
        print(line)
    violated = ", ".join(f"{name} {count:,}" for name, count in sorted(outcome.violated.items()))
    print(
        f"{len(outcome.seen):,} of {outcome.total:,} points: {outcome.feasible:,} meet the constraints, "
        f"{outcome.refused:,} have no figures" + (f"; violated: {violated}" if violated else "")
    )
    if outcome.refused:
        print(f"the first without figures: {outcome.refusal}")
    band = stated_band()
    print(f"cycles are estimates: mean error {band.mean:.1%}, worst {band.worst:.1%} against RTL ({band.source})")
    if not outcome.complete:
        print(f"not complete: {_left(outcome)}")


def _work(found: "Sweep", outcome: "Outcome", deaths: int) -> str:
    """Say what was computed; it goes where progress went, as the time is another with every run."""
    rate = f" in {outcome.seconds:.1f} s" if outcome.computed else ""
    died = f"; workers died {deaths} time{'s' if deaths > 1 else ''}, others did their work" if deaths else ""
    return f"computed {outcome.computed:,}{rate}, {outcome.stored:,} were in {found.store.path}{died}"


def _left(outcome: "Outcome") -> str:
    """Say how much there is and how much is to come."""
    return f"{len(outcome.seen):,} of {outcome.total:,} points are there"


def _nothing(outcome: "Outcome") -> str:
    """Say why no point meets the constraints."""
    if outcome.refused == len(outcome.seen):
        return f"No point has figures; the first: {outcome.refusal}"
    name, count = outcome.violated.most_common(1)[0]
    return (
        f"No point meets the constraints: of {len(outcome.seen):,}, {count:,} violate {name}"
        + (f" and {outcome.refused:,} have no figures" if outcome.refused else "")
        + "."
    )
