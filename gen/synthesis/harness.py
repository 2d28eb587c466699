"""Puts a unit between registers, with four pins: a shift register feeds its inputs, its outputs are folded into one.

A unit alone has more ports than a package has pins. nextpnr can place one "out of context", but then it routes clocks
like any other wire, which takes very long on a full device and says little about the clock. In the harness the clock is
a pin with a global network, every path begins and ends at a register, and nothing of the unit can be left out: inputs
are no copies of each other one cycle later, as those of a plain shift register are, with which registers merge.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from rtlm.gen.synthesis.netlist import modules

UNIT = "unit"
"""Name of the unit's instance and module; names inside a flat netlist begin with it and a dot."""

CLOCK, RESET = "clk", "rst"
"""Ports that are the clock, and the reset, which gets two registers."""

_PORT = re.compile(r"^  wire width (\d+) (?:signed )?(input|output) \d+ +(?:signed )?\\(\S+)$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Harness:
    """Verilog around a unit.

    Parameters
    ----------
    unit
        Name of the unit's module.
    verilog
        Module ``top`` with the ports ``clk``, ``rst``, ``si``, ``so`` and an instance of module `UNIT`.
    registers
        Flip-flops that it adds, before synthesis removes those of ports that are constant.
    tables
        Tables that it adds, likewise.
    """

    unit: str
    verilog: str
    registers: int
    tables: int

    def commands(self, folder: Path) -> list[str]:
        """Return the commands for yosys that put the unit into it, whose Verilog is written to a folder."""
        (folder / "harness.v").write_text(self.verilog, encoding="utf-8")
        return [f"rename {self.unit} {UNIT}", "read_verilog harness.v"]


def harness(netlist: str, unit: str) -> Harness:
    """Make the harness of a unit.

    Parameters
    ----------
    netlist, unit
        RTLIL from Amaranth, and the name of the unit's module in it.
    """
    ports = [(int(bits), direction, name) for bits, direction, name in _PORT.findall(modules(netlist)[unit])]
    inputs = [(bits, name) for bits, direction, name in ports if direction == "input" and name not in (CLOCK, RESET)]
    outputs = [(bits, name) for bits, direction, name in ports if direction == "output"]
    n_in, n_out = (max(1, sum(bits for bits, _ in side)) for side in (inputs, outputs))
    known = {name for _, _, name in ports}
    pins = [f".{CLOCK}(clk)"] * (CLOCK in known) + [f".{RESET}(harness_reset[1])"] * (RESET in known)
    pins += _slices(inputs, "harness_in") + _slices(outputs, "result")
    verilog = f"""\
module top(input clk, input rst, input si, output so);
  reg [1:0] harness_reset;
  reg [{n_in - 1}:0] harness_in;
  wire [{n_out - 1}:0] result;
  reg [{n_out - 1}:0] harness_out, harness_fold;
  always @(posedge clk) begin
    harness_reset <= {{harness_reset[0], rst}};
    harness_in <= {{harness_in, si}} ^ {{harness_in, si, 1'b0}};
    harness_out <= result;
    harness_fold <= {{harness_fold, harness_fold[{n_out - 1}]}} ^ harness_out;
  end
  assign so = harness_fold[{n_out - 1}];
  {UNIT} {UNIT}({", ".join(pins)});
endmodule
"""
    return Harness(
        unit=unit,
        verilog=verilog,
        registers=2 * (RESET in known) + n_in * bool(inputs) + 2 * n_out,
        tables=n_in * bool(inputs) + n_out,
    )


def _slices(ports: list[tuple[int, str]], bus: str) -> list[str]:
    """Connect ports to neighbouring bits of a bus."""
    pins, start = [], 0
    for bits, name in ports:
        pins.append(f".\\{name} ({bus}[{start}+:{bits}])")
        start += bits
    return pins
