"""Files for LibreLane: keys, clock, memories by unit; yosys makes every larger memory an instance of the black box."""

import json
import re

import pytest
from rtlm.gen.configuration.load import load_config
from rtlm.gen.package.librelane import librelane_files, librelane_note, memories
from rtlm.gen.rtl.verilog import build_rtl
from rtlm.gen.synthesis import yosys

CONTENTS = re.compile(r"reg \[\d+:0\] (\S+) +\[\d+:0\];\n +initial begin\n(.*?)\n +end\n", re.DOTALL)
"""A memory with what it holds at the start."""

VERILOG = """\
module top(clk, o);
endmodule

module \\top.unit (clk, we, ra, wa, d, q);
  input clk, we;
  input [6:0] ra, wa;
  input [69:0] d;
  output [69:0] q;
  reg [69:0] \\deep$1  [99:0];
  reg [7:0] small [15:0];
  reg [64:0] table_1 [127:0];
  reg [69:0] word = 70'h5;
  integer i;
  initial for (i = 0; i < 100; i = i + 1) \\deep$1 [i] = 70'h0;
  initial for (i = 0; i < 16; i = i + 1) small[i] = 8'h0;
  always @(posedge clk) if (we) \\deep$1 [{ wa[6:1], wa[0] }] <= d;
  always @(posedge clk) if (we) small[wa[3:0]] <= d[7:0];
  always @(posedge clk) if (!we) word <= \\deep$1 [ra];
  assign q = word ^ small[ra[3:0]];
endmodule
"""


def test_configuration_and_constraints():
    config = load_config("asic", ["clock_mhz=50"])
    files = librelane_files(config, "top", "asic.v", VERILOG)
    settings = json.loads(files["librelane/config.json"])
    assert settings["DESIGN_NAME"] == "top" and settings["CLOCK_PERIOD"] == 20
    named = [*settings["VERILOG_FILES"], *settings["EXTRA_VERILOG_MODELS"], settings["PNR_SDC_FILE"]]
    written = [name.removeprefix("dir::") for name in named]
    assert all(f"librelane/{name}" in files or name in files["librelane/memories.ys"] for name in written)
    constraints = files["librelane/accelerator.sdc"]
    assert "-period 20.000" in constraints and "set_clock_uncertainty" in constraints
    # The clock is no input that data comes by.
    lines = [line for line in constraints.splitlines() if line.startswith(("set_input_", "set_data", "if"))]
    assert [line.split()[-1] for line in lines if line.startswith("set_input_")] == ["$data_inputs"] * 2
    assert "[lsearch $data_inputs [get_ports clk]]" in constraints and "lreplace $data_inputs $clock_index" in lines[0]
    assert "read_verilog ../asic.v" in files["librelane/memories.ys"]
    assert "LibreLane was not" in librelane_note(config)


def test_fpgas_have_none():
    config = load_config("tiny")
    assert librelane_files(config, "top", "tiny.v", VERILOG) == {} and librelane_note(config) == ""


def test_memories_that_are_written_and_large_are_listed():
    assert memories(VERILOG) == [{"memory": "unit.deep$1", "unit": "unit", "width": 70, "words": 100}]


@pytest.mark.slow
def test_a_scan_chain_holds_the_registers():
    """Rising edges of the clock or its gates, no asynchronous reset, a latch in the gate, contents in tables alone."""
    settings = ["board=asic", "technology=asic", "clock_gating=cells"]
    text = build_rtl(load_config("ulx3s-selftest", settings)).verilog.read_text()
    modules = re.findall(r"^module .*?^endmodule", text, re.MULTILINE | re.DOTALL)
    gated = set(re.findall(r"\brtlm_clock_gate \S+ \(.*?\.gated\((\w+)\)", text, re.DOTALL))
    (gate,) = (module for module in modules if module.startswith("module rtlm_clock_gate("))
    assert gated and gate.count("always") == 1
    for module in modules:
        for event in re.findall(r"\balways\w* *@ *(\*|\(.*?\))", module):
            assert event in ("*", "(*)") or event[1:-1].removeprefix("posedge ") in {"clk", *gated}, event
            assert event not in ("*", "(*)") or module is gate
        for name, contents in CONTENTS.findall(module):
            written = re.search(rf"(?<![\w$]){re.escape(name)} ?\[.*\] <= ", module)
            assert not written or not any(int(value, 16) for value in re.findall(r"'h(\w+);", contents)), name
    assert sum(len(CONTENTS.findall(module)) for module in modules) == text.count("initial begin") > 10


@pytest.mark.synthesis
def test_yosys_makes_the_listed_memories_black_boxes(tmp_path):
    verilog = VERILOG.replace(
        "endmodule\n\nmodule \\top.unit", "\\top.unit unit(clk);\nendmodule\n\nmodule \\top.unit", 1
    )
    verilog = verilog.replace("module top(clk, o);\n", "module top(clk, o);\n  input clk;\n  output o;\n  ")
    for name, text in librelane_files(load_config("asic"), "top", "asic.v", verilog).items():
        (tmp_path / name.removeprefix("librelane/")).write_text(text)
    (tmp_path / "asic.v").write_text(verilog)
    lines = (tmp_path / "memories.ys").read_text().replace("../", "").splitlines()
    yosys.run([line for line in lines if not line.startswith("#")], tmp_path)
    written = (tmp_path / "accelerator_srams.v").read_text()
    assert len(re.findall(r"^ *rtlm_sram #", written, re.MULTILINE)) == 1
    assert ".WIDTH(32'd70)" in written and ".WORDS(32'd100)" in written
    assert not re.search(r"reg \[.*\] .* \[.*\];", written)
    # Nor has anything an initial value.
    assert "initial" not in written and re.search(r"reg [^=;]*;", written) and not re.search(r"reg [^;]*=", written)
