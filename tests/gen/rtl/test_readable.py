"""Readable Verilog: what gives way to what, names, layout; and that it is the same hardware."""

import re

import pytest
from rtlm.gen.rtl.names import with_names
from rtlm.gen.rtl.readable.text import readable
from rtlm.gen.rtl.units import UNITS, KernelParams, RegistersParams
from rtlm.gen.rtl.verilog import emit, flat_port
from rtlm.gen.synthesis import yosys
from rtlm.gen.synthesis.path_names import owner
from rtlm.sim.verilator.ports import read_ports

DECLARED = """\
/* yosys */

module top(a, b, c, s, rst, clk, o);
  input [7:0] a;
  wire [7:0] a;
  input [7:0] b;
  wire [7:0] b;
  input [7:0] c;
  wire [7:0] c;
  input s;
  wire s;
  input rst;
  wire rst;
  input clk;
  wire clk;
  output [15:0] o;
  wire [15:0] o;
"""


def body(declarations, statements, objects=None):
    """Return the statements that are left of a module, without its declarations."""
    lines = [f"  {line};" for line in declarations] + [f"  {line}" for line in statements]
    text, renamed = readable(DECLARED + "\n".join(lines) + "\nendmodule\n", objects or {}, {})
    left = [line.strip() for line in text.splitlines() if re.match(r"  +(assign|always|if|else|\w+ <=|\.)", line)]
    return left, renamed["top"], text


@pytest.mark.parametrize(
    ("wires", "statements", "left"),
    [
        # A comparison is one bit wherever it stands.
        ([r"wire \$1 "], [r"assign \$1  = a == b;", r"assign o[0] = s & \$1 ;"], ["assign o[0] = s & (a == b);"]),
        # The inverse of eight bits within eight is the same, within nine it is not.
        ([r"wire [7:0] \$1 "], [r"assign \$1  = ~ b;", r"assign o[7:0] = a & \$1 ;"], ["assign o[7:0] = a & ~b;"]),
        ([r"wire [7:0] \$1 "], [r"assign \$1  = ~ b;", r"assign o[8:0] = a & \$1 ;"], None),
        # A sum that keeps its carry is nine bits wide only where nine bits are assigned.
        ([r"wire [8:0] \$1 "], [r"assign \$1  = a + b;", r"assign o[8:0] = \$1 ;"], ["assign o[8:0] = a + b;"]),
        ([r"wire [8:0] \$1 "], [r"assign \$1  = a + b;", r"assign o = { c, \$1  };"], None),
        ([r"wire [8:0] \$1 "], [r"assign \$1  = a + b;", r"assign o[0] = \$1  == c;"], None),
        # Its lowest bits are those of the sum without a carry; its highest are not.
        ([r"wire [8:0] \$1 "], [r"assign \$1  = a + b;", r"assign o[7:0] = \$1 [7:0];"], ["assign o[7:0] = a + b;"]),
        ([r"wire [8:0] \$1 "], [r"assign \$1  = a + b;", r"assign o[0] = \$1 [8];"], None),
        ([r"wire [8:0] \$1 "], [r"assign \$1  = a >> b;", r"assign o[7:0] = \$1 [7:0];"], None),
        # What is signed keeps its wire, which is not.
        ([r"wire [7:0] \$1 "], [r"assign \$1  = $signed(a) + $signed(b);", r"assign o = { c, \$1  };"], None),
        ([r"wire [7:0] \$1 "], [r"assign \$1  = $signed(a);", r"assign o[0] = \$1  < $signed(b);"], None),
        # What is read twice, or in a text that is not understood, keeps its wire.
        ([r"wire \$1 "], [r"assign \$1  = a == b;", r"assign o[1:0] = { \$1 , \$1  };"], None),
        ([r"wire \$1 "], [r"assign \$1  = a == b;", r"assign o[0] = c[\$1 ];"], None),
        # Bits that any is set of are an or, choices stand one below the other.
        ([r"wire \$1 "], [r"assign \$1  = | { s, rst };", r"assign o[0] = ! \$1 ;"], ["assign o[0] = !(s | rst);"]),
        ([r"wire \$1 "], [r"assign \$1  = { s, rst } != 2'h0;", r"assign o[0] = \$1 ;"], ["assign o[0] = s | rst;"]),
    ],
)
def test_a_wire_gives_way_only_where_nothing_changes(wires, statements, left):
    found, _, _ = body(wires, statements)
    assert found == left if left else len(found) == 2


def test_names_come_from_what_is_driven():
    left, renamed, text = body(
        [
            r"reg [3:0] count",
            r"reg \count$7 ",
            r"wire \$1 ",
            r"wire \$auto$x.cc:1:y$2 ",
            r"wire [3:0] \$3 ",
            "wire other",
        ],
        [
            r"assign \$1  = a == b;",
            r"assign other = \$1 ;",
            r"assign \$auto$x.cc:1:y$2  = { s, \$1  } != 2'h0;",
            r"assign \$3  = a[3:0] << s;",
            "always @(posedge clk)",
            r"  if (\$auto$x.cc:1:y$2 ) count <= 4'h0;",
            r"  else if (s) count <= \$3 ;",
            "always @(posedge clk)",
            r"  \count$7  <= \$auto$x.cc:1:y$2 ;",
        ],
    )
    assert renamed == {"count$7": "count_2", "$1": "other_2", "$auto$x.cc:1:y$2": "count_reset"}
    assert "if (count_reset) count <= 4'h0;" in left and "else if (s) count <= a[3:0] << s;" in left
    assert "$" not in text


def test_clock_and_reset_are_first():
    text = body([], [])[2]
    assert text.splitlines()[0] == "module top(clk, rst, a, b, c, s, o);"
    assert [line for line in text.splitlines() if "input" in line][:2] == ["  input clk;", "  input rst;"]


def test_ports_of_a_bus_have_one_underscore():
    assert [flat_port(name) for name in ("m0_axi__araddr", "s_axi__wdata", "i__valid", "m_axi__x")] == [
        "m0_axi_araddr",
        "s_axi_wdata",
        "i__valid",
        "m_axi__x",
    ]


def emitted(name):
    unit = UNITS[name]
    params = RegistersParams(columns=1) if name == "registers" else KernelParams(lanes=1)
    return emit(unit.build(params, clock_mhz=100, technology="generic"), unit.module)


def differing(unit, folder, mutate=lambda text: text):
    """Return the number of signals that yosys cannot prove equal between the netlist and the readable text."""
    # yosys compares signals of the same name: those of the netlist that got another one get it here, too.
    netlist = unit.netlist
    top = re.search(r"^module (\w+)\(", netlist, re.MULTILINE)[1]
    _, renamed = readable(netlist, {}, {port["name"].replace("_axi_", "_axi__"): port["name"] for port in unit.ports})
    for old, new in renamed[top].items():
        place = rf"\\{re.escape(old)} |(?<![\w\\$]){re.escape(old)}(?![\w$])"
        netlist = re.sub(place, lambda _, new=new: f"\\{new} ", netlist)
    (folder / "netlist.v").write_text(netlist.replace("(* init", "(* was"))
    (folder / "readable.v").write_text(mutate(unit.verilog))
    script = []
    for name in ("netlist", "readable"):
        script += [f"read_verilog {name}.v", f"hierarchy -check -top {top}", "proc -norom", "flatten", "opt_clean"]
        script += ["memory_collect", f"rename {top} {name}", f"design -stash {name}"]
    script += [f"design -copy-from {name} {name}" for name in ("netlist", "readable")]
    script += [
        "equiv_make netlist readable both",
        "hierarchy -top both",
        "equiv_struct",
        "equiv_simple",
        "equiv_induct",
    ]
    yosys.run([*script, "tee -q -o said equiv_status"], folder)
    said = re.search(r"(\d+) are proven and (\d+) are unproven", (folder / "said").read_text())
    assert int(said[1]) > 50
    return int(said[2])


@pytest.mark.parametrize("name", ["registers", "residual"])
def test_readable_verilog_is_the_same_hardware(name, tmp_path):
    unit = emitted(name)
    assert "$" not in unit.verilog.replace("$signed", "")
    assert max(map(len, unit.verilog.splitlines())) < 200
    assert unit.verilog.startswith("// ") and re.search(rf"^module {name}\(clk, rst, ", unit.verilog, re.MULTILINE)
    assert differing(unit, tmp_path) == 0


def test_other_hardware_is_told_apart(tmp_path):
    unit = emitted("residual")
    changed = unit.verilog.replace(" & ", " | ", 1)
    assert changed != unit.verilog and differing(unit, tmp_path, lambda text: changed) > 0


def test_objects_and_paths_have_the_names_of_the_text():
    signals = {"busy$4": "hw/unit.py:7", "clk": "hw/unit.py:2"}
    objects = {"top": {"class": "rtlm.hw.Unit", "signals": signals, "states": {"busy$4": ["idle", "on"]}}}
    found = with_names(objects, {"top": {"busy$4": "busy_2", "$1": "busy_2_next"}})
    assert found["top"]["signals"] == {"busy_2": "hw/unit.py:7", "clk": "hw/unit.py:2"}
    assert found["top"]["states"] == {"busy_2": ["idle", "on"]} and found["top"]["netlist"] == {"busy$4": "busy_2"}
    assert owner("busy$4[1]", "top", found).part == "busy_2[1], hw/unit.py:7"


def test_ports_of_the_netlist_are_bound_as_those_of_the_text():
    header = "VL_IN8(&m0_axi{0}_arready,0,0);\n  VL_OUT(&s_axi{0}_rdata,31,0);"
    both = [read_ports(header.format(separator)).members for separator in ("", "__05F")]
    assert [set(members) for members in both] == [{"m0_axi_arready", "s_axi_rdata"}] * 2
    assert both[1]["s_axi_rdata"] == ("s_axi__05F_rdata", False, 32)
