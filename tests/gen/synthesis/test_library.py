"""A library of one's own: what is read of it, what follows for timing, and a design that is mapped to it."""

from shutil import which

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from rtlm.gen.common.errors import GenerateError, ToolError
from rtlm.gen.rtl.verilog import to_rtlil
from rtlm.gen.synthesis import asic
from rtlm.gen.synthesis.library import read_library, smallest_inverter
from rtlm.gen.synthesis.synthesise import synthesise
from rtlm.gen.synthesis.timing.cells import STA, conditions_for, load_conditions

TABLE = '{ index_1 ("0.0, 1.0"); index_2 ("0.0, 10.0"); values ("DELAY, LOADED", "DELAY, LOADED"); }'
"""A delay of 0.02 ns and 0.002 ns for each fF."""


def arc(pin, sense):
    table = TABLE.replace("DELAY", "0.02").replace("LOADED", "0.04")
    kinds = ("cell_rise", "cell_fall", "rise_transition", "fall_transition")
    tables = " ".join(f"{kind}(slew_load) {table}" for kind in kinds)
    return f'timing() {{ related_pin : "{pin}"; {sense}; {tables} }}'


def gate(name, area, inputs, function):
    pins = " ".join(f"pin({pin}) {{ direction : input; capacitance : 1.5; }}" for pin in inputs)
    arcs = " ".join(arc(pin, "timing_sense : negative_unate") for pin in inputs)
    return (
        f'cell ({name}) {{ area : {area}; {pins} pin(ZN) {{ direction : output; function : "{function}"; {arcs} }} }}'
    )


THRESHOLDS = " ".join(
    f"{name}_{edge} : {percent};"
    for edge in ("rise", "fall")
    for name, percent in (
        ("slew_lower_threshold_pct", 30),
        ("slew_upper_threshold_pct", 70),
        ("input_threshold_pct", 50),
        ("output_threshold_pct", 50),
    )
)
SETUP = """timing() { related_pin : "CK"; timing_type : setup_rising;
  rise_constraint(scalar) { values ("0.03"); } fall_constraint(scalar) { values ("0.03"); } }"""
REGISTER = f"""cell (FLOP_X1) {{ area : 4.5; ff (IQ, IQN) {{ next_state : "D"; clocked_on : "CK"; }}
  pin(D) {{ direction : input; capacitance : 1.1; {SETUP} }}
  pin(CK) {{ direction : input; capacitance : 0.9; clock : true; }}
  pin(Q) {{ direction : output; function : "IQ"; {arc("CK", "timing_type : rising_edge")} }} }}"""
LIBRARY = f"""library (own45) {{
  delay_model : table_lookup; time_unit : "1ns"; voltage_unit : "1V"; leakage_power_unit : "1nW";
  current_unit : "1mA"; pulling_resistance_unit : "1kohm"; capacitive_load_unit (1,ff); nom_voltage : 1.1;
  {THRESHOLDS}
  lu_table_template(slew_load) {{ variable_1 : input_net_transition; variable_2 : total_output_net_capacitance;
    index_1 ("0.0, 1.0"); index_2 ("0.0, 10.0"); }}
  {gate("INV_X1", 0.5, ["A"], "!A")}
  {gate("INV_X4", 1.3, ["A"], "!A")}
  {gate("NAND2_X1", 0.8, ["A1", "A2"], "!(A1 & A2)")}
  {gate("BUF_X1", 0.8, ["A"], "A")}
  cell (LOGIC0_X1) {{ area : 0.5; pin(Z) {{ direction : output; function : "0"; }} }}
  cell (LOGIC1_X1) {{ area : 0.5; pin(Z) {{ direction : output; function : "1"; }} }}
  {gate("AND2_X1", 1.0, ["A1", "A2"], "(A1 & A2)")}
  {gate("OR2_X1", 1.0, ["A1", "A2"], "(A1 | A2)")}
  {gate("XOR2_X1", 1.6, ["A", "B"], "(A ^ B)")}
  {gate("XNOR2_X1", 1.6, ["A", "B"], "!(A ^ B)")}
  {gate("NOR2_X1", 0.8, ["A1", "A2"], "!(A1 | A2)")}
  {gate("NAND2_X2", 1.3, ["A1", "A2"], "!(A1 & A2)")}
  {REGISTER}
}}
"""


class Sum(wiring.Component):
    """Adds up."""

    a: In(9)
    o: Out(9)

    def elaborate(self, platform):
        m = Module()
        m.d.sync += self.o.eq(self.o + self.a)
        return m


@pytest.fixture
def library(tmp_path):
    path = tmp_path / "own.lib"
    path.write_text(LIBRARY)
    return path


def test_gates_and_registers_are_found_in_the_file(library):
    found = read_library(library)
    assert (found.name, found.volt, found.reference) == ("own45", 1.1, "NAND2_X1")
    assert found.areas["FLOP_X1"] == 4.5 and found.registers == {"FLOP_X1"}
    inverter = smallest_inverter(library)
    assert (inverter.name, inverter.input_pf) == ("INV_X1", 0.0015)
    assert inverter.delay_ns == pytest.approx(0.02 + 0.002 * 4 * 1.5)


def test_what_timing_takes_follows_from_the_inverter(library):
    found = conditions_for(library)
    assert found.driving_cell == "INV_X1" and found.wire_pf_per_sink == 0.0015
    assert found.memory == pytest.approx({"clock_to_output_ns": 20 * 0.032, "setup_ns": 5 * 0.032})
    assert found.device == "own45 (1.1 V)" and found.error == load_conditions().error
    assert conditions_for(None) == load_conditions()


def test_the_rule_gives_what_is_written_for_the_fetched_library():
    if not (fetched := asic.liberty()):
        pytest.skip("qflow-tech-osu018, the standard cells, cannot be fetched")
    written, by_rule = load_conditions(), conditions_for(fetched)
    assert by_rule.wire_pf_per_sink == pytest.approx(written.wire_pf_per_sink, rel=0.1)
    assert by_rule.output_load_pf == pytest.approx(written.output_load_pf, rel=0.1)
    assert by_rule.memory == pytest.approx(dict(written.memory), rel=0.02)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LIBRARY.replace("NAND2", "GATE"), "must have a cell whose name contains NAND2, to count gates by, got none"),
        ("cell (NAND2) { }", "must have one library"),
    ],
)
def test_a_file_that_is_no_library_of_cells_is_refused(tmp_path, text, message):
    path = tmp_path / "bad.lib"
    path.write_text(text)
    with pytest.raises(ToolError, match=message):
        read_library(path)


def test_a_library_without_inverters_is_refused(tmp_path):
    path = tmp_path / "bad.lib"
    path.write_text(LIBRARY.replace('"!A"', '"A"'))
    with pytest.raises(ToolError, match="must have a cell that inverts its one input, got none"):
        smallest_inverter(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ToolError, match=r"The liberty file .*none\.lib cannot be read"):
        read_library(tmp_path / "none.lib")


def test_a_library_is_for_standard_cells_alone(library):
    with pytest.raises(GenerateError, match="A liberty file is for the target asic, got the target ecp5"):
        synthesise(to_rtlil(Sum(), "top"), target="ecp5", liberty=library)


@pytest.mark.synthesis
def test_a_design_is_mapped_to_a_library_of_ones_own(library, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    netlist = to_rtlil(Sum(), "top")
    result = synthesise(netlist, target="asic", liberty=library)
    cells = result.modules[0].cells
    assert result.total["ff"] == cells["FLOP_X1"] == 9 and set(cells) <= set(read_library(library).areas)
    assert result.total["area_um2"] == pytest.approx(sum(read_library(library).areas[c] * n for c, n in cells.items()))
    assert result.total["ge"] == pytest.approx(result.total["area_um2"] / 0.8)
    assert "Cells: own45 (1.1 V) of own.lib; a gate equivalent is one NAND2_X1." in result.notes
    assert result.tools["own45"] == f"SHA-256 {read_library(library).sha256[:16]}"
    if which(STA):
        static = synthesise(netlist, target="asic", liberty=library, timing_mhz=100.0).static
        assert static.device == "own45 (1.1 V)" and static.met
