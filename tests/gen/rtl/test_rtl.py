"""RTL on disk: Verilog, manifest, element counts, cache."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from amaranth.hdl import Const, Fragment, Module, Signal
from amaranth.hdl._ast import SignalDict
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out
from rtlm.gen.area.memories import Memory
from rtlm.gen.common.errors import GenerateError
from rtlm.gen.configuration.load import load_config
from rtlm.gen.rtl import names
from rtlm.gen.rtl import verilog as rtl
from rtlm.gen.rtl.elements import Elements, count_elements, count_modules, dsp_blocks, netlist_factors
from rtlm.gen.rtl.units import UNITS
from rtlm.gen.rtl.verilog import to_rtlil

from tests.documents import ROOT


class Unit(wiring.Component):
    a: In(16)
    b: In(16)
    enable: In(1)
    o: Out(32)

    def elaborate(self, platform):
        m = Module()
        m.submodules.store = store = memory.Memory(shape=72, depth=1024, init=[])
        write, read = store.write_port(), store.read_port()
        m.d.comb += [write.addr.eq(self.a), write.data.eq(self.b), write.en.eq(self.enable), read.addr.eq(self.b)]
        product = Signal(32)
        with m.If(self.enable):
            m.d.sync += product.eq(self.a * self.b)
        m.d.comb += self.o.eq(product + read.data)
        return m


class Top(wiring.Component):
    a: In(16)
    enable: In(1)
    o: Out(32)

    def __init__(self, units=2):
        super().__init__()
        self._units = units

    def elaborate(self, platform):
        m = Module()
        previous = self.a
        for i in range(self._units):
            m.submodules[f"unit{i}"] = unit = Unit()
            m.d.comb += [unit.a.eq(previous), unit.b.eq(self.a), unit.enable.eq(self.enable)]
            previous = unit.o
        m.d.sync += self.o.eq(previous)
        return m


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(rtl, "_accelerator", lambda config: Top())
    return tmp_path / "cache"


def test_elements_are_counted_by_unit():
    emitted = rtl.emit(Top(), "accelerator")
    assert set(emitted.elements) == {"top", "unit0", "unit1"}
    unit = emitted.elements["unit0"]
    assert (unit.multipliers, unit.dsps, unit.memory_bits, unit.brams) == (1, 1, 72 * 1024, 2)
    assert unit.ffs == 32 * netlist_factors()["ffs"]
    # The adder is 33 bits wide at most; the enable and the reset of the register are free.
    assert 32 <= unit.luts <= 100
    assert emitted.elements["top"].ffs == 32 * netlist_factors()["ffs"]


def test_element_rules():
    assert dsp_blocks(4, 4, signed=False) == 0
    assert dsp_blocks(21, 9, signed=True) == 1
    assert dsp_blocks(24, 24, signed=False) == 2
    assert Elements(luts=1.4, ffs=2) + Elements(luts=1.4, dsps=1) == Elements(luts=2.8, ffs=2, dsps=1)
    assert Elements(luts=2.8).to_json()["luts"] == 3
    assert count_elements("") == {}


class Delays(wiring.Component):
    """Two delays of a byte, of four cycles and of two, a memory in tables, and one with four readers."""

    i: In(8)
    enable: In(1)
    address: In(4)
    o: Out(8)

    def elaborate(self, platform):
        m = Module()
        for cycles in (4, 2):
            value = self.i
            for stage in range(cycles):
                held = Signal(8, name=f"delay_{cycles}_{stage}", reset_less=True)
                with m.If(self.enable):
                    m.d.sync += held.eq(value)
                value = held
            m.d.comb += self.o.eq(value)
        m.submodules.shallow = shallow = memory.Memory(shape=14, depth=16, init=[])
        write, read = shallow.write_port(), shallow.read_port()
        m.d.comb += [write.addr.eq(self.address), write.en.eq(1), write.data.eq(self.i), read.addr.eq(self.address)]
        m.submodules.shared = shared = memory.Memory(shape=30, depth=4, init=[])
        write, *reads = shared.write_port(), *(shared.read_port(domain="comb") for _ in range(4))
        m.d.comb += [write.addr.eq(self.address), write.en.eq(1), *(port.addr.eq(self.i) for port in reads)]
        return m


def test_delays_are_shift_registers_and_small_memories_have_registers():
    modules = dict(count_modules(to_rtlil(Delays(), "delays")))
    assert modules["delays"].delays() == (16, 8)
    # Eight tables with a register behind them; four words in registers, each reader with its own selection.
    assert modules["delays"].kept() == Memory(luts=8 + 4 * 30, ffs=14 + 4 * 30)


def test_constants_cost_nothing():
    class Wiring(wiring.Component):
        a: In(16)
        amount: In(3)
        o: Out(16)
        shifted: Out(16)

        def elaborate(self, platform):
            m = Module()
            m.d.comb += [self.o.eq((self.a << Const(3)) & 0xFF0), self.shifted.eq(self.a >> self.amount)]
            return m

    unit = rtl.emit(Wiring(), "accelerator").elements["top"]
    # Three stages of sixteen multiplexers, two stages in a table, of which synthesis leaves what it leaves of shifters.
    assert unit.luts == 24 * netlist_factors()["right shift"]


@pytest.mark.slow
def test_verilog_is_clean_and_the_same_in_another_process():
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from tests.gen.rtl.test_rtl import Top; "
        "from rtlm.gen.rtl.verilog import emit; "
        "sys.stdout.write(emit(Top(), 'accelerator').verilog)"
    )
    texts = []
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "AMARANTH_USE_YOSYS": "system"}
        command = [sys.executable, "-c", code, str(ROOT)]
        texts.append(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
    assert texts[0] == texts[1]
    assert "module accelerator(" in texts[0]
    assert "src =" not in texts[0]
    assert "generator" not in texts[0]
    assert str(ROOT) not in texts[0]


@pytest.mark.slow
def test_build_is_cached_by_content(cache):
    config = load_config("tiny")
    said = []
    first = rtl.build_rtl(config, said.append)
    again = rtl.build_rtl(config, said.append)
    assert (first.cached, again.cached, len(said)) == (False, True, 1)
    assert first.manifest == again.manifest
    assert first.elements["unit0"].ffs == round(32 * netlist_factors()["ffs"])
    assert not rtl.build_rtl(load_config("tiny", ["matmul.columns=2"])).cached
    # What answers in simulation is no hardware; the manifest still names it.
    other = rtl.build_rtl(load_config("tiny", ["memory.dram=ddr4-2400"]))
    assert other.cached
    assert other.manifest["config"]["memory"]["dram"]["base"] == "ddr4-2400"


@pytest.mark.slow
def test_damaged_cache_is_rebuilt_or_named(cache):
    config = load_config("tiny")
    first = rtl.build_rtl(config)
    first.verilog.unlink()
    assert not rtl.build_rtl(config).cached
    (first.verilog.parent / "hardware.json").write_text("{")
    with pytest.raises(GenerateError, match="damaged; delete the folder"):
        rtl.build_rtl(config)


def test_only_a_damaged_file_is_called_damaged(cache, monkeypatch):
    def fail(config):
        raise ValueError("some defect")

    monkeypatch.setattr(rtl, "_accelerator", fail)
    with pytest.raises(ValueError, match="some defect"):
        rtl.build_rtl(load_config("tiny"))


@pytest.mark.parametrize("name", ["gemv", "attention", "rope"])
def test_a_clock_that_a_unit_cannot_reach_is_one_sentence(name):
    """Some units schedule their kernels when they are made, some when they are elaborated."""
    unit = UNITS[name]
    params = unit.defaults(load_config("tiny"))
    with pytest.raises(GenerateError, match=r"A clock of 1000 MHz is too fast .* allows [\d.]+ MHz at most"):
        rtl.emit(unit.build(params, clock_mhz=1000, technology="generic"), unit.module)


@pytest.mark.slow
def test_objects_say_what_each_module_is(cache):
    built = rtl.build_rtl(load_config("tiny"))
    assert set(built.objects) == {"accelerator", "accelerator.unit0", "accelerator.unit1"} | {
        f"accelerator.unit{i}.store" for i in range(2)
    }
    assert built.objects["accelerator.unit0"]["class"].endswith("test_rtl.Unit")
    assert built.objects["accelerator.unit0"]["signals"]["product"].startswith("tests/gen/rtl/test_rtl.py:")


@pytest.mark.parametrize(
    ("project", "file", "place"),
    [
        ("/tree", "/tree/hw/matmul/unit.py", "hw/matmul/unit.py:7"),
        ("/tree", "/tree/.venv/lib/site-packages/amaranth/lib/stream.py", "stream.py:7"),
        ("/environment/site-packages/rtlm", "/environment/site-packages/rtlm/hw/matmul/unit.py", "hw/matmul/unit.py:7"),
        ("/environment/site-packages/rtlm", "/environment/site-packages/amaranth/lib/stream.py", "stream.py:7"),
    ],
)
def test_places_are_the_same_in_a_tree_and_in_a_wheel(project, file, place, monkeypatch):
    monkeypatch.setattr(names, "PROJECT", Path(project))
    signal = Signal()
    signal.src_loc = (file, 7)
    described = names.describe_objects(Fragment(), "top", SignalDict([(signal, ("top", "s"))]))
    assert described["top"]["signals"] == {"s": place}


def test_fields_of_a_payload_become_part_of_its_port():
    class Payload(wiring.Component):
        i: In(data.StructLayout({"a": 4, "b": data.ArrayLayout(8, 3), "c": data.StructLayout({"d": 1})}))
        o: Out(4)

        def elaborate(self, platform):
            m = Module()
            m.d.sync += self.o.eq(self.i.a)
            return m

    ports = {port["name"]: port for port in rtl.emit(Payload(), "payload").ports}
    assert list(ports) == ["clk", "rst", "i", "o"]
    assert ports["i"]["bits"] == 29
    assert ports["i"]["fields"] == [
        {"name": "a", "offset": 0, "bits": 4},
        {"name": "b[0..2]", "offset": 4, "bits": 24, "each": 8},
        {"name": "c.d", "offset": 28, "bits": 1},
    ]


def test_failing_yosys_is_one_sentence(monkeypatch):
    monkeypatch.setattr(rtl, "YOSYS_SCRIPT", "no_such_command\n")
    with pytest.raises(GenerateError, match=r"yosys could not write Verilog .*no_such_command"):
        rtl.emit(Top(1), "accelerator")
