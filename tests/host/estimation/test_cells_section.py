"""The section on standard cells: every unit has a row, the sums are theirs, and what is scaled says so."""

from rtlm.host.estimation.cells_section import SCALED, cells_section
from rtlm.host.power.cells import record


def test_rows_add_up_and_scaled_nodes_are_marked():
    page = cells_section()
    rows = {
        cells[0].strip("*"): cells[1:]
        for cells in (
            [cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if "|" in line
        )
    }
    units = record()["preset"]["units"]
    assert set(units) <= set(rows)
    for column in range(6):
        parts = sum(float(rows[unit][column]) for unit in units)
        assert abs(parts - float(rows["all"][column])) < 0.01 * parts + 0.02
    assert [name for name in rows if name.endswith(", scaled")] == [f"{length} nm, scaled" for length in SCALED[1:]]
    assert float(rows["65 nm, scaled"][1]) < float(rows["65 nm, scaled"][2]) < 1
