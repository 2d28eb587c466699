"""The pages of docs/, and the Python in them."""

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


def run_page(page: str, folder: Path, change: Callable[[str], str] = lambda text: text) -> dict[str, Any]:
    """Run the blocks of a page one after the other, as files in a folder, and return what they define."""
    names: dict[str, Any] = {}
    for number, block in enumerate(python_blocks(page)):
        path = folder / f"block{number}.py"
        path.write_text(change(block))
        exec(compile(path.read_text(), str(path), "exec"), names)
    return names
