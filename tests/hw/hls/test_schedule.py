"""Schedules: what lies between two registers of a pipeline fits the clock and belongs to one operator."""

import pytest
from rtlm.hw import kernels
from rtlm.hw.hls.plan import Plan, last_uses
from rtlm.hw.hls.technology import TECHNOLOGIES, find

CLOCKS = {"generic": 100, "xilinx-us+": 300, "ecp5": 25, "asic": 100}


def chains(plan):
    """For each live net: the operators of its combinational cone, and the longest delay through it."""
    for phase in plan.phases:
        live, cones = last_uses(phase), {}
        for net in phase.builder.nets:  # arguments come before what is computed from them
            inside = [cones[id(a)] for a in net.args if not a.is_const and a.stage == net.stage]
            operators = frozenset([net.operator]) if net.delay > 0 else frozenset()
            cones[id(net)] = (
                operators.union(*(behind for behind, _ in inside)),
                max((time for _, time in inside), default=0.0) + net.delay,
            )
            if id(net) in live:
                yield cones[id(net)]


@pytest.mark.parametrize("technology", TECHNOLOGIES)
@pytest.mark.parametrize("name", kernels.__all__)
def test_a_combinational_path_stays_within_one_operator_and_one_period(name, technology):
    plan = Plan(getattr(kernels, name), lanes=2, clock_mhz=CLOCKS[technology], technology=technology)
    period = find(technology).budget(CLOCKS[technology])
    found = list(chains(plan))
    assert found and max(time for _, time in found) > 0
    assert all(len(operators) <= 1 for operators, _ in found)
    assert max(time for _, time in found) <= period + 1e-9
