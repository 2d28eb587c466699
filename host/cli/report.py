"""``rtlm report``."""

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rtlm.gen.common.errors import OK
from rtlm.host.cli.files import save
from rtlm.host.cli.options import check_writable, make_folder

if TYPE_CHECKING:
    from rtlm.host.report_page.run_file import RunFile

SUFFIXES = (".html", ".htm")
PAGE = "report.html"
"""Name of the page in a folder."""


@click.command(epilog="docs/report.md says what the page shows and describes the JSON.")
@click.argument("run", type=click.Path(path_type=Path), metavar="RUN.json")
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    metavar="DIR|FILE",
    help=f"Where the page goes, replacing what is there: a file that ends in .html, or a folder, in which it is {PAGE}."
    "  [default: beside RUN.json]",
)
@click.option("--quiet", "-q", is_flag=True, help="Do not say where the page is.")
def report(run: Path, output: Path | None, quiet: bool) -> int:
    """Make one HTML file of what a run has measured: no network, no scripts, for screen, phone and paper.

    RUN.json is what rtlm run --json wrote.

    \b
    Examples:
      rtlm run --prompt "The capital of France is" --max-tokens 4 --json run.json && rtlm report run.json
      rtlm report run.json -o out
      rtlm report run.json -o shared/kv260.html
    """
    from rtlm.host.report_page.run_file import read_run

    found = read_run(run)
    path = page_path("--output", output or run.with_suffix(SUFFIXES[0]))
    write_page(found, "--output", path)
    if not quiet:
        click.echo(f"The report is in {path}.")
    return OK


def page_path(option: str, output: Path) -> Path:
    """Return the file of a page, and refuse what cannot be written; a folder is made."""
    if output.suffix.lower() not in SUFFIXES or output.is_dir():
        make_folder(option, output)
        output = output / PAGE
    check_writable(option, output)
    return output


def write_page(run: "RunFile", option: str, path: Path) -> None:
    """Write the page of a run."""
    from rtlm.host.report_page.page import render

    text = render(run)
    save(option, str(path), lambda: path.write_text(text, encoding="utf-8"))
