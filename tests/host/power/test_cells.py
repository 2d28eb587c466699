"""Power of standard cells: each part by hand, what clock, activity and gated clocks change, and sums."""

import json
from dataclasses import fields

import pytest
from rtlm.gen.configuration.load import load_config
from rtlm.gen.synthesis.cell_counts import UnitCells
from rtlm.gen.synthesis.cell_energy import CellEnergy, Energies
from rtlm.gen.synthesis.timing.cells import load_conditions
from rtlm.host.power import accelerator_cells as source
from rtlm.host.power.accelerator_cells import accelerator_cells
from rtlm.host.power.cells import CellTechnology, cell_technology, fixed, record, running, unit_power
from rtlm.host.power.estimate import PowerRequest, Traffic, estimate_power
from rtlm.host.power.result import Kind, OperatorUse, Part, Range
from rtlm.host.power.technology import TechnologyError
from rtlm.sim.memory.dram import ddr3_800

CONDITIONS = cell_technology().conditions
GATE = CellEnergy(area_um2=20, leakage_nw=0.1, outputs=1, inputs=2, toggle_pj=0.05, input_pf=0.02)
FLIP_FLOP = CellEnergy(
    area_um2=100,
    leakage_nw=0.2,
    outputs=1,
    inputs=1,
    toggle_pj=0.12,
    input_pf=0.01,
    clocks=1,
    clock_pj=0.15,
    clock_pf=0.03,
)
BUFFER = CellEnergy(area_um2=70, leakage_nw=0.4, outputs=1, inputs=1, toggle_pj=0.3, input_pf=0.04)
TECHNOLOGY = CellTechnology(
    conditions=CONDITIONS,
    energies=Energies(volt=2.0, slew_ns=0.1, load_pf=0.04, cells={"GATE": GATE, "DFF": FLIP_FLOP, "CLKBUF1": BUFFER}),
    wire_pf=0.01,
)
UNIT = UnitCells(cells={"GATE": 1000, "DFF": 200}, memories={"64x256": 2}, gated=0.25)
UNITS = {"matmul": UNIT, "vector": UnitCells(cells={"DFFPOSX1": 1000, "NAND2X1": 3000}, gated=1.0)}


def power_of(unit=UNIT, **changes):
    return unit_power(TECHNOLOGY, unit, **{"rate": 0.25, "busy": fixed(1.0), "clock_mhz": 100, **changes})


def test_each_part_by_hand():
    found = power_of()
    assert found.internal.nominal == pytest.approx((1000 * 0.05 + 200 * 0.12) * 0.25 * 1e-4)
    charged_pf = 1000 * (0.02 + 2 * 0.01) + 200 * (0.01 + 0.01)
    assert found.nets.nominal == pytest.approx(charged_pf * 2.0**2 / 2 * 0.25 * 1e-4)
    buffers = (2 * 0.3 + (0.04 + 0.01) * 4) / 16
    assert found.clock.nominal == pytest.approx(200 * (0.15 + (0.03 + 0.01) * 4 + buffers) * 1e-4)
    assert found.sram.nominal == pytest.approx(2 * CONDITIONS.sram.pj_per_bit.nominal * 64 * 16 * 0.5 * 1e-4)
    leaking = 1000 * 0.1 + 200 * 0.2 + 2 * 64 * 256 * CONDITIONS.sram.leakage_nw_per_bit.nominal
    assert found.leakage.nominal == pytest.approx(leaking * CONDITIONS.leakage.nominal * 1e-9)
    assert found.area_um2 == 1000 * 20 + 200 * 100
    columns = 2 * 64 * CONDITIONS.sram.um2_per_column.nominal
    assert found.sram_um2.nominal == pytest.approx(2 * 64 * 256 * CONDITIONS.sram.um2_per_bit.nominal + columns)
    ranges = [getattr(found, each.name) for each in fields(found) if each.name != "area_um2"]
    assert all(each.low < each.nominal < each.high for each in ranges if isinstance(each, Range))


def test_no_activity_leaves_clock_and_leakage():
    still = power_of(rate=0.0)
    assert still.internal.high == still.nets.high == still.sram.high == 0
    assert still.clock == power_of().clock and still.leakage == power_of().leakage
    assert still.total.nominal == pytest.approx(still.clock.nominal + still.leakage.nominal)
    assert still.clock.nominal > 0 and still.leakage.nominal > 0


def test_a_gated_clock_takes_energy_while_the_unit_is_busy():
    always = power_of().clock.nominal
    assert power_of(busy=fixed(0.0)).clock.nominal == pytest.approx(0.75 * always)
    assert power_of(busy=fixed(0.5)).clock.nominal == pytest.approx(0.875 * always)
    whole = UnitCells(cells=UNIT.cells, gated=1.0)
    assert power_of(whole, busy=fixed(0.0)).clock.nominal == 0
    assert power_of(UnitCells(cells=UNIT.cells), busy=fixed(0.0)).clock.nominal == always
    unknown = power_of(busy=running(None)).clock
    assert (unknown.low, unknown.high) == (power_of(busy=fixed(0.0)).clock.low, power_of().clock.high)
    known = power_of(busy=running(0.5)).clock
    assert known.nominal == power_of(busy=fixed(0.5)).clock.nominal and known.high == unknown.high


def test_memories_are_read_at_most_once_a_cycle():
    assert power_of(rate=0.5).sram == power_of(rate=0.9).sram


def test_cells_without_energies_are_refused():
    with pytest.raises(TechnologyError, match="the cells must be among those of osu018, got XYZ"):
        power_of(UnitCells(cells={"XYZ": 1}))


def estimated(**changes):
    values = {
        "technology": "asic",
        "board": "asic",
        "elements": {},
        "cells": UNITS,
        "cells_are": "cells told",
        "rates": {"matmul": 0.25},
        "rates_are": "counted",
        "clock_mhz": 100,
        "traffic": Traffic(dram=ddr3_800(), name="ddr3-800", bytes_per_s=1e9),
        "tokens_per_s": 10,
        "weight_bytes_per_s": 0.9e9,
        "uses": {"mlp": OperatorUse(cycles=90, bytes=9, macs=9, unit="matmul"), "rms": OperatorUse(cycles=10, bytes=1)},
    }
    known = {"matmul": UnitCells(cells={"NAND2X1": 9000, "DFFPOSX1": 1000}, memories={"64x256": 2})}
    return estimate_power(PowerRequest(**{**values, "cells": UNITS | known, **changes}))


def of_kind(power, *kinds):
    return sum(each.w for each in power.components if each.kind in kinds and each.part is Part.CHIP)


def test_an_accelerator_of_cells_adds_up_and_names_its_library():
    power = estimated()
    assert not any("UltraScale" in note or "xilinx" in note for note in power.notes)
    assert {each.name for each in power.components if each.part is Part.CHIP} == {
        *UNITS,
        "SRAM",
        "clock tree",
        "static",
    }
    assert "cells told, liberty tables of osu018" in power.components[0].method
    assert sum(each.nominal for each in power.operators.values()) == pytest.approx(power.total_w)


def test_twice_the_clock_is_twice_the_dynamic_power():
    once, twice = estimated(), estimated(clock_mhz=200)
    for kind in (Kind.SWITCHING, Kind.CLOCK):
        assert of_kind(twice, kind) == pytest.approx(2 * of_kind(once, kind))
        assert of_kind(once, kind) > 0
    assert of_kind(twice, Kind.STATIC) == of_kind(once, Kind.STATIC) > 0


def test_a_rest_of_the_gated_unit_lowers_the_clock_alone():
    busy, idle = estimated(), estimated(busy={"vector": 0.0})
    assert of_kind(idle, Kind.CLOCK) < of_kind(busy, Kind.CLOCK)
    assert of_kind(idle, Kind.SWITCHING, Kind.STATIC) == of_kind(busy, Kind.SWITCHING, Kind.STATIC)


def test_the_record_is_of_the_library_that_is_fetched():
    technology = cell_technology()
    assert technology.energies.volt == 1.8 and technology.wire_pf == load_conditions().wire_pf_per_sink
    cells = technology.energies.cells
    assert cells["NAND2X1"].area_um2 == 24 and cells["DFFPOSX1"].clocks == 1
    assert CONDITIONS.clock_buffer.cell in cells and CONDITIONS.node_nm == 180
    assert CONDITIONS.sram.leakage_nw_per_bit.nominal == pytest.approx(6 * cells["INVX1"].leakage_nw, rel=0.01)


def test_cells_are_those_of_the_preset_scaled_or_synthesised(monkeypatch):
    monkeypatch.setattr(source, "kept_cells", lambda config: None)
    assert accelerator_cells(load_config("kv260")) == ({}, "")
    recorded = json.loads(json.dumps(record()["preset"]["units"]))
    monkeypatch.setattr(source, "config_hash", lambda config: record()["preset"]["hash"])
    own, how = accelerator_cells(load_config("asic"))
    assert how == "cells of the recorded synthesis of asic" and own["matmul"].cells == recorded["matmul"]["cells"]
    monkeypatch.undo()
    monkeypatch.setattr(source, "kept_cells", lambda config: None)
    wide, how = accelerator_cells(load_config("asic", ["matmul.columns=4"]))
    assert how == "cells of asic scaled by the area model"
    assert wide["matmul"].cells["NAND2X1"] > 2 * own["matmul"].cells["NAND2X1"]
    assert wide["registers"].cells["NAND2X1"] < 2 * own["registers"].cells["NAND2X1"]
    monkeypatch.setattr(source, "kept_cells", lambda config: UNITS)
    assert accelerator_cells(load_config("asic")) == (UNITS, "synthesised cells")
