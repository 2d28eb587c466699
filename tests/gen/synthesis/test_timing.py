"""Static timing: the longest path of hand-made netlists, loops, and the model's error on held-out designs."""

import json
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import yaml
from rtlm.gen.common.errors import GenerateError
from rtlm.gen.synthesis.timing import technology
from rtlm.gen.synthesis.timing.graph import LoopError, arrive, build
from rtlm.gen.synthesis.timing.mapped import mapped
from rtlm.gen.synthesis.timing.paths import worst
from rtlm.gen.synthesis.timing.static import analyse, check_timed
from rtlm.gen.synthesis.timing.technology import TIMED, Wires, load_delays, parse_delays
from rtlm.hw.hls.technology import find

ROOT = Path(__file__).parents[3]
RECORD = ROOT / "benchmarks" / "data" / "static_timing.json"
TABLE, REGISTER, SETUP, DIRECT, WIRE, SPREAD, COLUMN, SLOWEST = 0.25, 0.5, 0.375, 0.125, 1.0, 0.5, 0.75, 1.5
"""Exact in binary, so that sums are exact too."""

DEVICE = f"""
device: a device
cells:
  lut: {{types: [LUT], through: {{A: {{Z: {TABLE}}}, B: {{Z: {TABLE}}}}}}}
  register: {{types: [FF], clocks: [C], clock_to_output: {{Q: {REGISTER}}}, setup: {{D: {SETUP}}}}}
  multiplier: {{block: true, types: [MUL], through: {{A: {{P: 2.0}}}}}}
dedicated:
  - {{from: lut.Z, to: register.D, ns: {DIRECT}, alone: true}}
wires: {{fixed_ns: {WIRE}, fanout_ns: {SPREAD}, block_ns: {COLUMN}, path_ns: {SLOWEST}}}
error: 0.2
"""


class Netlist:
    """Writes what ``write_json`` writes."""

    def __init__(self):
        self.cells, self.nets, self.numbers = {}, {}, count(2)

    def net(self, name: str) -> int:
        return self.nets.setdefault(name, next(self.numbers))

    def cell(self, kind: str, name: str, outputs: dict[str, str], **inputs: str) -> None:
        pins = outputs | inputs
        self.cells[name] = {
            "type": kind,
            "port_directions": {pin: "output" if pin in outputs else "input" for pin in pins},
            "connections": {pin: [self.net(net)] for pin, net in pins.items()},
        }

    def table(self, z: str, a: str, b: str = "") -> None:
        self.cell("LUT", f"{z}_LUT", {"Z": z}, A=a, **({"B": b} if b else {}))

    def register(self, q: str, d: str) -> None:
        self.cell("FF", f"{q}_FF", {"Q": q}, D=d, C="clk")

    def read(self):
        names = {name: {"bits": [bit], "hide_name": 0} for name, bit in self.nets.items()}
        return mapped({"cells": self.cells, "ports": {}, "netnames": names}, "top")


@pytest.fixture
def device():
    return parse_delays(yaml.safe_load(DEVICE))


def two_paths() -> Netlist:
    """From ``a`` over two tables to ``q``; from ``b`` over one that drives seven registers and a table to ``v``."""
    netlist = Netlist()
    netlist.register("unit.a", "unit.q")
    netlist.table("unit.x", "unit.a")
    netlist.table("unit.y", "unit.x", "unit.r")
    netlist.register("unit.q", "unit.y")
    netlist.register("unit.b", "unit.r")
    netlist.table("unit.z", "unit.b")
    for name in ("unit.r", "unit.s", "unit.t", "unit.e", "unit.f", "unit.g", "unit.h"):
        netlist.register(name, "unit.z")
    netlist.table("unit.w", "unit.z")
    netlist.register("unit.v", "unit.w")
    return netlist


def test_longest_path_is_that_of_the_hand_made_netlist(device):
    graph = build(two_paths().read(), device)
    times = arrive(graph, device.wires)
    names = {name: net for net, name in graph.netlist.names.items()}
    # unit.b drives one table, unit.z seven registers and another.
    at_z = REGISTER + WIRE + TABLE
    assert times.arrival_ns[names["unit.z"]] == at_z
    assert times.period_ns == at_z + (WIRE + SPREAD * (2 - 1)) + TABLE + DIRECT + SETUP + SLOWEST
    (path,) = worst(graph, times, device.wires, {}, "top", 1)
    assert [step.signal for step in path.steps if step.kind == "logic"] == ["z", "w"]
    assert path.levels == 2 and path.period_ns == times.period_ns
    assert sum(step.delay_ns for step in path.steps) + SLOWEST == path.period_ns


def test_a_table_is_next_to_its_register_only_if_it_drives_nothing_else(device):
    graph = build(two_paths().read(), device)
    names = {name: net for net, name in graph.netlist.names.items()}
    direct = {int(net): wire for net, wire in zip(graph.ends.source, graph.ends.dedicated_ns, strict=True)}
    assert direct[names["unit.y"]] == DIRECT
    assert np.isnan(direct[names["unit.z"]])


def test_wires_grow_with_sinks_and_blocks():
    wires = Wires(fixed_ns=1.0, fanout_ns=0.5, block_ns=0.25, path_ns=0.0)
    assert wires.delay(1, 0) == 1.0
    assert wires.delay(27, 2) == pytest.approx(1.0 + 2 * 0.5 + 2 * 0.25)


def test_the_clock_is_missed_at_the_pessimistic_end_first(device, monkeypatch):
    monkeypatch.setattr("rtlm.gen.synthesis.timing.static.load_delays", lambda target: device)
    netlist = two_paths().read()
    nominal = analyse(netlist, "ecp5", 1.0, "top", {}).fmax_mhz
    assert analyse(netlist, "ecp5", 0.8 * nominal, "top", {}).met
    between = analyse(netlist, "ecp5", 0.9 * nominal, "top", {})
    assert not between.met and between.low_mhz == pytest.approx(nominal / 1.2, rel=1e-3)


def test_a_loop_is_named(device):
    netlist = two_paths()
    netlist.table("unit.p", "unit.s", "unit.o")
    netlist.table("unit.o", "unit.p")
    with pytest.raises(LoopError, match=r"combinational loop.* runs through unit\.(p, unit\.o|o, unit\.p)\.$"):
        build(netlist.read(), device)


def test_a_cell_without_delays_is_refused(device):
    netlist = two_paths()
    netlist.cell("PLL", "unit.pll", {"O": "unit.clock"}, I="clk")
    with pytest.raises(GenerateError, match="no delays for cells of type PLL"):
        build(netlist.read(), device)


def test_a_target_without_delays_is_refused():
    with pytest.raises(GenerateError, match="no delays for target gowin; static timing knows xilinx-us"):
        check_timed("gowin")


def test_a_pin_stands_for_the_bits_of_its_bus(device):
    netlist = Netlist()
    netlist.register("a", "q")
    netlist.cell("MUL", "m", {"P17": "p"}, A3="a")
    netlist.register("q", "p")
    assert arrive(build(netlist.read(), device), device.wires).period_ns == (
        REGISTER + WIRE + COLUMN + 2.0 + WIRE + COLUMN + SETUP + SLOWEST
    )


@pytest.mark.parametrize(("preg", "kind"), [("0", "dsp"), ("1", "dsp_registered")])
def test_a_block_with_output_registers_is_no_logic(preg, kind):
    cell = {"type": "DSP48E2", "parameters": {"PREG": preg.zfill(32)}, "port_directions": {}, "connections": {}}
    (block,) = mapped({"cells": {"block": cell}, "ports": {}, "netnames": {}}, "top").cells
    assert load_delays("xilinx-us+").kinds[block.kind].name == kind


@pytest.mark.parametrize("target", TIMED)
def test_rules_of_a_device_name_kinds_and_pins_that_it_has(target):
    values = yaml.safe_load((technology.FOLDER / f"timing-{target}.yaml").read_text())
    delays = load_delays(target)
    kinds = {kind.name: kind for kind in delays.kinds.values()}
    for rule in delays.dedicated:
        (source, output), (sink, pin) = rule.source, rule.sink
        drives = {o for outputs in kinds[source].through.values() for o in outputs} | set(kinds[source].clock_to_output)
        assert output in drives and (pin in kinds[sink].setup or pin in kinds[sink].through)
    assert 0 < values["error"] < 1


def test_the_stated_error_is_that_of_the_held_out_units():
    record = json.loads(RECORD.read_text()).values()
    off = [row["predicted_mhz"] / row["routed_mhz"] - 1 for row in record if row["held_out"]]
    assert len(off) >= 4
    assert load_delays("ecp5").error == pytest.approx(max(map(abs, off)), abs=0.005)
    # Of a device without place and route nothing can be held out.
    assert load_delays("xilinx-us+").error > load_delays("ecp5").error


def test_pipelines_are_scheduled_with_the_same_delays():
    """What `rtlm.hw.hls.technology` has of UltraScale+ is sums of these, rounded."""
    delays, tech = load_delays("xilinx-us+"), find("xilinx-us+")
    table, register, carry, block = (delays.kinds[cell] for cell in ("LUT6", "FDRE", "CARRY4", "DSP48E2"))
    direct = {(rule.source, rule.sink): rule.ns for rule in delays.dedicated}
    into_chain, along = direct[("lut", "O"), ("carry", "S")], direct[("carry", "CO"), ("carry", "CI")]
    wire = delays.wires.delay
    path = register.clock_to_output["Q"] + wire(1, 0) + register.setup["D"] + delays.wires.path_ns
    chain = into_chain + carry.through["S"]["CO"] + along + carry.through["CI"]["O"]
    assert tech.register_ns == pytest.approx(path, abs=0.01)
    assert tech.level_ns == pytest.approx(table.through["I0"]["O"] + wire(32, 0), abs=0.01)
    assert tech.chain_ns == pytest.approx(chain, abs=0.01)
    assert tech.carry_ns == pytest.approx((carry.through["CI"]["CO"] + along) / 4, abs=0.001)
    assert tech.fanout_ns == delays.wires.fanout_ns
    assert tech.multiply_ns == pytest.approx(block.through["A"]["P"], abs=0.01)
    assert 2 * tech.block.entry_ns == pytest.approx(wire(5, 1) + wire(5, 1) - wire(1, 0), abs=0.02)


def test_the_page_has_the_recorded_clocks():
    page = (ROOT / "docs" / "synthesis.md").read_text()
    for unit, row in json.loads(RECORD.read_text()).items():
        assert f"| `{unit}` | {row['cells']:,} | {row['routed_mhz']:.1f} | {row['predicted_mhz']:.1f} |" in page
