"""The multiplier with a sum: its block is the behavioural body, and one block is all that synthesis makes of it."""

import importlib.util
import pathlib
import re

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from rtlm.gen.rtl.verilog import to_rtlil
from rtlm.gen.synthesis.synthesise import synthesise
from rtlm.hw.common import mac
from rtlm.sim.unit_benches.bench import Bench, Prepared

HERE = pathlib.Path(__file__).parent
WIDTHS = {"attention": (9, 8, 17, 34), "widest": (25, 18, 25, 48)}
"""Bits of a, b, d and p; the pre-adder of a DSP48E1 has two bits less than that of a DSP48E2."""

SAME_REGISTERS = ("ACASCREG", "ADREG", "ALUMODEREG", "AREG", "BCASCREG", "BREG", "CARRYINREG", "CARRYINSELREG", "CREG")
SAME_REGISTERS += ("DREG", "INMODEREG", "MREG", "OPMODEREG", "PREG")
NARROWER = {"D": "D[24:0]", "OPMODE": "OPMODE[6:0]"}
"""Ports that are narrower on a DSP48E1; the two upper bits of OPMODE select zero for an operand that it lacks."""
WIDE = {"A": 30, "ACIN": 30, "ALUMODE": 4, "B": 18, "BCIN": 18, "C": 48, "CARRYINSEL": 3, "D": 27, "INMODE": 5}
WIDE |= {"OPMODE": 9, "PCIN": 48}
ENABLES = [
    f"CE{name}" for name in ("A1", "A2", "AD", "ALUMODE", "B1", "B2", "C", "CARRYIN", "CTRL", "D", "INMODE", "M")
]
RESETS = [f"RST{name}" for name in ("A", "ALLCARRYIN", "ALUMODE", "B", "C", "CTRL", "D", "INMODE", "M", "P")]
INPUTS = WIDE | dict.fromkeys(("CLK", "CARRYIN", "CARRYCASCIN", "MULTSIGNIN", "CEP", *ENABLES, *RESETS), 1)
REFUSED = 'AMULTSEL != "AD" || PREADDINSEL != "A"'


def block_model():
    """Return a DSP48E2 made of yosys' model of a DSP48E1, as far as these are the same."""
    cells = pathlib.Path(importlib.util.find_spec("pyosys").origin).parent / "share" / "xilinx" / "cells_sim.v"
    older = re.search(r"^module DSP48E1 \(.*?^endmodule", cells.read_text(), re.MULTILINE | re.DOTALL)[0]
    parameters = [f"parameter integer {name} = 1" for name in SAME_REGISTERS]
    parameters += ['parameter AMULTSEL = "A"', 'parameter PREADDINSEL = "A"']
    ports = [f"input [{bits - 1}:0] {name}" for name, bits in INPUTS.items()]
    registers = ", ".join(f".{name}({name})" for name in SAME_REGISTERS)
    connected = ", ".join(f".{name}({NARROWER.get(name, name)})" for name in INPUTS)
    return f"""{older}
module DSP48E2 #({", ".join(parameters)}) ({", ".join(ports)}, output [47:0] P, PCOUT);
  initial if ({REFUSED}) $fatal(1, "not the same on a DSP48E1");
  always @(posedge CLK) if (OPMODE[8:7] != 0) $fatal(1, "not the same on a DSP48E1");
  DSP48E1 #(.USE_DPORT("TRUE"), {registers}) older ({connected}, .P(P), .PCOUT(PCOUT));
endmodule
"""


def both_bodies(widths):
    """Return a top module whose outputs `p` and `p_block`, `pcout` and `pcout_block` are those of the two bodies."""
    a, b, d, p = widths
    bits = f"#(.A_BITS({a}), .B_BITS({b}), .D_BITS({d}), .P_BITS({p}))"
    controls = ("clk", "ce_a", "ce_b", "ce_d", "ce_m", "ce_p", "use_d", "add", "chain", "with_product")
    ports = ", ".join(f".{name}({name})" for name in (*controls, "a", "b", "d", "pcin"))
    bodies = mac.VERILOG.replace(mac.MODULE, "behavioural")
    bodies += f"`define RTLM_DSP48E2\n{mac.VERILOG.replace(mac.MODULE, 'in_a_block')}"
    inputs = f"input {', '.join(controls)}, input [{a - 1}:0] a, input [{b - 1}:0] b, input [{d - 1}:0] d"
    outputs = f"output [{p - 1}:0] p, p_block, output [47:0] pcout, pcout_block"
    return f"""{bodies}
module bodies({inputs}, input [47:0] pcin, input rst, {outputs});
  behavioural {bits} one ({ports}, .p(p), .pcout(pcout));
  in_a_block {bits} other ({ports}, .p(p_block), .pcout(pcout_block));
endmodule
"""


def run(name, folder, monkeypatch, seed, change=lambda text: text):
    monkeypatch.syspath_prepend(str(HERE))
    verilog = both_bodies(WIDTHS[name]) + block_model()
    prepared = Prepared(verilog=verilog, top="bodies", environment={})
    bench = Bench(unit="mac", name=name, module="mac_cocotb", prepare=lambda: prepared)
    return bench.run(folder, seed=seed, mutate=change)


@pytest.mark.slow
@pytest.mark.synthesis
@pytest.mark.randomised
@pytest.mark.parametrize("name", WIDTHS)
def test_a_block_is_the_behavioural_body(name, tmp_path, monkeypatch, seed):
    outcome = run(name, tmp_path, monkeypatch, seed)
    assert outcome.passed, outcome.complaint


@pytest.mark.slow
@pytest.mark.synthesis
@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("use_d, use_d, 1'b0", "use_d, 2'b00"),
        ("3'b000, add, chain", "4'b0000, chain"),
        ("3'b000, add, chain", "3'b000, add, 1'b0"),
        ("1'b0, with_product, 1'b0, with_product", "4'b0101"),
        (".PCOUT(pcout)", ".PCOUT()"),
        ("{a[A_BITS-1]}", "{1'b0}"),
        ("{b[B_BITS-1]}", "{1'b0}"),
        (".OPMODEREG(1)", ".OPMODEREG(0)"),
        (".CECTRL(ce_m)", ".CECTRL(1'b1)"),
        (".DREG(1)", ".DREG(0)"),
    ],
)
def test_a_wrong_block_is_seen(right, wrong, tmp_path, monkeypatch, seed):
    def change(text):
        assert right in text
        return text.replace(right, wrong)

    outcome = run("attention", tmp_path, monkeypatch, seed, change)
    assert not outcome.passed
    assert "in the behavioural body" in outcome.complaint


class One(wiring.Component):
    """One multiplier."""

    a: In(9)
    b: In(8)
    d: In(17)
    enable: In(5)
    use_d: In(1)
    add: In(1)
    chain: In(1)
    with_product: In(1)
    pcin: In(48)
    p: Out(34)
    pcout: Out(48)

    def elaborate(self, platform):
        m = Module()
        loads = dict(zip(("load_a", "load_b", "load_d", "multiply", "take"), self.enable, strict=True))
        names = ("a", "b", "d", "use_d", "add", "chain", "with_product", "p", "pcin", "pcout")
        m.submodules.mac = mac.mac(**{name: getattr(self, name) for name in names}, **loads)
        return m


@pytest.mark.synthesis
def test_it_is_one_block_where_there_are_blocks_and_registers_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    netlist = to_rtlil(One(), "one")
    block = synthesise(netlist, target="xilinx-us+").total
    assert {resource: amount for resource, amount in block.items() if amount} == {"dsp": 1}
    gates = synthesise(netlist, target="ecp5").total
    assert gates["dsp"] == 1
    # Operands, use_d, add, chain and with_product, product, sum.
    assert gates["ff"] == 9 + 8 + 17 + 4 + 25 + 34
