"""The rules for step registers: in gates and for the host the same answers; locked registers keep their values."""

import random

import pytest
from amaranth.sim import Simulator
from rtlm.host.errors import AcceleratorError
from rtlm.host.runtime.device import ColumnInput, check_inputs
from rtlm.hw.control.errors import Error
from rtlm.hw.control.legality import STEP_RULES, Step, StepLimits, broken_step_rules
from rtlm.hw.control.step_check import StepCheck
from rtlm.hw.memory.axi import RESPONSE_OKAY, RESPONSE_SLVERR
from rtlm.hw.registers import Access, RegisterFile
from rtlm.hw.registers.accelerator import register_map

CONTEXT = 40
EDGES = (0, 1, 2, 3, CONTEXT - 1, CONTEXT, CONTEXT + 1, 1 << 16, 1 << 20, 1 << 31, (1 << 32) - 1)
"""Around every limit, and where a register's upper bits alone tell."""


def errors(step, limits):
    return {rule.error for rule in broken_step_rules(step, limits)}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, set()),
        ({"columns": 0}, {Error.BAD_COLUMNS}),
        ({"columns": 4}, {Error.BAD_COLUMNS}),
        ({"position": (CONTEXT, 0, 0)}, {Error.BAD_POSITION}),
        ({"position": (0, 1 << 31, 0)}, {Error.BAD_POSITION}),
        ({"position": (0, 0, CONTEXT)}, set()),  # takes no part
        ({"history": (CONTEXT, CONTEXT, 0)}, set()),
        ({"history": (0, CONTEXT + 1, 0)}, {Error.BAD_HISTORY}),
        ({"local_first": (0, 1, 9)}, set()),
        ({"local_first": (1, 0, 0)}, {Error.BAD_LOCAL_FIRST}),
        ({"local_first": (0, 2, 0), "position": (99, 0, 0)}, {Error.BAD_LOCAL_FIRST, Error.BAD_POSITION}),
    ],
)
def test_rules(change, expected):
    legal = {"columns": 2, "position": (0, CONTEXT - 1, 0), "history": (0, 0, 0), "local_first": (0, 0, 0)}
    assert errors(Step(**legal | change), StepLimits(columns=3, context_limit=CONTEXT)) == expected


@pytest.mark.parametrize(("columns", "context_limit"), [(1, 64), (3, CONTEXT)])
def test_gates_and_rules_agree(columns, context_limit, seed):
    limits, rng = StepLimits(columns=columns, context_limit=context_limit), random.Random(seed)
    check = StepCheck(limits)
    seen = set()

    async def bench(ctx):
        for trial in range(600):

            def draw(names=("position", "history", "local_first")):
                # One register in four is drawn from the edges, so that each rule is broken alone too.
                return {
                    name: [rng.choice(EDGES) if rng.random() < 0.25 else 0 for _ in range(columns)] for name in names
                }

            step = Step(columns=rng.choice((1, columns, rng.choice(EDGES))), **draw())
            ctx.set(check.columns, step.columns)
            for c in range(columns):
                for name in ("position", "history", "local_first"):
                    ctx.set(getattr(check, name)[c], getattr(step, name)[c])
            await ctx.tick()
            broken = [rule.error for i, rule in enumerate(STEP_RULES) if ctx.get(check.broken) >> i & 1]
            assert broken == [rule.error for rule in broken_step_rules(step, limits)], f"trial {trial}: {step}"
            seen.add(tuple(broken))

    simulator = Simulator(check)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()
    assert seen >= {(), *((rule.error,) for rule in STEP_RULES)}, "every rule alone"


def test_the_driver_refuses_what_the_gates_refuse(seed):
    """Before anything is written: no step that the driver lets pass breaks a rule."""
    rng, limits = random.Random(seed), StepLimits(columns=3, context_limit=CONTEXT)
    passed = refused = 0
    for _ in range(3000):
        columns = [
            ColumnInput(
                token=0,
                position=rng.choice((c, CONTEXT - 3 + c, *EDGES)),
                history=rng.choice((0, *EDGES)),
                local_first=rng.choice((0, c, c + 1)),
                slot=0,
            )
            for c in range(rng.randrange(5))
        ]
        values = {
            name: [getattr(column, name) for column in columns] + [0] * 3
            for name in ("position", "history", "local_first")
        }
        broken = broken_step_rules(Step(columns=len(columns), **values), limits)
        try:
            check_inputs(columns, limit=3, vocabulary=1, context=CONTEXT)
        except AcceleratorError:
            refused += bool(broken)
            continue
        passed += 1
        assert not broken, columns
    assert passed > 20 and refused > 200


def test_registers_of_a_step_are_locked():
    """Locked registers answer SLVERR and keep their values; the others are written; unlocked, all are."""
    registers = register_map(2)
    names = {register.name for register in registers.registers if register.locked}
    assert names == {
        "PROGRAM_BASE", "PROGRAM_WORDS", "PROGRAM_CRC", "LIMIT",
        "COLUMNS", "TOKEN", "POSITION", "HISTORY", "LOCAL_FIRST", "KV_BASE",
    }  # fmt: skip
    unit = RegisterFile(registers)
    bus = unit.s_axi

    async def write(ctx, address, value):
        for name, given in (("awaddr", address), ("wdata", value), ("wstrb", 15), ("bready", 1)):
            ctx.set(getattr(bus, name), given)
        ctx.set(bus.awvalid, 1)
        ctx.set(bus.wvalid, 1)
        await ctx.tick()
        ctx.set(bus.awvalid, 0)
        ctx.set(bus.wvalid, 0)
        (response,) = await ctx.tick().sample(bus.bresp).until(bus.bvalid)
        return response

    async def bench(ctx):
        for locked in (0, 1, 0):
            ctx.set(unit.locked, locked)
            for register in registers.registers:
                if register.access is not Access.READ_WRITE:
                    continue
                for address, signal in zip(register.offsets, unit.signals(register), strict=True):
                    before = ctx.get(signal)
                    response = await write(ctx, address, before ^ 0x8421)
                    refused = bool(locked and register.locked)
                    assert response == (RESPONSE_SLVERR if refused else RESPONSE_OKAY), register.name
                    assert ctx.get(signal) == (before if refused else before ^ 0x8421), register.name

    simulator = Simulator(unit)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()
