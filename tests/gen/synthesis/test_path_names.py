"""The critical path in terms of our source: instance, kernel, operator, stage, line."""

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import Out
from rtlm.gen.rtl.verilog import emit, to_rtlil
from rtlm.gen.synthesis.harness import harness
from rtlm.gen.synthesis.path_names import owner, shares
from rtlm.gen.synthesis.place import Placement, Step
from rtlm.gen.synthesis.synthesise import synthesise
from rtlm.hw.kernels import dequantise, quantise

TOP = "design"


class Design(wiring.Component):
    """Two pipelines, one of two phases."""

    busy: Out(1)

    def __init__(self):
        self.front = dequantise.component(lanes=1, clock_mhz=25, technology="ecp5")
        self.back = quantise.component(lanes=1, clock_mhz=25, technology="ecp5", max_length=4)
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.submodules.front, m.submodules.back = self.front, self.back
        m.d.comb += self.busy.eq(self.front.o.valid | self.back.o.valid)
        return m


@pytest.fixture(scope="module")
def objects() -> dict:
    return emit(Design(), TOP).objects


def net_of(objects, module, operator):
    """Name of a register of an operator, and its stage, as they really are in the netlist."""
    names = [n for n in objects[f"{TOP}.{module}"]["signals"] if n.startswith(f"{operator}_") and "_s" in n]
    assert names
    return names[0], names[0].rpartition("_s")[2]


@pytest.mark.slow
def test_a_register_of_a_pipeline_has_a_kernel_an_operator_and_a_stage(objects):
    name, stage = net_of(objects, "front.pipeline", "to_float")
    found = owner(f"front/pipeline: {name}[3]", TOP, objects)
    assert str(found) == f"front (kernel dequantise) to_float, stage {stage}"
    assert found.operator == "front (kernel dequantise) to_float"
    name, stage = net_of(objects, "back.phase1", "recip_exact")
    found = owner(f"back/phase1: {name}", TOP, objects)
    assert str(found) == f"back (kernel quantise) recip_exact, phase1, stage {stage}"


@pytest.mark.slow
def test_other_signals_have_a_class_and_a_line(objects):
    found = owner("busy", TOP, objects)
    assert (found.path, found.what) == ("", "Design")
    assert found.part.startswith("busy, tests/gen/synthesis/test_path_names.py:")
    assert owner("front: i__payload[7]", TOP, objects).what == "kernel dequantise"
    # A unit that was cut out of a whole is named by its place in the whole.
    assert owner("pipeline: move", f"{TOP}.front", objects).path == "front"
    assert owner("somewhere/else: x[1]", "other", objects).part == "x[1]"


@pytest.mark.slow
def test_a_path_is_added_up_by_operator(objects):
    name, _ = net_of(objects, "front.pipeline", "mul")
    steps = [
        Step(kind="clk-to-q", delay_ns=0.5, signal="front/pipeline: valid1"),
        Step(kind="routing", delay_ns=1.0, signal="front/pipeline: valid1"),
        Step(kind="logic", delay_ns=0.25, signal=f"front/pipeline: {name}"),
        Step(kind="logic", delay_ns=3.0, signal="$mul_piece"),
        Step(kind="setup", delay_ns=0.25, signal="harness_out"),
    ]
    first, second, third = shares(steps, TOP, objects)
    assert first.operator == "front (kernel dequantise) valid1"
    assert (first.logic_ns, first.routing_ns, first.cells) == (0.5, 1.0, 0)
    assert (second.operator, second.logic_ns, second.cells) == ("front (kernel dequantise) mul", 3.25, 2)
    assert third.operator == "(Design)"


@pytest.mark.synthesis
def test_a_routed_path_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    pipeline = dequantise.component(lanes=1, clock_mhz=25, technology="ecp5")
    result = synthesise(
        to_rtlil(pipeline, TOP),
        target="ecp5",
        depth=0,
        placement=Placement(clock_mhz=25),
        objects=emit(pipeline, TOP).objects,
    )
    assert result.timing.met
    assert sum(part.logic_ns + part.routing_ns for part in result.path) == pytest.approx(
        1000 / result.timing.fmax_mhz, rel=0.02
    )
    operators = pipeline.schedule.operators
    assert operators and any("kernel dequantise" in str(end) for end in result.ends)


def test_a_harness_connects_every_port():
    pipeline = dequantise.component(lanes=1, clock_mhz=25, technology="ecp5")
    made = harness(to_rtlil(pipeline, TOP), TOP)
    bits_in, bits_out = 8 + 16 + 1 + 1, 32 + 1 + 1
    assert made.registers == 2 + bits_in + 2 * bits_out
    assert f"[{bits_in - 1}:0] harness_in;" in made.verilog and ".\\i__valid (" in made.verilog
