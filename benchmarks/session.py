"""Records a run of rtlm in a terminal as a picture, docs/pictures/session.svg, and its figures.

Usage: ``python benchmarks/session.py [--prompt TEXT] [--max-tokens 24] [--power measured] [--record NAME]``. The run is
a real one, in a terminal of its own; ``--text FILE`` keeps what it printed, and ``--from FILE`` draws that again.
"""

import errno
import io
import json
import os
import pty
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.text import Text
from rtlm.host.figures.results import ROOT, record, record_option

PICTURE = ROOT / "docs/pictures/session.svg"
COLUMNS = 104
LAST_SECTION = "cycles by unit"
"""From here on the picture leaves out what the report says."""
QUANTITIES = {
    "cycles_per_token": ("clock cycles", "measured in RTL"),
    "tokens_per_s": ("1/s at the configured clock", "measured in RTL"),
    "bandwidth_utilisation": ("of the memory's peak", "measured in RTL"),
    "power_w": ("W", "estimated"),
    "prompt_tokens": ("tokens", "measured in RTL"),
    "new_tokens": ("tokens", "measured in RTL"),
    "simulated_tokens_per_s": ("1/s", "measured on this computer"),
}
BOLD = "\x1b[1m"
"""What a terminal is told before a section's name."""
WEB_FONT = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


def printed(command: list[str]) -> str:
    """Run a command in a terminal of its own and return what it wrote there, raising if it fails."""
    ours, its = pty.openpty()
    environment = os.environ | {"COLUMNS": str(COLUMNS), "LINES": "50", "TERM": "xterm-256color"}
    process = subprocess.Popen(command, stdin=its, stdout=its, stderr=its, cwd=ROOT, env=environment)
    os.close(its)
    pieces = []
    try:
        while piece := os.read(ours, 65536):
            pieces.append(piece)
            sys.stderr.buffer.write(piece)
            sys.stderr.flush()
    except OSError as error:
        if error.errno != errno.EIO:  # what Linux says where the other end is closed
            raise
    if code := process.wait():
        raise click.ClickException(f"{shlex.join(command)} ended with exit code {code}.")
    return b"".join(pieces).decode()


def final_lines(text: str) -> list[str]:
    """Return what is left on a terminal: of each line that which was written last over its beginning."""
    return [line.rstrip("\r").rpartition("\r")[2].rstrip() for line in text.split("\n")]


def draw(command: str, lines: list[str]) -> str:
    """Return the picture of a command and what it printed."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text.assemble(("$ ", "bold green"), (command, "bold")))
    shown = "\n".join(lines).partition(LAST_SECTION)
    console.print(Text.from_ansi(shown[0].removesuffix(BOLD).rstrip("\n")))
    if shown[1]:
        console.print(
            Text("\n[...] cycles by unit and cause, bytes by purpose, power by component and operator", "dim")
        )
    # A page shows a picture without what it would load; any monospaced font does.
    return WEB_FONT.sub("", console.export_svg(title="rtlm", unique_id="session"))


def figures(report: dict[str, Any]) -> dict[str, Any]:
    """Return the headline figures of a report."""
    speed, power = report["performance"], report["power"]
    return {
        "cycles_per_token": speed["cycles_per_token"],
        "tokens_per_s": speed["tokens_per_s"],
        "bandwidth_utilisation": speed["bandwidth_utilisation"],
        "power_w": {boundary: within for boundary, within in power["boundaries"].items() if within},
        "toggles": "with toggles counted in RTL" if report["activity"] else "with shipped toggle rates",
        "prompt_tokens": report["prompt_tokens"],
        "new_tokens": report["tokens"],
        "simulated_tokens_per_s": report["simulator"]["tokens_per_s"],
    }


@click.command()
@click.option("--prompt", default="Why is the sky blue?", show_default=True, help="The question.")
@click.option("--max-tokens", default=24, show_default=True, help="Tokens of the answer.")
@click.option("--power", default="auto", show_default=True, help="As for rtlm run.")
@click.option("--text", "text_path", type=click.Path(path_type=Path), help="Keep what was printed here.")
@click.option(
    "--from", "source", type=click.Path(path_type=Path, exists=True), help="Draw what an earlier run printed."
)
@record_option
def main(
    prompt: str, max_tokens: int, power: str, text_path: Path | None, source: Path | None, record_as: str | None
) -> None:
    """Run rtlm and draw what it prints."""
    arguments = ["run", "--chat", prompt, "--max-tokens", str(max_tokens)]
    arguments += ["--power", power] if power != "auto" else []
    shown = f'rtlm run --chat "{prompt}" ' + shlex.join(arguments[3:])
    if source:
        text = source.read_text(encoding="utf-8")
    else:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "report.json"
            text = printed([str(Path(sys.executable).with_name("rtlm")), *arguments, "--json", str(path)])
            report = json.loads(path.read_text(encoding="utf-8"))
        record(record_as, figures(report), QUANTITIES, rtl=[("kv260", ())])
    if text_path:
        text_path.write_text(text, encoding="utf-8")
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_text(draw(shown, final_lines(text)), encoding="utf-8")


if __name__ == "__main__":
    main()
