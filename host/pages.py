"""Writes what is generated in README and docs: ``python -m rtlm.host.pages [--examples]``, in the repository's folder.

Those are whole pages, and marked parts of others that are filled from results files (`rtlm.host.figures.marks`).

With ``--examples`` also what commands print in the other pages, which takes minutes.
"""

import io
import json
import re
import shlex
from collections.abc import Callable
from contextlib import chdir, redirect_stdout
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

import click
from rtlm.gen.common.errors import OK
from rtlm.gen.configuration.load import DEFAULT_PRESET, load_config
from rtlm.gen.configuration.schema import Configuration, json_schema
from rtlm.gen.package.pages import instructions_page, parameters_page, registers_page
from rtlm.host.cli.main import run_command
from rtlm.host.cli.name_lists import names_file
from rtlm.host.cli.names import PATH as NAMES
from rtlm.host.cli.page import cli_page
from rtlm.host.compiler.page import memory_page
from rtlm.host.estimation.errors import BAND, error_band, point_errors
from rtlm.host.estimation.page import estimates_page
from rtlm.host.estimation.plot import draw_errors
from rtlm.host.estimation.power_page import power_page
from rtlm.host.exploration.space import SpaceFile
from rtlm.host.figures.marks import fill_pages
from rtlm.host.models.page import models_page
from rtlm.host.plots.architecture import architecture_svg
from rtlm.host.reports.page import counters_page
from rtlm.host.survey.page import comparison_page

NOTE = "\n---\nGenerated from the source by `python -m rtlm.host.pages`; a test compares.\n"
DOCS = Path(__file__).resolve().parent.parent / "docs"


GENERATED: dict[str, Callable[[Configuration], str]] = {
    "registers.md": lambda config: registers_page(config.matmul.columns),
    "instructions.md": lambda config: instructions_page(),
    "memory-image.md": lambda config: memory_page(config),
    "parameters.md": lambda config: parameters_page(config),
    "models.md": lambda config: models_page(),
    "comparison.md": lambda config: comparison_page(printed),
    "estimates.md": lambda config: estimates_page(printed),
    "power.md": lambda config: power_page(),
    "cli.md": lambda config: cli_page(),
    "counters.md": lambda config: counters_page(),
    "pictures/architecture.svg": architecture_svg,
    "configuration.schema.json": lambda config: json_schema(Configuration),
    "space.schema.json": lambda config: json_schema(SpaceFile),
}
"""Generated pages of docs/ and what they show, each with what makes it from the default configuration."""


def generated_page(name: str) -> str:
    """Return the text of one of the `GENERATED` pages."""
    text = GENERATED[name](load_config(DEFAULT_PRESET)).rstrip("\n") + "\n"
    return text + NOTE if name.endswith(".md") else text


EXAMPLE_PAGES = ("dissection.md", "sweeps.md", "tour.md", "own-board.md")
"""Written pages of docs/ with commands and what these print."""

CONSOLE = re.compile(r"(?<=^```console\n).*?(?=^```$)", re.MULTILINE | re.DOTALL)
NAMED_FILE = re.compile(r"^```(?:yaml|python)\n(?=# (\S+\.(?:yaml|py))\n)(.*?)^```$", re.MULTILINE | re.DOTALL)
"""Blocks whose first line is the name of a file, which the commands of the page find."""
PROMPT = "$ rtlm "


def with_outputs(page: str) -> str:
    """Run the commands of a page one after the other in a folder of their own, and put what they print behind each."""

    def run(block: re.Match[str]) -> str:
        commands = (line for line in block.group().splitlines() if line.startswith(PROMPT))
        return "".join(f"{line}\n{printed(line.removeprefix(PROMPT))}" for line in commands)

    with TemporaryDirectory() as folder, chdir(folder):
        for name, text in NAMED_FILE.findall(page):
            Path(name).write_text(text, encoding="utf-8")
        return CONSOLE.sub(run, page)


def printed(command: str) -> str:
    """Return what a command of rtlm prints where no terminal is, without blanks at the ends of its lines.

    Raises
    ------
    click.ClickException
        If the command fails: a page would lose its answer.
    """
    out = io.StringIO()
    with redirect_stdout(out):
        code = run_command(shlex.split(command))
    if code != OK:
        raise click.ClickException(f"rtlm {command} ended with exit code {code}; the page is left as it was")
    return "".join(f"{line.rstrip()}\n" for line in out.getvalue().splitlines())


@click.command()
@click.option("--examples", is_flag=True, help="Also run the commands in written pages.")
def main(examples: bool) -> None:
    """Write the pages."""
    points = point_errors()
    band = json.dumps(asdict(error_band(points))) + "\n"
    # Every estimate states it, those on the pages too.
    (DOCS.parent / "host/estimation" / BAND).write_text(band, encoding="utf-8")
    NAMES.write_text(names_file(), encoding="utf-8")
    draw_errors(points, DOCS / "estimates.svg")
    pages = {name: generated_page(name) for name in GENERATED}
    if examples:
        pages |= {name: with_outputs((DOCS / name).read_text(encoding="utf-8")) for name in EXAMPLE_PAGES}
    for name, text in pages.items():
        (DOCS / name).write_text(text, encoding="utf-8")
        print(f"docs/{name}")
    for path in fill_pages():
        print(path.relative_to(DOCS.parent))


if __name__ == "__main__":
    main()
