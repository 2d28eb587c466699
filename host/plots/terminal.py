"""Pictures of terminals: what a command prints, as SVG whose fonts are those of the reader."""

import io
import re

from rich.console import Console
from rich.text import Text

WIDTH = 100
"""Characters in a line."""
FONTS = "'DejaVu Sans Mono', Menlo, Consolas, monospace"


def terminal_svg(command: str, output: str) -> str:
    """Draw a terminal with a command and its output.

    Parameters
    ----------
    command
        As it is typed.
    output
        What it prints, with the escape sequences of a terminal.
    """
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    console.print(Text(f"$ {command}", style="bold"))
    console.print(Text.from_ansi(output))
    text = console.export_svg(title="", code_format=_format(), unique_id="terminal")
    return "\n".join(line.rstrip() for line in text.splitlines() if line.strip()) + "\n"


def _format() -> str:
    """Return rich's template without fonts that come over the network."""
    from rich._export_format import CONSOLE_SVG_FORMAT

    template = re.sub(r"@font-face \{\{.*?\n    \}\}|<!--.*?-->", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    return template.replace("Fira Code, monospace", FONTS)
