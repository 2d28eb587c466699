"""Ports of a Verilated design, and the header that binds them to the native bench."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rtlm.gen.common.errors import ToolError

BENCH = Path(__file__).resolve().parents[1] / "native"
"""Sources of the native bench."""


@dataclass(frozen=True)
class Ports:
    """Ports of the Verilated top, by their Verilog names: (C++ member, is an input, width)."""

    members: dict[str, tuple[str, bool, int]]

    @property
    def axi_count(self) -> int:
        """Number of AXI4 ports."""
        numbers = [int(match[1]) for name in self.members if (match := re.match(r"m(\d+)_axi_", name))]
        return max(numbers, default=-1) + 1


def read_ports(header: str) -> Ports:
    """Return the ports of a Verilated top from its header.

    Parameters
    ----------
    header : str
        Text of ``Vbench.h``.
    """
    members = {}
    for kind, member, high, low in re.findall(r"VL_(IN|OUT)(?:8|16|64|W)?\(&?(\w+),(\d+),(\d+)", header):
        # Verilator writes characters that C++ or it reserves, such as the second of two underscores, as hex.
        name = re.sub(r"__0([0-9A-F]{2})", lambda match: chr(int(match[1], 16)), member)
        # The netlist that toggles are counted on keeps the two underscores of Amaranth.
        name = re.sub(r"^((?:m\d+|s)_axi)__", r"\1_", name)
        members[name] = (member, kind == "IN", int(high) - int(low) + 1)
    return Ports(members)


_READ_FLAGS = {"arvalid": False, "arready": True, "rvalid": True, "rready": False, "rlast": True}
_READ_PINS = {"araddr": 0, "arlen": 0, "arsize": 0, "arburst": 0, "arid": 0, "rresp": 1, "rid": 1}
_WRITE_FLAGS = {
    "awvalid": False,
    "awready": True,
    "wvalid": False,
    "wready": True,
    "wlast": False,
    "bvalid": True,
    "bready": False,
}
_WRITE_PINS = {"awaddr": 0, "awlen": 0, "awsize": 0, "awburst": 0, "awid": 0, "bresp": 1, "bid": 1}
_LITE_FLAGS = ("awvalid", "awready", "wvalid", "wready", "bvalid", "bready", "arvalid", "arready", "rvalid", "rready")
_LITE_PINS = ("awaddr", "wdata", "wstrb", "bresp", "araddr", "rdata", "rresp")
_SERIAL = ("rx", "tx")
_OPTIONAL = {"arid", "rid", "awid", "bid"}


def bench_config(ports: Ports) -> str:
    """Return ``bench_config.h``, which binds a design's ports to the bench.

    Parameters
    ----------
    ports : Ports
        From `read_ports`.

    Raises
    ------
    ToolError
        When a port that the bench needs is missing.
    """
    for name in ("clk", "rst", "irq"):
        if name not in ports.members:
            raise ToolError(f"The design has no port {name!r}, which the bench needs.")
    widths, cases = [], []
    for number in range(ports.axi_count):
        prefix = f"m{number}_axi_"
        lines = _bind(ports, prefix, "pins.read", "arvalid", _READ_FLAGS, _READ_PINS, ("rdata",))
        lines += _bind(ports, prefix, "pins.write", "awvalid", _WRITE_FLAGS, _WRITE_PINS, ("wdata", "wstrb"))
        width = next(
            (ports.members[prefix + name][2] for name in ("rdata", "wdata") if prefix + name in ports.members), 0
        )
        if width < 8 or width & (width - 1):
            raise ToolError(f"AXI port {number} is {width} bits wide; it must be a power of two, at least 8.")
        widths.append(str(width // 8))
        cases.append("\n".join([f"    case {number}:", *(f"      {line}" for line in lines), "      break;"]))
    lite = _bind(
        ports, "s_axi_", "pins", "awvalid", dict.fromkeys(_LITE_FLAGS, False), dict.fromkeys(_LITE_PINS, 0), ()
    )
    body = "\n".join(cases)
    lite_body = "\n".join(f"  {line}" for line in lite)
    activity = f"pin.activity = rtlm::pin(top.{ports.members['activity'][0]});" if "activity" in ports.members else ""
    has_serial = all(name in ports.members for name in _SERIAL)
    serial = [f"pins.{name} = rtlm::flag(top.{ports.members[name][0]});" for name in _SERIAL if has_serial]
    serial_body = "\n".join(f"  {line}" for line in serial)
    return f"""\
#pragma once
#include <vector>

#include "Vbench.h"
#include "{BENCH / "pins.h"}"
#include "{BENCH / "serial.h"}"

#define BENCH_PORTS {ports.axi_count}
using BenchTop = Vbench;

inline std::vector<int> bench_beat_bytes() {{ return {{{", ".join(widths)}}}; }}

inline void bench_bind_port([[maybe_unused]] BenchTop& top, int port, [[maybe_unused]] rtlm::AxiPins& pins) {{
  switch (port) {{
{body}
    default:
      break;
  }}
}}

inline void bench_bind_lite([[maybe_unused]] BenchTop& top, [[maybe_unused]] rtlm::LitePins& pins) {{
{lite_body}
}}

inline void bench_bind_activity([[maybe_unused]] BenchTop& top, [[maybe_unused]] rtlm::ActivityPin& pin) {{
  {activity}
}}

inline void bench_bind_serial([[maybe_unused]] BenchTop& top, [[maybe_unused]] rtlm::SerialPins& pins) {{
{serial_body}
}}
"""


def _bind(ports: Ports, prefix: str, target: str, key: str, flags: dict, pins: dict, wide: Sequence[str]) -> list[str]:
    if prefix + key not in ports.members:
        return []  # this direction is not there
    lines = []
    for kind, names in (("flag", flags), ("pin", pins), ("bytes", wide)):
        for name in names:
            entry = ports.members.get(prefix + name)
            if entry is None and name in _OPTIONAL:
                continue
            if entry is None:
                raise ToolError(f"The design has a port {prefix + key!r} but no port {prefix + name!r}.")
            lines.append(f"{target}.{name} = rtlm::{kind}(top.{entry[0]});")
    return lines
