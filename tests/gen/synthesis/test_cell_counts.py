"""Cells of units: memories and gated registers from the netlist, kept for the configuration that they are of."""

import pytest
from amaranth.back import rtlil
from amaranth.hdl import ClockDomain, ClockSignal, Instance, Module, Signal
from amaranth.lib.memory import Memory
from rtlm.gen.common.cache import cache_folder
from rtlm.gen.configuration.load import load_config
from rtlm.gen.synthesis.cell_counts import UnitCells, gated_shares, keep_cells, kept_cells, unit_cells
from rtlm.gen.synthesis.synthesise import ModuleUse, SynthResult


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


@pytest.fixture(scope="module")
def netlist():
    """Six bits with the clock and two with a gated one in ``unit``, four with the clock in the top, and an SRAM."""
    m, unit, ports = Module(), Module(), [Signal(8, name="address"), Signal(96, name="data"), Signal(name="go")]
    m.domains += (gated := ClockDomain("slow", reset_less=True))
    m.submodules.gate = Instance("rtlm_clock_gate", i_clk=ClockSignal(), i_enable=ports[2], o_gated=gated.clk)
    unit.submodules.memory = memory = Memory(shape=96, depth=128, init=[])
    write, read = memory.write_port(), memory.read_port()
    unit.d.comb += [write.addr.eq(ports[0]), write.data.eq(ports[1]), write.en.eq(ports[2]), read.addr.eq(ports[0])]
    fast, slow, top = Signal(6), Signal(2), Signal(4)
    unit.d.sync += fast.eq(fast ^ read.data)
    unit.d.slow += slow.eq(slow + fast)
    m.d.sync += top.eq(top + slow)
    m.submodules.unit = unit
    out = Signal(4)
    m.d.comb += out.eq(top)
    return rtlil.convert(m, name="accelerator", ports=[*ports, out], emit_src=False)


def result(target="asic", area=1.0):
    own = {"ge": 1.0, "ff": 1.0, "area_um2": area, "memory_bits": 0.0}
    modules = (
        ModuleUse(path="", own=own, total=own, cells={"INVX1": 2, "$mem_v2": 1}),
        ModuleUse(path="unit", own=own, total=own, cells={"DFFPOSX1": 8}),
        ModuleUse(path="unit.part", own=own, total=own, cells={"DFFPOSX1": 1, "NAND2X1": 4}),
    )
    return SynthResult(target=target, top="accelerator", modules=modules, tools={}, seconds=1.0, notes=())


def test_units_have_their_cells_memories_and_gated_registers(netlist):
    found = unit_cells(result(), netlist)
    assert found["unit"].cells == {"DFFPOSX1": 9, "NAND2X1": 4}
    assert found["unit"].memories == {"96x128": 1}
    assert found["unit"].gated == pytest.approx(2 / 8)
    assert found["top"] == UnitCells(cells={"INVX1": 2})
    assert gated_shares(netlist, ["unit", "none"]) == {"unit": pytest.approx(2 / 8), "none": 0.0}


def test_cells_of_a_synthesis_are_found_again(netlist):
    config = load_config("tiny")
    assert kept_cells(config) is None
    for passed in (result(target="ecp5"), result(area=0.0)):
        keep_cells(config, passed, netlist)
        assert kept_cells(config) is None
    keep_cells(config, result(), netlist)
    assert kept_cells(config) == unit_cells(result(), netlist)
    assert kept_cells(load_config("tiny", ["matmul.columns=2"])) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[1]",
        '{"a": {"cells": {"A": NaN}, "memories": {}, "gated": 0}}',
        '{"a": {"cells": {}, "memories": {"big": 1}, "gated": 0}}',
        '{"a": {"cells": {}, "memories": {}, "gated": 2}}',
    ],
)
def test_damaged_files_are_passed_over(netlist, text):
    config = load_config("tiny")
    keep_cells(config, result(), netlist)
    (path,) = cache_folder("cells").iterdir()
    path.write_text(text)
    assert kept_cells(config) is None


def test_scaling_tells_logic_registers_and_memories_apart():
    unit = UnitCells(cells={"NAND2X1": 10, "DFFPOSX1": 10}, memories={"96x128": 1}, gated=0.5)
    assert unit.scaled(2, 3, 4) == UnitCells(cells={"NAND2X1": 20, "DFFPOSX1": 30}, memories={"96x128": 4}, gated=0.5)
