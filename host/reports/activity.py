"""Switching activity from a SAIF file (IEEE 1801, annex I), as Verilator writes it with ``--trace-saif``."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from rtlm.host.errors import AcceleratorError

_TOKEN = re.compile(
    r"\(INSTANCE\s+(?P<instance>[^\s()]+)"
    r"|\((?P<net>[^\s()]+)(?=\s*\(T0\s)(?P<times>(?:\s*\(\w+\s+\d+\))*)\s*\)"
    r"|\((?P<header>[A-Z]+)\s[^()]*\)"
    r"|(?P<open>\()"
    r"|(?P<close>\))"
)
_COUNT = re.compile(r"\(TC\s+(\d+)\)")
CLOCK = "clk"
_UNCOUNTED = re.compile(r"clk|rst|gated|\w+_clk|\$auto\$.*")
"""Nets that are no data: clocks, gated ones too (their power is the clock tree's), reset, and yosys' temporaries."""


@dataclass
class Toggles:
    """Toggles of the nets of one instance, without those below it.

    Parameters
    ----------
    bits
        Net bits, clocks and reset excluded.
    count
        Toggles of them all.
    """

    bits: int = 0
    count: int = 0


@dataclass(frozen=True)
class Activity:
    """What a SAIF file says.

    Parameters
    ----------
    cycles
        Clock cycles that it covers.
    instances
        Toggles by instance path, such as ``TOP.accelerator.matmul``.
    """

    cycles: float
    instances: Mapping[str, Toggles]

    def by_unit(self, top: str = "accelerator") -> dict[str, float]:
        """Return toggles for each net bit and cycle: of each direct part of the instance `top`, its own as ``top``."""
        sums: dict[str, Toggles] = {}
        for path, toggles in self.instances.items():
            parts = path.split(".")
            if top not in parts:
                continue
            below = parts[parts.index(top) + 1 :]
            total = sums.setdefault(below[0] if below else "top", Toggles())
            total.bits += toggles.bits
            total.count += toggles.count
        return {unit: total.count / total.bits / self.cycles for unit, total in sums.items() if total.bits}


def parse_saif(text: str) -> Activity:
    """Read SAIF text.

    Raises
    ------
    AcceleratorError
        If it holds no clock or ends too early.
    """
    instances: dict[str, Toggles] = {}
    # One entry for each open parenthesis: the path of the instance that it belongs to.
    stack: list[str] = []
    edges = 0
    for token in _TOKEN.finditer(text):
        here = stack[-1] if stack else ""
        if name := token["net"]:
            match = _COUNT.search(token["times"])
            count = int(match[1]) if match else 0
            if name == CLOCK:
                edges = max(edges, count)
            elif not _UNCOUNTED.fullmatch(name):
                toggles = instances.setdefault(here, Toggles())
                toggles.bits += 1
                toggles.count += count
        elif name := token["instance"]:
            stack.append(f"{here}.{name}" if here else name)
        elif token["open"]:
            stack.append(here)
        elif token["close"]:
            if not stack:
                raise AcceleratorError("the SAIF file closes a parenthesis that was never opened")
            stack.pop()
    if stack or not edges:
        raise AcceleratorError(
            "the SAIF file ends too early" if stack else f"the SAIF file has no toggling net {CLOCK}"
        )
    return Activity(cycles=edges / 2, instances=instances)


def read_saif(path: str | PathLike) -> Activity:
    """Read a SAIF file.

    Raises
    ------
    AcceleratorError
        If it cannot be read.
    """
    try:
        return parse_saif(Path(path).read_text(encoding="utf-8", errors="replace"))
    except OSError as error:
        raise AcceleratorError(f"the SAIF file {path} cannot be read: {error.strerror}") from error
