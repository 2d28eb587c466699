"""The pages of docs/, and the Python in them."""

import io
import re
import shlex
import sys
from collections.abc import Callable
from contextlib import chdir, redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
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


CONSOLE = re.compile(r"(?<=^```console\n).*?(?=^```$)", re.MULTILINE | re.DOTALL)
NAMED_YAML = re.compile(r"^```yaml\n(?=# (\S+\.yaml)\n)(.*?)^```$", re.MULTILINE | re.DOTALL)
PROMPT = "$ rtlm "


def with_outputs(page: str, folder: Path) -> str:
    """Run the commands of a page in a folder that has its YAML files, and put what they print behind each."""
    from rtlm.host.cli.main import run_command

    for name, text in NAMED_YAML.findall(page):
        (folder / name).write_text(text, encoding="utf-8")

    def run(block: re.Match[str]) -> str:
        found = ""
        for line in block.group().splitlines():
            if line.startswith(PROMPT):
                out = io.StringIO()
                with redirect_stdout(out):
                    run_command(shlex.split(line.removeprefix(PROMPT)))
                found += f"{line}\n" + "".join(f"{each.rstrip()}\n" for each in out.getvalue().splitlines())
        return found

    with chdir(folder):
        return CONSOLE.sub(run, page)


def main(page: str) -> None:
    """Write a page anew: ``python -m tests.documents PAGE.md``."""
    path = DOCS / page
    with TemporaryDirectory() as folder:
        path.write_text(with_outputs(path.read_text(encoding="utf-8"), Path(folder)), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
