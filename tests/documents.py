"""The pages of docs/, and the Python in them."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
DATA = Path(__file__).parent / "data"


def python_blocks(page: str) -> list[str]:
    """Return the blocks of Python in a page of docs/."""
    return re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL)


def shell_blocks(page: Path) -> list[str]:
    """Return the blocks of shell commands in a page."""
    return re.findall(r"^```sh\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def shell_commands(page: Path) -> list[str]:
    """Return the commands of these blocks, those of several lines as one, without comments behind them."""
    lines = (line for block in shell_blocks(page) for line in block.replace("\\\n", " ").splitlines() if line)
    return [re.sub(r" +#.*", "", line) for line in lines]


def run_notebook(path: Path) -> dict[str, Any]:
    """Run the cells of a notebook one after the other, and return what they define.

    There is no kernel, as cells are plain Python: Jupyter's kernel and client would be 37 more packages of 106 MB.
    """
    names: dict[str, Any] = {}
    for number, cell in enumerate(json.loads(path.read_text(encoding="utf-8"))["cells"]):
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), f"{path.name}, cell {number}", "exec"), names)
    return names


def run_page(page: str, folder: Path, change: Callable[[str], str] = lambda text: text) -> dict[str, Any]:
    """Run the blocks of a page one after the other, as files in a folder, and return what they define."""
    names: dict[str, Any] = {}
    for number, block in enumerate(python_blocks(page)):
        path = folder / f"block{number}.py"
        path.write_text(change(block))
        exec(compile(path.read_text(), str(path), "exec"), names)
    return names
