"""Schedules: what lies between two registers of a pipeline fits the clock and belongs to one operator."""

import pytest
from rtlm.hw import hls, kernels
from rtlm.hw.hls.phase import last_uses
from rtlm.hw.hls.technology import TECHNOLOGIES, find

from tests.hw.hls.simulate import check

CLOCKS = {"generic": 100, "xilinx-us+": 300, "ecp5": 25, "asic": 100}


def chains(plan):
    """For each live net: the operators of its combinational cone, and the longest delay through it."""
    for phase in plan.phases:
        live, cones = last_uses(phase), {}
        for net in phase.builder.nets:  # arguments come before what is computed from them
            before = [] if net.memory or net.taker else net.args
            inside = [cones[id(a)] for a in before if not a.is_const and a.stage == net.stage]
            operators = frozenset([net.operator]) if net.delay > 0 else frozenset()
            cones[id(net)] = (
                operators.union(*(behind for behind, _ in inside)),
                max((time for _, time in inside), default=0.0) + net.delay,
            )
            if id(net) in live:
                yield cones[id(net)]


@pytest.mark.parametrize(("technology", "ii"), [*((technology, None) for technology in TECHNOLOGIES), ("generic", 3)])
@pytest.mark.parametrize("name", kernels.__all__)
def test_a_combinational_path_stays_within_one_operator_and_one_period(name, technology, ii):
    plan = getattr(kernels, name).plan(lanes=2, clock_mhz=CLOCKS[technology], technology=technology, ii=ii)
    period = find(technology).budget(CLOCKS[technology])
    found = list(chains(plan))
    assert found and max(time for _, time in found) > 0
    assert all(len(operators) <= 1 for operators, _ in found)
    assert max(time for _, time in found) <= period + 1e-9


@pytest.mark.parametrize("name", kernels.__all__)
def test_operators_in_one_cycle_stay_within_the_period(name):
    alone, chained = (getattr(kernels, name).plan(clock_mhz=100, chain=chain) for chain in (False, True))
    period = find("generic").budget(100)
    assert max(time for _, time in chains(chained)) <= period + 1e-9
    assert chained.schedule.latency <= alone.schedule.latency


@pytest.mark.parametrize("ii", [2, 3, 7])
@pytest.mark.parametrize("name", kernels.__all__)
def test_nobody_else_has_a_unit_in_its_turn(name, ii):
    """Beats are `ii` cycles apart: what is in a unit in one turn meets nothing of another."""
    plan = getattr(kernels, name).plan(lanes=3, ii=ii)
    for phase in plan.phases:
        for units in phase.builder.units.values():
            for unit in units:
                starts = [start for start, _ in unit.turns.values()]
                assert len({start % ii for start in starts}) == len(starts) <= ii
                assert all(port.stage == start for start, ports in unit.turns.values() for port in ports)


def test_shared_operators_are_as_few_as_the_interval_allows():
    wide, shared = (kernels.swiglu.schedule(lanes=4, ii=ii).operators for ii in (1, 4))
    assert shared == {operator: count // 4 for operator, count in wide.items()}
    assert kernels.swiglu.schedule(lanes=4, ii=4).register_bits < kernels.swiglu.schedule(lanes=4).register_bits / 2


def test_fewest_registers_for_a_latency():
    """A square that is needed late waits as its narrow operand."""

    @hls.kernel
    def late(a: hls.SInt(8), x: hls.F32) -> hls.F32:
        return hls.exp2(x) + hls.to_float(a * a)

    plan = late.plan(clock_mhz=300)
    ends = last_uses(plan.phases[0])
    held = {net.name: ends[id(net)] - net.stage for net in plan.phases[0].builder.nets if id(net) in ends}
    assert held["a0"] == 3 and held["imul"] <= 1


def test_an_operand_that_is_constant_in_one_lane_only():
    """The second lane's is the first lane's zero, the first one's is a register that begins with five."""

    @hls.kernel
    def odd(x: hls.SInt(8), y: hls.SInt(8)) -> hls.SInt(17):
        return hls.previous(x - x, 1, 5) * y

    for ii in (None, 2):
        check(odd, lanes=2, ii=ii)
