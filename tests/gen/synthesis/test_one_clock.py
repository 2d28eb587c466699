"""FPGAs: the Verilog that is handed over, mapped by yosys, has one clock and no gate."""

import json

import pytest
from rtlm.gen.configuration.load import load_config
from rtlm.gen.rtl.verilog import TOP, build_rtl, emit
from rtlm.gen.synthesis import yosys
from rtlm.gen.synthesis.targets import XILINX
from rtlm.hw.common.clock_gate import MODULES, SIMULATION_MACRO, ClockGating
from rtlm.hw.unit_params import unit_params
from rtlm.hw.vector.logits import ArgMax

CLOCK_PINS = {
    **dict.fromkeys(("FDRE", "FDSE", "FDCE", "FDPE", "FDRE_1", "FDSE_1", "FDCE_1", "FDPE_1"), ("C",)),
    **dict.fromkeys(("SRL16E", "SRLC16E", "SRLC32E", "DSP48E2", "URAM288"), ("CLK",)),
    **dict.fromkeys(("RAMB18E2", "RAMB36E2"), ("CLKARDCLK", "CLKBWRCLK")),
}
"""Clock pins of what has one, but for distributed memories."""


def mapping(top):
    """Commands of the flow that map what has a clock, without those that make the logic between smaller."""
    run = f"{XILINX.format(top=top)} -run"
    return [
        *(f"{run} begin:prepare", "proc", "flatten", "opt_clean", "opt_dff"),
        *(f"{run} map_dsp:coarse", "memory -nomap", "opt_clean"),
        *(f"{run} map_memory:fine", "techmap", "opt_clean"),
        f"{run} map_cells:map_luts",
    ]


def clocks(verilog, top, folder, *defines):
    """Types of cells, bits on their clock pins, and that of the port ``clk``."""
    (folder / "design.v").write_text(verilog)
    macros = " ".join(f"-D {name}" for name in defines)
    write = [f"select {top}", "write_json -selected mapped.json"]
    yosys.run([f"read_verilog {macros} design.v", *yosys.PREPARATION, *mapping(top), *write], folder)
    module = json.loads((folder / "mapped.json").read_text())["modules"][top]
    cells = module["cells"].values()
    bits = set()
    for cell in cells:
        pins = CLOCK_PINS.get(cell["type"], ("WCLK",) if cell["type"].startswith("RAM") else ())
        bits |= {bit for pin in pins for bit in cell["connections"].get(pin, ()) if isinstance(bit, int)}
    (port,) = module["ports"]["clk"]["bits"]
    return {cell["type"] for cell in cells}, bits, port


@pytest.mark.synthesis
def test_an_fpga_has_one_clock(tmp_path):
    changes = ["technology=xilinx-us+", "clock_gating=simulator", "attention.bytes_per_cycle=16"]  # sums in blocks
    config = load_config("ulx3s-selftest", changes)
    assert unit_params(config.to_params()).attention.sum_blocks
    verilog = build_rtl(config).verilog.read_text()
    assert verilog.count(MODULES[ClockGating.SIMULATOR]) > 10
    kinds, bits, port = clocks(verilog, TOP, tmp_path)
    assert {"FDRE", "DSP48E2"} < kinds
    assert not {kind for kind in kinds if kind.startswith("BUFG") or kind.endswith("_1") or kind.startswith("LD")}
    assert bits == {port}


@pytest.mark.synthesis
@pytest.mark.parametrize(
    ("gating", "defines", "clock_count"),
    [("off", [], 1), ("simulator", [], 1), ("simulator", [SIMULATION_MACRO], 2), ("cells", [], 2)],
)
def test_only_gates_make_a_second_clock(gating, defines, clock_count, tmp_path):
    params = unit_params(load_config("tiny", [f"clock_gating={gating}"]).to_params()).vector
    _, bits, port = clocks(emit(ArgMax(params), "argmax").verilog, "argmax", tmp_path, *defines)
    assert len(bits - {port}) + 1 == clock_count
