"""The Verilog of a board's SDRAM controller: LiteDRAM, made once and cached."""

import importlib.util
from importlib import metadata
from pathlib import Path

from rtlm.gen.common.cache import cache_folder, cached, digest
from rtlm.gen.common.errors import ToolError
from rtlm.gen.common.installation import install_command
from rtlm.hw.board.sdram import MODULE, SdramParams

EXTRA = "boards"
"""Extra that has LiteDRAM."""

PACKAGES = ("litedram", "litex", "migen")


def missing_packages() -> list[str]:
    """Return which of LiteDRAM's packages are not installed."""
    return [name for name in PACKAGES if importlib.util.find_spec(name) is None]


def sdram_verilog(params: SdramParams) -> str:
    """Return the Verilog of the module that `rtlm.hw.board.sdram.SdramController` contains, for an ECP5.

    Parameters
    ----------
    params
        The memory.

    Raises
    ------
    ToolError
        If LiteDRAM is not installed, or the result cannot be stored.
    """
    if missing := missing_packages():
        raise ToolError(
            f"The SDRAM's controller is LiteDRAM, but {' and '.join(missing)} cannot be imported; "
            f"run: {install_command(EXTRA)}."
        )
    source = Path(__file__).with_name("litedram.py").read_bytes()
    key = digest(repr(params), source, *(metadata.version(name) for name in PACKAGES))
    name = f"{MODULE}.v"

    def make(folder: Path) -> None:
        from rtlm.gen.boards.litedram import controller_verilog

        (folder / name).write_text(controller_verilog(params), encoding="utf-8")

    folder = cached(key, make, cache=cache_folder("litedram"), usable=lambda found: (found / name).is_file())
    return (folder / name).read_text(encoding="utf-8")
