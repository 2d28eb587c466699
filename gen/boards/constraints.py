"""Constraints: the clock of a configuration, and the pins of its board."""

import re
from pathlib import Path

from rtlm.gen.common.errors import GenerateError

FOLDER = Path(__file__).resolve().parents[2] / "constraints"
"""The folder ``constraints`` of the project."""

CLOCK = """\
# Clock of {module}: {mhz:g} MHz, for which its pipelines are scheduled. For synthesis of the module alone (in
# Vivado: out of context); inside a larger design the source of the clock defines it. Vivado was not run.
create_clock -name clk -period {period:.3f} [get_ports clk]
"""


def clock_constraint(module: str, clock_mhz: float) -> str:
    """Write the clock constraint; XDC and SDC have the same words for it.

    Parameters
    ----------
    module
        Top module, with a port ``clk``.
    clock_mhz
        Its clock.
    """
    return CLOCK.format(module=module, mhz=clock_mhz, period=1000 / clock_mhz)


def board_constraints(board: str) -> dict[str, str]:
    """Return the constraint files of a board by name; empty for the board ``none``.

    Raises
    ------
    GenerateError
        If the project's folder ``constraints`` is missing.
    """
    if board == "none":
        return {}
    if not FOLDER.is_dir():
        raise GenerateError(
            f"The folder {FOLDER} with the boards' constraints is missing; run rtlm from its repository."
        )
    found = [path for path in sorted(FOLDER.iterdir()) if re.split(r"[.-]", path.name)[0] == board]
    return {path.name: path.read_text(encoding="utf-8") for path in found}
