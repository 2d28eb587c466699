"""Writes the generated pages of docs/: ``python -m rtlm.host.pages`` (from the repository's folder)."""

import json
import shlex
from dataclasses import asdict
from pathlib import Path

from click.testing import CliRunner
from rtlm.gen.configuration.load import DEFAULT_PRESET, load_config
from rtlm.gen.package.pages import instructions_page, parameters_page, registers_page
from rtlm.host.cli.compare import compare
from rtlm.host.cli.estimate import estimate
from rtlm.host.compiler.page import memory_page
from rtlm.host.estimation.errors import BAND, error_band, point_errors
from rtlm.host.estimation.page import estimates_page
from rtlm.host.estimation.plot import draw_errors
from rtlm.host.models.page import models_page
from rtlm.host.survey.page import comparison_page

NOTE = "\n---\nGenerated from the source by `python -m rtlm.host.pages`; a test compares.\n"
DOCS = Path(__file__).resolve().parent.parent / "docs"


def generated_pages() -> dict[str, str]:
    """Return the text of each generated page of docs/, by file name."""
    config = load_config(DEFAULT_PRESET)
    pages = {
        "registers.md": registers_page(config.matmul.columns),
        "instructions.md": instructions_page(),
        "memory-image.md": memory_page(config),
        "parameters.md": parameters_page(config),
        "models.md": models_page(),
        "comparison.md": comparison_page(_printed),
        "estimates.md": estimates_page(_printed),
    }
    return {name: text.rstrip("\n") + "\n" + NOTE for name, text in pages.items()}


def _printed(command: str) -> str:
    """Return what a command of rtlm prints where no terminal is."""
    name, *arguments = shlex.split(command)
    commands = {"compare": compare, "estimate": estimate}
    return CliRunner().invoke(commands[name], arguments, catch_exceptions=False).output


def main() -> None:
    """Write the pages."""
    points = point_errors()
    band = json.dumps(asdict(error_band(points))) + "\n"
    # Every estimate states it, those on the pages too.
    (DOCS.parent / "host/estimation" / BAND).write_text(band, encoding="utf-8")
    draw_errors(points, DOCS / "estimates.svg")
    for name, text in generated_pages().items():
        (DOCS / name).write_text(text, encoding="utf-8")
        print(f"docs/{name}")


if __name__ == "__main__":
    main()
