"""Synthesis: what is counted, where it is attributed, and what place and route says, on a design of known size."""

import json
import os
from shutil import which

import pytest
from amaranth.back import rtlil
from amaranth.hdl import Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from rtlm.gen.common.errors import ConfigError, GenerateError, ToolError
from rtlm.gen.rtl.verilog import to_rtlil
from rtlm.gen.synthesis import asic as synth_asic
from rtlm.gen.synthesis import yosys
from rtlm.gen.synthesis.harness import harness
from rtlm.gen.synthesis.netlist import cut, down_to
from rtlm.gen.synthesis.place import Placement, signal_name
from rtlm.gen.synthesis.report import markdown
from rtlm.gen.synthesis.synthesise import configuration_for, synthesise
from rtlm.gen.synthesis.targets import TARGETS
from rtlm.gen.synthesis.timing.cells import STA, read_paths
from rtlm.gen.synthesis.timing.technology import TIMED

WORDS, WORD_BITS = 1024, 18
"""Exactly one block memory of 18 Kbit."""
PRODUCT_BITS, SUM_BITS = 24, 32


class Products(wiring.Component):
    """Multiplies and registers the product."""

    a: In(signed(12))
    b: In(signed(12))
    o: Out(signed(PRODUCT_BITS))

    def elaborate(self, platform):
        m = Module()
        product = Signal(signed(PRODUCT_BITS), name="product", reset_less=True)
        m.d.sync += product.eq(self.a * self.b)
        m.d.comb += self.o.eq(product)
        return m


class Design(wiring.Component):
    """A multiplier in a part of its own, an accumulator, and a memory that keeps the sums."""

    a: In(signed(12))
    b: In(signed(12))
    address: In(10)
    o: Out(WORD_BITS)

    def elaborate(self, platform):
        m = Module()
        m.submodules.products = products = Products()
        total = Signal(SUM_BITS, name="total")
        m.submodules.store = store = Memory(shape=WORD_BITS, depth=WORDS, init=[])
        write, read = store.write_port(), store.read_port()
        m.d.comb += [products.a.eq(self.a), products.b.eq(self.b), self.o.eq(read.data ^ total[-WORD_BITS:])]
        m.d.comb += [write.addr.eq(self.address), write.data.eq(total), write.en.eq(self.a[0])]
        m.d.comb += [read.addr.eq(self.b[:10]), read.en.eq(1)]
        m.d.sync += total.eq(total + products.o)
        return m


@pytest.fixture(scope="module")
def netlist() -> str:
    return to_rtlil(Design(), "top")


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.mark.synthesis
def test_fpga_counts_are_those_of_the_design_and_attributed_to_its_parts(netlist):
    result = synthesise(netlist, target="ecp5")
    top, parts = result.modules[0], {module.path: module for module in result.modules}
    assert list(parts) == ["", "products"]
    # On ECP5 a block memory cannot read the word that is being written: yosys adds registers that pass it on.
    assert SUM_BITS <= top.own["ff"] <= SUM_BITS + 3 * WORD_BITS
    assert parts["products"].own["ff"] == PRODUCT_BITS
    assert parts["products"].own["dsp"] == 1
    assert top.own["bram"] == 1
    assert top.total == {name: sum(m.own[name] for m in result.modules) for name in top.total}
    # The sum is as many bits of carry chain, two to a cell.
    assert top.own["carry"] >= SUM_BITS / 2
    text = markdown(result)
    assert "| **all** |" in text and "products" in text


@pytest.mark.synthesis
@pytest.mark.parametrize(("a_bits", "b_bits", "multipliers"), [(18, 18, 1), (24, 24, 3), (21, 20, 1), (12, 3, 0)])
def test_narrow_pieces_of_products_take_no_multiplier_on_ecp5(a_bits, b_bits, multipliers):
    m, o = Module(), Signal(a_bits + b_bits)
    a, b = Signal(a_bits), Signal(b_bits)
    m.d.sync += o.eq(a * b)
    total = synthesise(rtlil.convert(m, name="top", ports=[a, b, o], emit_src=False), target="ecp5").total
    assert total["dsp"] == multipliers


@pytest.mark.synthesis
@pytest.mark.parametrize("target", ["xilinx-us+", "ecp5"])
def test_products_are_made_of_what_they_are_bound_to(target):
    """The attribute is on a product's wire; without it 3 x 4 bits are tables, and 9 x 9 a multiplier."""
    m, wires = Module(), []
    ports = [Signal(bits, name=f"x{bits}") for bits in (3, 4, 8, 9)]
    for a, b, style in ((0, 1, "yes"), (3, 3, "no"), (2, 2, None)):
        product = Signal(len(ports[a]) + len(ports[b]), attrs={"use_dsp": style} if style else {}, name=f"p{a}{b}")
        out = Signal(len(product), name=f"o{a}{b}")
        m.d.comb += product.eq(ports[a] * ports[b])
        m.d.sync += out.eq(product)
        wires += [product, out]
    netlist = rtlil.convert(m, name="top", ports=[*ports, *wires[1::2]], emit_src=False)
    assert synthesise(netlist, target=target).total["dsp"] == 2
    assert synthesise(netlist.replace("use_dsp", "other"), target=target).total["dsp"] == 2
    assert synthesise(netlist.replace('use_dsp "no"', 'use_dsp "yes"'), target=target).total["dsp"] == 3
    assert synthesise(netlist.replace('use_dsp "yes"', 'use_dsp "no"'), target=target).total["dsp"] == 1


@pytest.mark.synthesis
def test_depth_flattens_parts_into_their_parent(netlist):
    flat = synthesise(netlist, target="ecp5", depth=0)
    assert [module.path for module in flat.modules] == [""]
    assert flat.total["ff"] == synthesise(netlist, target="ecp5").total["ff"]


@pytest.mark.synthesis
def test_xilinx_memory_goes_into_half_a_block(netlist):
    total = synthesise(netlist, target="xilinx-us+", depth=0).total
    assert (total["bram"], total["dsp"], total["ff"]) == (0.5, 1, SUM_BITS + PRODUCT_BITS)


@pytest.mark.synthesis
def test_asic_counts_registers_and_leaves_the_memory_as_bits(netlist):
    total = synthesise(netlist, target="asic", depth=0).total
    assert total["memory_bits"] == WORDS * WORD_BITS
    assert total["ff"] == SUM_BITS + PRODUCT_BITS
    # Registers of 4 to 8 gates, a 12 x 12 multiplier of 500 to 2500, two adders.
    assert 800 < total["ge"] < 5000


@pytest.mark.synthesis
def test_place_and_route_reaches_a_clock_and_names_our_registers(netlist):
    result = synthesise(netlist, target="ecp5", depth=0, placement=Placement(clock_mhz=20))
    timing = result.timing
    assert timing.met and 20 < timing.fmax_mhz < 1000
    assert timing.used["TRELLIS_FF"] == result.total["ff"] + harness(netlist, "top").registers
    known = ("total", "product", "store", "o")
    assert any(name in timing.source for name in known) and any(name in timing.target for name in known)
    assert sum(step.delay_ns for step in timing.steps) == pytest.approx(1000 / timing.fmax_mhz, rel=0.02)
    missed = synthesise(netlist, target="ecp5", depth=0, placement=Placement(clock_mhz=900))
    assert not missed.timing.met and "missed" in markdown(missed)


@pytest.mark.synthesis
def test_a_unit_is_cut_out_and_results_are_cached_by_content(netlist):
    first = synthesise(netlist, target="ecp5", unit="products", depth=0)
    again = synthesise(netlist, target="ecp5", unit="products", depth=0)
    assert (first.cached, again.cached) == (False, True)
    assert again.to_json() == first.to_json()
    assert first.total["ff"] == PRODUCT_BITS
    json.dumps(first.to_json())


def test_unknown_names_are_refused_with_what_there_is(netlist):
    with pytest.raises(GenerateError, match=r"no unit 'product': below the top there are products\."):
        synthesise(netlist, target="ecp5", unit="product")
    with pytest.raises(GenerateError, match="target must be one of xilinx-us"):
        synthesise(netlist, target="spartan")
    with pytest.raises(GenerateError, match="no open place and route"):
        synthesise(netlist, target="xilinx-us+", placement=Placement(clock_mhz=100))
    with pytest.raises(GenerateError, match="speed grade of ecp5 must be one of 6, 7, 8, got 9"):
        synthesise(netlist, target="ecp5", placement=Placement(clock_mhz=100, speed="9"))
    with pytest.raises(GenerateError, match="router for ecp5 must be one of router2, router1, got none"):
        synthesise(netlist, target="ecp5", placement=Placement(clock_mhz=100, router="none"))


def test_a_missing_package_and_a_refused_design_are_one_sentence(monkeypatch, tmp_path):
    with pytest.raises(yosys.YosysError, match=r"exit code 1: No such command"):
        yosys.run(["no_such_command"], tmp_path)
    monkeypatch.setattr(yosys.util, "find_spec", lambda name: None)
    with pytest.raises(ToolError, match=r"pyosys is missing.*pip install"):
        yosys.run([], tmp_path)


@pytest.mark.synthesis
def test_netlists_are_cut_by_hierarchy(netlist):
    text, top = cut(netlist, "products")
    assert top == "top.products" and text.count("\nmodule \\") + text.startswith("module \\") == 1
    assert down_to(netlist, "top", 0) == ["top"]
    assert down_to(netlist, "top", 1) == ["top", "top.products"]


@pytest.mark.parametrize(
    ("target", "cells", "resource", "amount"),
    [
        ("xilinx-us+", {"RAM32M16": 2, "LUT6": 3, "FDRE": 9}, "lut", 19),
        ("xilinx-us+", {"RAMB18E2": 3, "RAMB36E2": 1}, "bram", 2.5),
        ("ecp5", {"CCU2C": 2, "LUT4": 1, "TRELLIS_DPR16X4": 1}, "lut", 11),
        ("ice40", {"SB_DFFESR": 2, "SB_DFF": 1}, "ff", 3),
        ("gowin", {"DFFRE": 2, "ALU": 4}, "ff", 2),
    ],
)
def test_cells_count_as_resources(target, cells, resource, amount):
    assert TARGETS[target].resources(cells)[resource] == amount


@pytest.mark.parametrize(
    ("name", "signal"),
    [
        ("matmul.array.p_0_0_3_TRELLIS_FF_Q_12", "matmul/array: p_0_0_3"),
        ("matmul.array.p_0_0_3[5]", "matmul/array: p_0_0_3[5]"),
        ("total_CCU2C_S0_COUT_3", "total"),
        ("unit.vector.routes.rope.t_4_LUT4_Z_1_PFUMX_Z", "vector/routes/rope: t_4"),
        ("unit.total_TRELLIS_FF_Q", "total"),
    ],
)
def test_names_of_cells_become_module_and_signal(name, signal):
    assert signal_name(name) == signal


def test_statistics_and_liberty_are_read():
    text = json.dumps({"modules": {"\\top.a": {"num_cells_by_type": {"LUT4": 2}}, "\\top": {}}})
    assert yosys.cells_by_module(text) == {"top.a": {"LUT4": 2}, "top": {}}


@pytest.mark.parametrize(
    ("preset", "overrides", "target", "technology", "says"),
    [
        ("kv260", [], "xilinx-us+", "xilinx-us+", "xilinx-us+, the target's."),
        ("ecp5-85k", [], "xilinx-us+", "xilinx-us+", "the target's; --set technology=ecp5 keeps the configuration's"),
        ("tiny", ["clock_mhz=50"], "ecp5", "ecp5", "the target's; --set technology=generic keeps"),
        ("kv260", ["technology=generic"], "ecp5", "generic", "delays of generic, as --set says."),
        ("tiny", [], "ice40", "generic", "delays of generic, the configuration's; ice40 has none."),
        ("tiny", [], "asic", "asic", "delays of asic, the target's"),
        # Too fast for its own technology, and not for the target's.
        ("tiny", ["clock_mhz=350"], "xilinx-us+", "xilinx-us+", "the target's"),
    ],
)
def test_a_target_brings_its_technology(preset, overrides, target, technology, says):
    config, sentence = configuration_for(preset, overrides, target)
    assert config.technology == technology
    assert says in sentence


def test_a_target_that_cannot_reach_the_clock_says_so():
    with pytest.raises(ConfigError, match=r"kv260 for ecp5: .* is 74\. --set technology=xilinx-us\+ keeps the"):
        configuration_for("kv260", [], "ecp5")


def test_a_download_that_does_not_end_is_a_sentence(tmp_path, monkeypatch):
    for name in ("apt-get", "dpkg"):
        (tmp_path / name).write_text("#!/bin/sh\nexec sleep 60\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(synth_asic, "FETCH_SECONDS", 0.2)
    with pytest.raises(
        ToolError, match=r"apt-get did not fetch qflow-tech-osu018, .* within 0\.2 s; check the network"
    ):
        synth_asic.liberty()


@pytest.mark.synthesis
@pytest.mark.skipif(not which(STA), reason="OpenSTA is not installed (Debian: opensta)")
def test_standard_cells_are_timed_between_registers_and_memories(netlist):
    result = synthesise(netlist, target="asic", timing_mhz=50.0)
    static = result.static
    assert static.cells > result.total["ff"] and 50 < static.low_mhz < static.fmax_mhz < 500
    slowest = static.paths[0]
    assert slowest.levels > 5 and sum(step.delay_ns for step in slowest.steps) == pytest.approx(
        slowest.period_ns, abs=0.01
    )
    assert not synthesise(netlist, target="asic", timing_mhz=5_000.0).static.met


def test_the_cells_cannot_be_timed_without_opensta(netlist, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolError, match=r"OpenSTA \(the command sta\) is missing; on Debian: apt-get install opensta"):
        synthesise(netlist, target="asic", timing_mhz=50.0)


def test_paths_are_read_as_opensta_prints_them():
    output = """Warning: something
path -4.0e-01
1.7e-01 \\x.y[3]$_DFF_P_/Q
1.7e-01 _12_/A
3.9e-01 _12_/Y
3.9e-01 mem.RD_ADDR[0]
path 1.0
2.0 mem.RD_DATA[1]
2.5 z$_DFF_P_/D
"""
    first, second = read_paths(output)
    assert first["slack_ns"] == -0.4 and first["points"][0] == [0.17, "x.y[3]$_DFF_P_/Q"]
    assert [pin for _, pin in first["points"]] == ["x.y[3]$_DFF_P_/Q", "_12_/A", "_12_/Y", "mem.RD_ADDR[0]"]
    assert second == {"slack_ns": 1.0, "points": [[2.0, "mem.RD_DATA[1]"], [2.5, "z$_DFF_P_/D"]]}


@pytest.mark.synthesis
@pytest.mark.parametrize("target", TIMED)
def test_static_timing_goes_through_the_multiplier_and_misses_a_clock_that_is_too_fast(netlist, target):
    static = synthesise(netlist, target=target, timing_mhz=10_000.0).static
    multiplier = 2.0 if target == "xilinx-us+" else 3.9
    assert max(step.delay_ns for path in static.paths for step in path.steps if step.kind == "logic") > multiplier
    assert not static.met and 20 < static.low_mhz < static.fmax_mhz < 500
