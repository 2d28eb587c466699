"""Check and renew the figures of README and docs: ``python -m rtlm.host.figures check|renew|list``."""

import shlex
import subprocess
import sys

import click
from rtlm.gen.common.errors import INTERRUPTED, NEGATIVE, OK, RtlmError
from rtlm.host.figures.freshness import reasons, warnings
from rtlm.host.figures.marks import disagreements, fill_pages, marked_pages
from rtlm.host.figures.results import ROOT, Results, load_results

FILL = "python -m rtlm.host.pages"


@click.group()
def cli() -> None:
    """Figures of README and docs, and the results files behind them."""


@cli.command()
@click.option("--generate", is_flag=True, help="Generate RTL that is not in the cache, to compare it: minutes.")
def check(generate: bool) -> int:
    """Fail where a page and its results disagree; warn where results are not of today's hardware."""
    results, pages = load_results(), marked_pages()
    wrong = False
    for path in pages:
        for line in disagreements(path, results):
            wrong = True
            click.echo(line, err=True)
    for sentence in warnings(results, generate=generate):
        click.echo(f"Warning: {sentence}", err=True)
    if wrong:
        click.echo(f"Pages disagree with benchmarks/results; this fills them: {FILL}", err=True)
        return NEGATIVE
    click.echo(f"{len(results)} results files agree with {len(pages)} pages.")
    return OK


@cli.command("list")
def list_() -> None:
    """List the results files: what they are, when they were measured, and how long that takes."""
    for name, each in load_results().items():
        click.echo(f"{name:28} {each.date}  {each.revision:11} {_minutes(each):>8}  {each.command}")


@cli.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
def renew(names: tuple[str, ...]) -> int:
    """Run the benchmarks behind results files that are out of date, or behind those that are named, and fill the pages.

    A results file is written when its benchmark is done, so that an interrupted command goes on with the next.
    """
    results = load_results()
    if unknown := [name for name in names if name not in results]:
        raise click.UsageError(f"NAME must be one of {', '.join(results)}, got {', '.join(unknown)}.")
    due = {
        name: each for name, each in results.items() if name in names or (not names and reasons(each, generate=True))
    }
    failed = []
    for place, (name, each) in enumerate(due.items(), 1):
        click.echo(f"{place} of {len(due)}: {name} (the last time {_minutes(each)}): {each.command}")
        program, *arguments = shlex.split(each.renewal(name))
        if subprocess.run([sys.executable if program == "python" else program, *arguments], cwd=ROOT).returncode:
            failed.append(name)
    for path in fill_pages():
        click.echo(str(path.relative_to(ROOT)))
    if failed:
        click.echo(f"Not renewed: {', '.join(failed)}.", err=True)
    return NEGATIVE if failed else OK


def _minutes(results: Results) -> str:
    """Write how long a benchmark took."""
    return "unknown" if results.seconds is None else f"{max(1, round(results.seconds / 60))} min"


def main() -> None:
    """Run a command, and end with its exit code."""
    try:
        sys.exit(cli.main(standalone_mode=False))
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted; results of the benchmarks that were done are kept.", err=True)
        sys.exit(INTERRUPTED)
    except RtlmError as error:
        click.echo(str(error), err=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
