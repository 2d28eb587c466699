"""Runs yosys as a native library (package pyosys), in a process of its own: an error in yosys ends its process."""

import json
import subprocess
import sys
from collections.abc import Sequence
from importlib import util
from pathlib import Path

from rtlm.gen.common.errors import RtlmError, ToolError
from rtlm.gen.common.installation import install_command, package_version
from rtlm.hw.common import clock_gate, mac

PACKAGE = "pyosys"

MODULES = (
    "".join(
        f"module {module}(input clk, input enable, output gated); assign gated = clk; endmodule\n"
        for module in clock_gate.MODULES.values()
    )
    + mac.VERILOG
)
"""Clock gates that never close: the same results, and all registers in one clock domain; multipliers with sums."""

PREPARATION = (
    # Amaranth names the fields of a structure like bits of a bus, x[0] beside x; yosys 0.70's mapper gives both the
    # same new name and stops.
    "rename -hide w:*\\[*",
    # The mapper's proof that its result equals its input does not end for multipliers in tables.
    "scratchpad -set abc9.verify 0",
)
"""Commands that every synthesis begins with."""

RUNNER = """\
import sys
from pyosys import libyosys
design = libyosys.Design()
for command in open(sys.argv[1], encoding="utf-8").read().splitlines():
    design.run_pass(command)
"""


class YosysError(RtlmError):
    """yosys refused something."""


def require(*packages: str) -> None:
    """Check that packages of the extra ``synth`` are installed.

    Raises
    ------
    ToolError
        If one is not; the message says how to get it.
    """
    for package in packages:
        if util.find_spec(package.replace("-", "_")) is None:
            command = install_command("synth")
            raise ToolError(f"The package {package} is missing, which synthesis needs; run: {command}.")


def version() -> str:
    """Return the version of yosys, empty if it is not installed."""
    return package_version(PACKAGE) or ""


def read_commands(folder: Path, macros: Sequence[str] = ()) -> list[str]:
    """Return the commands that read ``netlist.il`` in a folder, and the modules it uses, which are written there.

    Parameters
    ----------
    folder
        Working directory.
    macros
        Verilog macros that select bodies of these modules.
    """
    (folder / "modules.v").write_text(MODULES, encoding="utf-8")
    defines = "".join(f" -D {macro}" for macro in macros)
    return ["read_rtlil netlist.il", f"read_verilog{defines} modules.v", *PREPARATION]


def run_on(netlist: str, commands: Sequence[str], folder: Path, macros: Sequence[str] = ()) -> None:
    """Run commands on a netlist in RTLIL, of which no copy stays in the folder.

    Parameters
    ----------
    netlist
        It.
    commands
        As of `run`, which also says what is raised.
    folder, macros
        As of `read_commands`.
    """
    source = folder / "netlist.il"
    source.write_text(netlist, encoding="utf-8")
    run([*read_commands(folder, macros), *commands], folder)
    source.unlink()


def cells_by_module(statistics: str) -> dict[str, dict[str, int]]:
    """Read what ``stat -json`` wrote: for each module the number of cells of each type."""
    modules = json.loads(statistics)["modules"]
    return {name.lstrip("\\"): module.get("num_cells_by_type", {}) for name, module in modules.items()}


def run(commands: Sequence[str], folder: Path) -> str:
    """Run commands in a folder and return yosys' log.

    Parameters
    ----------
    commands
        One command each; files are named relative to the folder.
    folder
        Working directory; it also receives ``yosys.log``.

    Raises
    ------
    YosysError
        If a command fails.
    ToolError
        If yosys is not installed.
    """
    require(PACKAGE)
    folder = folder.absolute()
    (folder / "script.ys").write_text("\n".join(commands) + "\n", encoding="utf-8")
    log = folder / "yosys.log"
    with log.open("w", encoding="utf-8") as output:
        code = subprocess.run(
            [sys.executable, "-c", RUNNER, "script.ys"], cwd=folder, stdout=output, stderr=subprocess.STDOUT
        ).returncode
    text = log.read_text(encoding="utf-8", errors="replace")
    if code:
        # Of a file it is "both.v:2: ERROR: ...", and what was written before an error may come behind it.
        reasons = [line for line in text.splitlines() if "ERROR: " in line] or text.splitlines()[-1:]
        reason = reasons[-1].replace("ERROR: ", "", 1) if reasons else "it gave no reason"
        raise YosysError(f"yosys stopped with exit code {code}: {reason.rstrip('.')}.")
    return text
