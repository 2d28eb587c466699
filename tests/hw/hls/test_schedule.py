"""Schedules: what lies between two registers of a pipeline fits the clock, or a share of it with several operators."""

import pytest
from rtlm.hw import hls, kernels
from rtlm.hw.hls.directives import CHAINED_SHARE
from rtlm.hw.hls.phase import last_uses
from rtlm.hw.hls.technology import TECHNOLOGIES, find

from tests.hw.hls.simulate import check

CLOCKS = {"generic": 100, "xilinx-us+": 300, "ecp5": 25, "asic": 100}


def paths(plan):
    """For each live net the longest path to it within a cycle: by operator, and under None through several."""
    for phase in plan.phases:
        live, longest = last_uses(phase), {}
        for net in phase.builder.nets:  # arguments come before what is computed from them
            before = [] if net.memory or net.taker else net.args
            here = {}
            for a in before:
                for operator, time in longest[id(a)].items() if not a.is_const and a.stage == net.stage else ():
                    through = operator if net.delay == 0 or operator == net.operator else None
                    here[through] = max(here.get(through, 0.0), time + net.delay)
            if net.delay > 0:
                here[net.operator] = max(here.get(net.operator, 0.0), net.delay)
            longest[id(net)] = here
            if id(net) in live:
                yield net, here


def longest_paths(plan):
    """Longest path of a plan within an operator, and through several."""
    found = [here for _, here in paths(plan)]
    within = max(time for here in found for operator, time in here.items() if operator is not None)
    return within, max((here[None] for here in found if None in here), default=0.0)


@pytest.mark.parametrize("chain", [None, True, False])
@pytest.mark.parametrize(("technology", "ii"), [*((technology, None) for technology in TECHNOLOGIES), ("generic", 3)])
@pytest.mark.parametrize("name", kernels.__all__)
def test_a_combinational_path_is_as_long_as_it_may_be(name, technology, ii, chain):
    clock = CLOCKS[technology]
    plan = getattr(kernels, name).plan(lanes=2, clock_mhz=clock, technology=technology, ii=ii, chain=chain)
    period = find(technology).budget(clock) + 1e-9
    within, across = longest_paths(plan)
    assert 0 < within <= period
    assert across <= {None: CHAINED_SHARE, True: 1.0, False: 0.0}[chain] * period


@pytest.mark.parametrize("name", kernels.__all__)
def test_operators_in_one_cycle_take_no_longer(name):
    never, share, always = (
        getattr(kernels, name).schedule(clock_mhz=100, chain=chain) for chain in (False, None, True)
    )
    assert always.latency <= share.latency <= never.latency


def test_tiny_operators_share_a_cycle():
    """Sixteen small operators at a slow clock are a stage, not sixteen."""

    @hls.kernel
    def tiny(a: hls.UInt(4), b: hls.UInt(4)) -> hls.UInt(4):
        for n in range(8):
            a = hls.wrap(a + b, hls.UInt(4)) ^ (n + 1)
        return a

    assert tiny.schedule(clock_mhz=25, technology="ecp5").latency == 2
    assert tiny.schedule(clock_mhz=25, technology="ecp5", chain=False).latency == 16
    check(tiny, clock_mhz=25)


@pytest.mark.parametrize("name", kernels.__all__)
def test_a_product_that_needs_it_has_registers_on_both_sides(name):
    plan = getattr(kernels, name).plan(lanes=2, clock_mhz=300, technology="xilinx-us+")
    for phase in plan.phases:
        for net in phase.builder.nets:
            late = [a for a in net.args if not a.is_const and a.stage == net.reads_at and a.time > 0 and not net.taker]
            if net.delay > 0:
                assert not (late and net.alone) and not any(a.alone for a in late)
                assert net.stage > 0 or not net.alone


@pytest.mark.parametrize(("clock_mhz", "latency"), [(100, 1), (200, 1), (300, 2), (400, 4), (500, 4)])
def test_a_product_has_as_many_registers_as_its_clock_needs(clock_mhz, latency):
    """24 x 24 bits in two blocks: among logic, with registers around it, and with more in front of the sum."""

    @hls.kernel
    def product(a: hls.UInt(24), b: hls.UInt(24)) -> hls.UInt(48):
        return a * b

    assert product.schedule(clock_mhz=clock_mhz, technology="xilinx-us+").latency == latency
    check(product, clock_mhz=clock_mhz, technology="xilinx-us+")


def multipliers(kernel):
    """Operands' widths of the products that a kernel of UltraScale+ leaves to synthesis at 300 MHz."""
    (phase,) = kernel.plan(clock_mhz=300, technology="xilinx-us+").phases
    block = find("xilinx-us+").block
    assert all(block.holds(*(a.width + (not a.shape.signed) for a in net.args)) for net in _products(phase))
    return [tuple(a.width for a in net.args) for net in _products(phase)]


def _products(phase):
    fills = find("xilinx-us+").multiply_ns
    return [net for net in phase.builder.nets if net.delay >= fills and len(net.args) == 2]


def test_a_block_need_not_multiply_zeros():
    """The significand of a BF16 that became an F32 has 8 bits."""

    @hls.kernel
    def scaled(x: hls.F32, y: hls.BF16) -> hls.F32:
        return x * hls.convert(y, hls.F32)

    assert multipliers(scaled) == [(24, 8)]
    check(scaled, clock_mhz=300, technology="xilinx-us+")


def test_a_product_is_cut_where_least_is_left_beside_a_block():
    """18 bits without a sign are one too many for a block: one bit is multiplied in tables."""

    @hls.kernel
    def product(a: hls.UInt(23), b: hls.UInt(18)) -> hls.UInt(41):
        return a * b

    assert multipliers(product) == [(17, 23)]
    check(product, clock_mhz=300, technology="xilinx-us+")


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
                for start, ports in unit.turns.values():
                    assert {port.stage for port in ports if not port.is_const} == {start}


def test_shared_operators_are_as_few_as_the_interval_allows():
    wide, shared = (kernels.swiglu.schedule(lanes=4, ii=ii).operators for ii in (1, 4))
    assert shared == {operator: count // 4 for operator, count in wide.items()}
    assert kernels.swiglu.schedule(lanes=4, ii=4).register_bits < kernels.swiglu.schedule(lanes=4).register_bits / 2


def test_a_constant_takes_a_turn_that_is_left():
    """Two products of varying operands leave two turns of four to one with a constant, and none of two."""

    @hls.kernel
    def cubic(x: hls.F32) -> hls.F32:
        return x * x * x * 0.3

    multiply = {ii: cubic.schedule(ii=ii).operators["F32 multiply"] for ii in (1, 2, 3, 4)}
    assert multiply == {1: 3, 2: 2, 3: 1, 4: 1}
    assert cubic.plan().turns == 3
    for ii in (2, 3, 4):
        check(cubic, lanes=2, ii=ii)


def test_fewest_registers_for_a_latency():
    """A square that is needed late waits as its narrow operand."""

    @hls.kernel
    def late(a: hls.SInt(8), x: hls.F32) -> hls.F32:
        return hls.exp2(x) + hls.to_float(a * a)

    plan = late.plan(clock_mhz=300, chain=False)
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


def test_a_state_is_written_before_the_next_beat_reads_it():
    """Where narrow operands wait, the shift moves behind the register that had its result."""

    @hls.kernel
    def moved(c: hls.SInt(6), x: hls.UInt(3)) -> hls.BOOL:
        return c == hls.previous(c << x)

    (phase,) = moved.plan().phases
    assert all(state.interval == 1 for state in phase.builder.states)
    check(moved, beats=200)
