"""An SDR SDRAM in Verilog at a design's pins: keeps data, and refuses what a real chip would not stand."""

from collections.abc import Iterable, Mapping
from enum import IntEnum
from importlib import resources
from typing import Any

PREFIX = "sdram_"
"""Of the pins in a design."""

MODEL = "sdram_model"
SOURCES = ("sdram.v", "ecp5.v")
TICKS = 4
"""Cycles of the bench's clock in one of the design's: see ecp5.v."""


class Violation(IntEnum):
    """What the memory refuses; the numbers of sdram.v.

    Delays are the longest of the chips that a ULX3S was built with, at the 50 MHz of `CLOCK_PS`: tRCD, tRP, tWR, tRFC,
    tRRD and tREFI of litedram 2024.12 ``litedram/modules.py`` (IS42S16160, MT48LC16M16, AS4C32M16), tRAS and tRC of
    ISSI's model of a -75 part.
    """

    NONE = 0
    POWER_UP = 1
    """A command too early, or without the precharge, refreshes and mode register that come first."""
    STATE = 2
    """A command that the bank's state does not permit."""
    RCD = 3
    RP = 4
    RAS = 5
    RC = 6
    RFC = 7
    RRD = 8
    WR = 9
    MRD = 10
    REFRESH = 11
    """More refreshes behind than a reset of the board costs, 0.4 % of a row's 64 ms."""
    MODE = 12
    """Another mode than sequential bursts with a CAS latency of 2."""
    CONTENTION = 13
    """Data written while the memory drives the bus."""
    CLOCK_ENABLE = 14


COUNTS = {"violation": 5, "activates": 32, "reads": 32, "writes": 32, "refreshes": 32}
"""Outputs of the model and their bits; the bench has them under the same names behind `PREFIX`."""


def sdram_sources() -> str:
    """Return the memory and the cells of an ECP5 as Verilog."""
    return "".join(resources.files(__package__).joinpath(name).read_text(encoding="utf-8") for name in SOURCES)


PROBE = "probe_"
"""Of the ports of a second memory."""
PROBE_PORTS = {"clk": 1, "clear": 1, "cke": 1, "csn": 1, "rasn": 1, "casn": 1, "wen": 1, "a": 13, "ba": 2, "dqm": 2}


def with_sdram(
    design: str,
    ports: Iterable[Mapping[str, Any]],
    top: str,
    parameters: Mapping[str, int],
    *,
    probe: Mapping[str, int] | None = None,
) -> str:
    """Return Verilog with a module ``bench`` of a design and the memory at its pins.

    Parameters
    ----------
    design
        Verilog of the design and all it needs but cells of an ECP5.
    ports
        Its ports, see `rtlm.gen.rtl.verilog.Emitted`; those that begin with `PREFIX` are the memory's pins, all others
        become the bench's. It has the memory's `COUNTS`, too.
    top
        Its module.
    parameters
        Of the model, see sdram.v.
    probe
        Parameters of a second memory, if there is one; its pins but for the data are ports that begin with `PROBE`.
    """
    outer, wires, inner, pins = [], [], [], [".clear(1'b0)"]
    for port in ports:
        name, bits = port["name"], _bits(port["bits"])
        inner.append(f".{name}({name})")
        if name.startswith(PREFIX):
            wires.append(f"    wire {bits} {name};")
            pins.append(f".{name.removeprefix(PREFIX)}({name})")
        else:
            outer.append(f"    {port['direction']} {bits} {name}")
    outer += [f"    output {_bits(width)} {PREFIX}{name}" for name, width in COUNTS.items()]
    pins += [f".{name}({PREFIX}{name})" for name in COUNTS]
    parts = [f"{top} board({', '.join(inner)});", f"{MODEL} {_values(parameters)}memory({', '.join(pins)});"]
    if probe is not None:
        outer += [f"    input {_bits(width)} {PROBE}{name}" for name, width in PROBE_PORTS.items()]
        outer.append(f"    output {_bits(COUNTS['violation'])} {PROBE}violation")
        pins = [f".{name}({PROBE}{name})" for name in (*PROBE_PORTS, "violation")]
        parts.append(f"{MODEL} {_values(probe)}probe({', '.join(pins)});")
    body = "\n".join([*wires, *(f"    {part}" for part in parts)])
    return f"{design}{sdram_sources()}module bench(\n{f',{chr(10)}'.join(outer)}\n);\n{body}\nendmodule\n"


def _bits(width: int) -> str:
    return f"[{width - 1}:0]"


def _values(parameters: Mapping[str, int]) -> str:
    """Return parameters of an instance."""
    return f"#({', '.join(f'.{name}({value})' for name, value in parameters.items())}) " if parameters else ""
