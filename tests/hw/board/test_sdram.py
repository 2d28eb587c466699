"""SDRAM of a board: its controller's Verilog, its pins, and what is refused."""

import re

import pytest
from amaranth.hdl import IOPort
from rtlm.gen.boards import sdram
from rtlm.gen.common.errors import ToolError
from rtlm.gen.rtl.verilog import emit
from rtlm.hw.board.sdram import MODULE, SdramController, SdramParams
from rtlm.hw.board.sdram_clocks import SdramClocks
from rtlm.sim.unit_benches.sdram.bench import TOP, Harness

needs_litedram = pytest.mark.skipif(bool(sdram.missing_packages()), reason="LiteDRAM is not installed")


def ports_of(verilog, module):
    """Return the ports of a module by name, with direction and range."""
    head = re.search(rf"module {module}\((.*?)\);", verilog, re.DOTALL)[1]
    declared = re.findall(r"(input|output|inout)\s+(?:wire\s+)?(\[\d+:0\])?\s*(\w+)", head)
    return {name: (direction, bits) for direction, bits, name in declared}


@needs_litedram
def test_the_instance_has_the_ports_of_litedrams_module():
    emitted = emit(Harness(SdramParams()), TOP)
    instance = emitted.verilog.split(f"{MODULE} litedram (")[1].split(");")[0]
    ports = ports_of(sdram.sdram_verilog(SdramParams()), MODULE)
    assert set(re.findall(r"\.(\w+)\(", instance)) == set(ports)
    assert ports["sdram_dq"] == ("inout", "[15:0]") and ports["axi_araddr"] == ("input", "[24:0]")
    assert {"name": "sdram_d", "direction": "inout", "bits": 16} in emitted.ports


@needs_litedram
def test_the_verilog_is_the_same_each_time():
    from rtlm.gen.boards.litedram import controller_verilog

    first = controller_verilog(SdramParams())
    assert first == controller_verilog(SdramParams()) == sdram.sdram_verilog(SdramParams())
    # Registers in the I/O cells: commands and data out, data in; a buffer of three states for each data pin.
    assert first.count("OFS1P3BX OFS1P3BX") == 4 + 1 + 13 + 2 + 2 + 16
    assert first.count("IFS1P3BX IFS1P3BX") == first.count("BB BB") == 16
    # 8192 refreshes in 64 ms are one in 195.3 cycles of 25 MHz at most.
    assert re.search(r"reg \[7:0\] \w+_count = 8'd194;", first)


def test_without_litedram_a_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setattr(sdram, "PACKAGES", ("litedram_that_is_not_there",))
    with pytest.raises(ToolError, match=r"litedram_that_is_not_there cannot be imported; run: pip install .*boards"):
        sdram.sdram_verilog(SdramParams())


def test_what_a_memory_cannot_be_is_refused():
    with pytest.raises(ValueError, match="clock_hz of an SDRAM must be"):
        SdramParams(clock_hz=100e6)
    with pytest.raises(ValueError, match="the SDRAM has 16 data pins, got 8"):
        SdramController(SdramParams(), IOPort(8, name="data"))


def test_the_memorys_clock_comes_a_quarter_of_its_period_later():
    text = emit(SdramClocks(), "clocks").verilog
    value = {name: int(number) for name, number in re.findall(r"\.(CLK\w+)\(32'd(\d+)\)", text)}
    assert value["CLKOP_DIV"] == value["CLKOS_DIV"] == 12 and value["CLKOS2_DIV"] == 24
    steps = {name: 8 * value[f"{name}_CPHASE"] + value[f"{name}_FPHASE"] for name in ("CLKOP", "CLKOS", "CLKOS2")}
    assert steps["CLKOS"] - steps["CLKOP"] == 8 * 12 // 4
    assert (steps["CLKOS2"] - steps["CLKOP"]) % (8 * 12) == 0, "25 MHz and 50 MHz rise together"
