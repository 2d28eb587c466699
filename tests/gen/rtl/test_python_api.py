"""docs/python-api.md runs: a user's top with our GEMV inside equals its model, and a broken one does not."""

import pytest
import rtlm.hw
from amaranth.hdl import ClockSignal, DomainRenamer, Fragment, Module, ResetSignal, Signal
from rtlm.gen.configuration.load import load_config
from rtlm.gen.rtl.verilog import emit
from rtlm.hw import Accelerator, Gemv, GemvParams

from tests.documents import run_page

PAGE = "python-api.md"


@pytest.mark.slow
def test_page(tmp_path):
    names = run_page(PAGE, tmp_path)
    assert len(names["received"]) == names["rows"]
    assert "module dense_layer(" in emit(names["DenseLayer"](names["params"]), "dense_layer").verilog


def test_page_sees_a_wrong_design(tmp_path):
    """The vector's scales doubled on the way in."""
    with pytest.raises(AssertionError) as caught:
        run_page(PAGE, tmp_path, lambda text: text.replace('"s": int(s)}', '"s": int(s) + 128}'))
    assert str(caught.traceback[-1].statement).startswith("assert received == ")


def test_names_of_the_package():
    assert Gemv(GemvParams(lanes=32)).latency > 0
    for name in rtlm.hw.__all__:
        assert getattr(rtlm.hw, name).__name__ == name
    assert "Gemv" in dir(rtlm.hw)
    with pytest.raises(AttributeError, match="no attribute Gemm"):
        _ = rtlm.hw.Gemm


@pytest.mark.slow
def test_accelerator_in_a_design_with_its_own_clock():
    m, running = Module(), Signal()
    accelerator = Accelerator(load_config("tiny").to_params())
    m.d.sync += running.eq(~running)
    m.submodules.accelerator = DomainRenamer({"sync": "accelerator", "boot": "accelerator_boot"})(accelerator)
    m.d.comb += [accelerator.clk.eq(ClockSignal()), accelerator.rst.eq(ResetSignal() | running)]
    Fragment.get(m, None).prepare(ports=[accelerator.irq])
