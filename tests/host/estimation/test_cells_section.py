"""The section on standard cells: every unit has a row, the sums are theirs, and what is scaled says so."""

import pytest
from rtlm.gen.configuration.load import load_config
from rtlm.host.estimation.cells_section import BATCHES, CONTEXT, MODEL, SCALED, TITLES, cells_section
from rtlm.host.estimation.estimate import EstimateRequest, estimate
from rtlm.host.models.paper import open_model
from rtlm.host.power.cells import record
from rtlm.host.power.libraries import LIBRARIES, NANGATE45, OSU018


@pytest.fixture(scope="module")
def page():
    return cells_section()


def rows_of(text):
    lines = (line for line in text.splitlines() if "|" in line)
    return [[cell.strip(" *") for cell in line.strip("|").split("|")] for line in lines]


@pytest.mark.parametrize("library", LIBRARIES)
def test_rows_add_up(page, library):
    units = record(library)["preset"]["units"]
    part = page.partition(f"\n{TITLES[library]}: ")[2]
    rows = {name: values for name, *values in reversed(rows_of(part)[: len(units) + 3])}
    assert set(units) <= set(rows)
    for column in range(6):
        parts = sum(float(rows[unit][column]) for unit in units)
        assert abs(parts - float(rows["all"][column])) < 0.01 * parts + 0.02


def test_both_libraries_stand_in_one_table_with_what_is_scaled(page):
    rows = rows_of(page)
    assert [row[:2] for row in rows if row[0] in TITLES.values()] == [
        [TITLES[library], str(batch)] for library in LIBRARIES for batch in BATCHES
    ]
    facts = {row[0]: row[1:] for row in rows}
    assert facts["SRAM by CACTI 7"] == ["at 90 nm, **scaled** to 180 nm", "at 45 nm, ITRS-HP, 1.0 V; not scaled"]
    for library, cells in zip(LIBRARIES, facts["cells"], strict=True):
        assert int(cells.replace(",", "")) == sum(
            sum(u["cells"].values()) for u in record(library)["preset"]["units"].values()
        )


def test_the_whole_is_what_an_estimate_says(page):
    """At the preset's clock, where nothing is scaled: with memory and interface, for a token and a weight bit."""
    values = next(row for row in rows_of(page) if row[:2] == [TITLES[NANGATE45], "1"])
    config, model = load_config("asic"), open_model(MODEL)
    power = estimate(EstimateRequest(config=config, model=model, context=CONTEXT, library=NANGATE45)).power
    for cell, expected in ((values[6], power.j_per_token.nominal), (values[8], power.pj_per_weight_bit)):
        assert float(cell.split()[0]) == pytest.approx(expected, rel=0.01)


def test_scaled_nodes_are_marked(page):
    rows = {name: values for name, *values in rows_of(page)}
    assert [name for name in rows if name.endswith(", scaled")] == [f"{length} nm, scaled" for length in SCALED[1:]]
    assert float(rows["65 nm, scaled"][1]) < float(rows["65 nm, scaled"][2]) < 1


def test_a_smaller_process_takes_less_energy_and_leaks_more(page):
    rows = {
        (name, batch): values for name, batch, *values in (row for row in rows_of(page) if row[0] in TITLES.values())
    }
    for batch in map(str, BATCHES):
        old, new = (float(rows[TITLES[each], batch][1].split()[0]) for each in (OSU018, NANGATE45))
        assert new < old / 3
