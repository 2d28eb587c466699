"""Energies of cells: a hand-made library whose figures come out by hand, and what is wrong with one is named."""

import pytest
from rtlm.gen.common.errors import ToolError
from rtlm.gen.synthesis.cell_energy import cell_energies
from rtlm.gen.synthesis.liberty import Table, parse_liberty

LIBRARY = """
/* An inverter and a flip-flop: energies that do not depend on anything, but for the inverter's. */
library(tiny) {
  time_unit : "1ns";  voltage_unit : "1V";  leakage_power_unit : "1nW";
  capacitive_load_unit (1,pf);
  nom_voltage : 2.0;
  power_lut_template(loads) { variable_1 : total_output_net_capacitance; variable_2 : input_transition_time;
    index_1 ("1, 2"); index_2 ("1, 2"); }
  cell (INV) {
    area : 16;
    cell_leakage_power : 0.02;
    pin(A) { direction : input; capacitance : 0.03; }
    pin(Y) { direction : output;
      timing() { related_pin : "A";
        rise_transition(loads) { index_1 ("0.0, 1.0"); index_2 ("0.0, 1.0"); values ("0.1, 0.1", "1.1, 1.1"); }
        fall_transition(loads) { index_1 ("0.0, 1.0"); index_2 ("0.0, 1.0"); values ("0.2, 0.2", "1.2, 1.2"); } }
      internal_power() { related_pin : "A";
        rise_power(loads) { index_1 ("0.0, 1.0"); index_2 ("0.0, 1.0"); values ("0.1, 1.1", \\
          "0.1, 1.1"); }
        fall_power(loads) { index_1 ("0.0, 1.0"); index_2 ("0.0, 1.0"); values ("0.3, 0.3", "0.3, 0.3"); } } } }
  cell (DFF) {
    area : 96;
    cell_leakage_power : 0.16;
    pin(CLK) { direction : input; capacitance : 0.02; clock : true;
      internal_power() { rise_power(one) { index_1 ("0.0, 1.0"); values ("0.01, 0.01"); }
        fall_power(one) { index_1 ("0.0, 1.0"); values ("0.11, 0.11"); } } }
    pin(D) { direction : input; capacitance : 0.01;
      internal_power() { rise_power(one) { index_1 ("0.0, 1.0"); values ("0.04, 0.04"); }
        fall_power(one) { index_1 ("0.0, 1.0"); values ("0.08, 0.08"); } } }
    pin(Q) { direction : output;
      internal_power() { related_pin : "CLK"; rise_power(one) { index_1 ("0.0, 1.0"); values ("0.2, 0.2"); }
        fall_power(one) { index_1 ("0.0, 1.0"); values ("0.4, 0.4"); } } } }
}
"""
COUNTS = {"INV": 3, "DFF": 1}
WIRE_PF = 0.01


def test_energies_are_those_of_the_tables_at_a_typical_net():
    found = cell_energies(LIBRARY, COUNTS, WIRE_PF)
    # Four inputs with their wires on four outputs; the clock's pin is none of them.
    assert found.load_pf == pytest.approx((3 * (0.03 + 0.01) + 0.01 + 0.01) / 4)
    assert found.slew_ns == pytest.approx(0.15 + found.load_pf)
    assert found.volt == 2.0
    inverter, register = found.cells["INV"], found.cells["DFF"]
    assert inverter.toggle_pj == pytest.approx((0.1 + found.slew_ns + 0.3) / 2)
    assert (inverter.area_um2, inverter.leakage_nw, inverter.clocks, inverter.clock_pj) == (16, 0.02, 0, 0)
    assert register.toggle_pj == pytest.approx(0.3 + 0.06)
    assert register.clock_pj == pytest.approx(0.01 + 0.11)
    assert (register.inputs, register.outputs, register.clocks) == (1, 1, 1)
    assert (register.input_pf, register.clock_pf) == (0.01, 0.02)


def test_other_units_and_slews_first_give_the_same_energies():
    """In ps, fF and fJ, with slew and load exchanged, and axes of the template: what 45 nm libraries have."""
    text = LIBRARY.replace('"1ns"', '"1ps"').replace("(1,pf)", "(1,ff)").replace("(loads) { index_1", "(loads) { was")
    text = text.replace('index_2 ("0.0, 1.0"); values', "values").replace('was ("0.0, 1.0"); ', "")
    text = text.replace('index_1 ("1, 2"); index_2 ("1, 2")', 'index_1 ("0, 1000"); index_2 ("0, 1000")')
    text = text.replace(
        "total_output_net_capacitance; variable_2 : input_transition_time", "input_transition_time; variable_2 : x"
    )
    for old, new in (("0.1, 0.1", "100, 1100"), ("0.2, 0.2", "200, 1200")):  # transitions, by load alone
        rising = old.replace("0.", "1.")
        text = text.replace(f'"{old}", "{rising}"', f'"{new}", "{new}"')
    text = text.replace('"0.1, 1.1", \\\n          "0.1, 1.1"', '"100, 100", "1100, 1100"').replace(
        '"0.3, 0.3", "0.3, 0.3"', '"300, 300", "300, 300"'
    )
    for capacitance in ("0.03", "0.02", "0.01"):
        text = text.replace(f"capacitance : {capacitance};", f"capacitance : {1000 * float(capacitance):g};")
    for energy in ("0.01, 0.01", "0.11, 0.11", "0.04, 0.04", "0.08, 0.08", "0.2, 0.2", "0.4, 0.4"):
        value = f"{1000 * float(energy.split(',')[0]):g}"
        text = text.replace(f'values ("{energy}"); }}', f'values ("{value}, {value}"); }}')
    found, usual = cell_energies(text, COUNTS, WIRE_PF), cell_energies(LIBRARY, COUNTS, WIRE_PF)
    assert found.load_pf == pytest.approx(usual.load_pf) and found.slew_ns == pytest.approx(usual.slew_ns)
    for name, cell in usual.cells.items():
        assert vars(found.cells[name]) == pytest.approx(vars(cell)), name


def test_a_register_with_its_complement_toggles_once():
    both = LIBRARY.replace("cell (DFF) {", "cell (DFF) { ff (a, b) { }").replace(
        "pin(Q) {",
        'pin(QN) { direction : output; internal_power() { rise_power(one) { index_1 ("0.0, 1.0"); '
        'values ("0.2, 0.2"); } fall_power(one) { index_1 ("0.0, 1.0"); values ("0.4, 0.4"); } } } pin(Q) {',
    )
    register = cell_energies(both, COUNTS, WIRE_PF).cells["DFF"]
    assert register.outputs == 1 and register.toggle_pj == pytest.approx(0.3 + 0.06)


def test_cells_that_a_netlist_has_none_of_have_energies_too():
    assert cell_energies(LIBRARY, {"INV": 1}, WIRE_PF).cells["DFF"].clock_pj == pytest.approx(0.12)


def test_tables_are_linear_between_and_beyond_their_entries():
    table = Table(axes=((0.0, 1.0, 3.0), (0.0, 1.0)), values=(0.0, 1.0, 2.0, 3.0, 6.0, 7.0))
    assert table.at(0.5, 0.5) == pytest.approx(1.5)
    assert table.at(2.0, 0.0) == pytest.approx(4.0)
    assert table.at(4.0, 2.0) == pytest.approx(10.0)
    assert Table(axes=((1.0,),), values=(5.0,)).at(9.0) == 5.0
    with pytest.raises(ToolError, match="a table of 2 variables must be read at as many values, got 1"):
        table.at(1.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LIBRARY.replace('"1ns"', '"1s"'), "time_unit of the library must be one of 1ps, 10ps, 100ps, 1ns, got 1s"),
        (LIBRARY.replace("(1,pf)", "(1,nf)"), "capacitive_load_unit of the library must be in pf or ff, got 1, nf"),
        (LIBRARY.replace("(1,pf)", "(pf)"), "capacitive_load_unit of the library must be in pf or ff, got pf, none"),
        (LIBRARY.replace("area : 16", "area : big"), "area of cell INV must be a number, got 'big'"),
        (LIBRARY.replace('"0.04, 0.04"', '"0.04"'), "rise_power must have 2 values on its axes, got 1"),
        (LIBRARY.replace('"0.04, 0.04"', '"a, b"'), "a table must have numbers, got 'a, b'"),
        (LIBRARY.replace('"0.0, 1.0"', '"1.0, 0.0"'), "must rise, got"),
        (LIBRARY.replace("cell (DFF)", "cell (FF)"), "the library has no cell DFF; its cells are FF, INV"),
    ],
)
def test_what_is_wrong_with_a_library_is_named(text, message):
    with pytest.raises(ToolError, match=message):
        cell_energies(text, COUNTS, WIRE_PF)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("library(a) {", "ends too early"),
        ("library(a) { b : ", "ends too early"),
        ("}", "never opened"),
        ("library(a) { } library(b) { }", "must have one library"),
        ("library(a) { b c }", "must have attributes and groups, got 'b'"),
    ],
)
def test_what_is_no_library_is_refused(text, message):
    with pytest.raises(ToolError, match=message):
        parse_liberty(text)
