"""Two masters of one memory: each finds what it wrote, and neither waits for ever."""

import random

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.sim import Simulator
from rtlm.hw.memory.arbiter import MemoryArbiter
from rtlm.hw.memory.axi import AXI4, RESPONSE_OKAY, Burst
from rtlm.hw.memory.block_memory import BlockMemory

PORT = AXI4(address_bits=12, data_bits=32)
DEPTH, HALF = 1024, 2048
LIMIT = 400
"""Cycles in which an access has to end, whatever the other master does."""


async def write(context, axi, address, values, rng):
    context.set(axi.awaddr, address)
    context.set(axi.awlen, len(values) - 1)
    context.set(axi.awvalid, 1)
    # Data are offered before their address is taken, now and then.
    early = rng.random() < 0.5
    if early:
        context.set(axi.wdata, values[0])
        context.set(axi.wlast, len(values) == 1)
        context.set(axi.wvalid, 1)
    taken = await until(context, axi.awready, axi.wready if early else None)
    context.set(axi.awvalid, 0)
    for n, value in enumerate(values):
        if n == 0 and taken:
            continue
        context.set(axi.wvalid, 0)
        if rng.random() < 0.2:
            await context.tick()
        context.set(axi.wdata, value)
        context.set(axi.wlast, n == len(values) - 1)
        context.set(axi.wvalid, 1)
        await until(context, axi.wready)
    context.set(axi.wvalid, 0)
    context.set(axi.bready, 1)
    await until(context, axi.bvalid)
    context.set(axi.bready, 0)


async def until(context, signal, other=None):
    """Wait for the cycle in which a signal is 1; say whether the other one was, which must not come before."""
    for _ in range(LIMIT):
        _, _, seen, also = await context.tick().sample(signal, 0 if other is None else other)
        assert seen or not also, "data were taken before their address"
        if seen:
            return bool(also)
    pytest.fail("an access did not end")


async def read(context, axi, address, count, rng):
    context.set(axi.araddr, address)
    context.set(axi.arlen, count - 1)
    context.set(axi.arvalid, 1)
    await until(context, axi.arready)
    context.set(axi.arvalid, 0)
    values = []
    for _ in range(LIMIT):
        ready = rng.random() < 0.8
        context.set(axi.rready, ready)
        _, _, valid, value, last, response = await context.tick().sample(axi.rvalid, axi.rdata, axi.rlast, axi.rresp)
        if ready and valid:
            values.append(value)
            assert response == RESPONSE_OKAY and last == (len(values) == count)
            if last:
                break
    context.set(axi.rready, 0)
    return values


def test_two_masters_find_what_they_wrote(seed):
    m = Module()
    m.submodules.arbiter = arbiter = MemoryArbiter(PORT)
    m.submodules.memory = memory = BlockMemory(address_bits=12, data_bits=32, depth=DEPTH)
    wiring.connect(m, arbiter.axi, memory.axi)
    done = [0, 0]

    def master(number):
        async def bench(context):
            rng, axi = random.Random(seed + number), getattr(arbiter, f"m{number}_axi")
            for name in ("ar", "aw"):
                context.set(getattr(axi, f"{name}size"), 2)
                context.set(getattr(axi, f"{name}burst"), Burst.INCR)
            context.set(axi.wstrb, 15)
            content = {}
            for _ in range(25):
                count = rng.choice([1, 2, 5, 16])
                address = HALF * number + 4 * rng.randrange(HALF // 4 - count)
                if rng.random() < 0.5:
                    values = [rng.getrandbits(32) for _ in range(count)]
                    await write(context, axi, address, values, rng)
                    content |= {address + 4 * n: value for n, value in enumerate(values)}
                else:
                    got = await read(context, axi, address, count, rng)
                    assert got == [content.get(address + 4 * n, 0) for n in range(count)]
                done[number] += 1

        return bench

    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    for number in range(2):
        simulator.add_testbench(master(number))
    simulator.run()
    assert done == [25, 25]


def test_a_master_that_never_rests_does_not_keep_the_other_waiting():
    """The first asks for one burst after the other, several at once; the second has its turn between."""
    m = Module()
    m.submodules.arbiter = arbiter = MemoryArbiter(PORT)
    m.submodules.memory = memory = BlockMemory(address_bits=12, data_bits=32, depth=DEPTH, init=range(DEPTH))
    wiring.connect(m, arbiter.axi, memory.axi)
    finished = []

    async def greedy(context):
        axi = arbiter.m0_axi
        context.set(axi.arsize, 2)
        context.set(axi.arburst, Burst.INCR)
        context.set(axi.arlen, 15)
        context.set(axi.arvalid, 1)
        context.set(axi.rready, 1)
        while len(finished) < 10:
            await context.tick()

    async def modest(context):
        axi, rng = arbiter.m1_axi, random.Random(1)
        context.set(axi.arsize, 2)
        context.set(axi.arburst, Burst.INCR)
        for n in range(10):
            finished.append(await read(context, axi, 4 * n, 2, rng))

    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(greedy)
    simulator.add_testbench(modest)
    simulator.run()
    assert finished == [[n, n + 1] for n in range(10)]
