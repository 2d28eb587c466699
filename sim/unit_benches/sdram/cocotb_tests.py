"""Cocotb side of the SDRAM's bench: an AXI master of cocotbext-axi against a reference, rates, and what is refused."""

import json
import logging
import os
import pathlib
import random
import warnings

import cocotb
from cocotb.triggers import ReadOnly, RisingEdge, Timer
from cocotbext.axi import AxiBus, AxiMaster
from rtlm.sim.memory.sdram import COUNTS, PREFIX, PROBE, PROBE_PORTS, Violation
from rtlm.sim.unit_benches.sdram.bench import POWER_UP_US, PROBE_PARAMETERS

FOLDER = pathlib.Path(os.environ["BENCH_FOLDER"])
PERIOD_NS = 40
QUARTER_NS = PERIOD_NS // 4
TEST_MS = 20
ACCESSES = 100
MEMORY_BYTES = 1 << 25
ROW_BYTES = 1 << 10
STREAM_BYTES = 1 << 13
REFRESH_NS = 7812.5
LEAST_BYTES_PER_CYCLE = 3.6
"""Of four that both AXI port and SDRAM have at most; measured are 3.7 reading and 3.65 writing."""

logging.getLogger("cocotb.bench.axi_").setLevel(logging.WARNING)


async def clocks(dut):
    """Make the port's clock, twice that, and the memory's a quarter of its period later."""
    while True:
        for slow, fast, memory in ((1, 1, 0), (1, 0, 1), (0, 1, 0), (0, 0, 1)):
            dut.clk.value, dut.clk_fast.value, dut.clk_memory.value = slow, fast, memory
            await Timer(QUARTER_NS, "ns")


async def start(dut):
    """Start clocks, reset, and return the master when the memory is ready."""
    warnings.simplefilter("ignore", DeprecationWarning)  # cocotbext-axi's, of cocotb
    for name in PROBE_PORTS:
        getattr(dut, PROBE + name).value = 0
    dut.rst.value = 1
    cocotb.start_soon(clocks(dut))
    await Timer(10 * PERIOD_NS, "ns")
    master = AxiMaster(AxiBus.from_prefix(dut, "axi_"), dut.clk)
    for side in (master.write_if, master.read_if):
        side.log.setLevel(logging.WARNING)
    dut.rst.value = 0
    while not dut.ready.value:
        await RisingEdge(dut.clk)
    return master


def counts(dut):
    """Return what the memory has counted."""
    return {name: int(getattr(dut, PREFIX + name).value) for name in COUNTS}


def accepted(dut):
    """Check that the memory has refused nothing."""
    assert Violation(counts(dut)["violation"]) is Violation.NONE


def now():
    """Return the time in nanoseconds."""
    return cocotb.utils.get_sim_time("ns")


@cocotb.test(timeout_time=TEST_MS, timeout_unit="ms")
async def random_accesses(dut):
    """Reads and writes of any length anywhere, and near each other; the memory refuses no command."""
    master, rng, reference = await start(dut), random.Random(cocotb.RANDOM_SEED), bytearray(MEMORY_BYTES)
    for _ in range(ACCESSES):
        first = rng.choice([rng.randrange(16 * ROW_BYTES), rng.randrange(MEMORY_BYTES)])
        size = min(rng.choice([1, 2, 3, 4, 8, 60, ROW_BYTES]), MEMORY_BYTES - first)
        if rng.random() < 0.5:
            content = rng.randbytes(size)
            await master.write(first, content)
            reference[first : first + size] = content
        else:
            got = await master.read(first, size)
            assert bytes(got.data) == reference[first : first + size], f"{size} bytes at {first:#x}"
    accepted(dut)
    assert counts(dut)["activates"] > ACCESSES // 2


@cocotb.test(timeout_time=TEST_MS, timeout_unit="ms")
async def sequential_rates(dut):
    """Bursts of 1 KiB back to back, with refreshes in between: bytes a cycle of the port, written to rates.json."""
    master, content, rates = await start(dut), random.Random(1).randbytes(STREAM_BYTES), {}
    for name in ("write", "read"):
        began = now()
        if name == "write":
            await master.write(ROW_BYTES, content)
        else:
            assert bytes((await master.read(ROW_BYTES, STREAM_BYTES)).data) == content
        rates[name] = STREAM_BYTES * PERIOD_NS / (now() - began)
        assert LEAST_BYTES_PER_CYCLE < rates[name] < 4, rates
    (FOLDER / "rates.json").write_text(json.dumps(rates))
    accepted(dut)


@cocotb.test(timeout_time=TEST_MS, timeout_unit="ms")
async def refreshes_keep_the_pace(dut):
    """The memory is ready after the power-up time, and gets its refreshes on average, idle or not."""
    began = now()
    master = await start(dut)
    assert POWER_UP_US * 1000 < now() - began < POWER_UP_US * 1000 + 10_000
    began, before = now(), counts(dut)["refreshes"]
    await Timer(30 * REFRESH_NS, "ns")
    idle = counts(dut)["refreshes"] - before
    for number in range(3):
        await master.read(number * STREAM_BYTES, STREAM_BYTES // 2)
    due = (now() - began) / REFRESH_NS
    assert idle in (30, 31)
    assert due - 1 < counts(dut)["refreshes"] - before < due + 3
    accepted(dut)


NOTHING, PRECHARGE, REFRESH, MODE, ACTIVATE, READ, WRITE, STOP = 0b111, 0b010, 0b001, 0b000, 0b011, 0b101, 0b100, 0b110
ALL_BANKS = AUTO = 1 << 10
SETTINGS, LATENCY_3 = 0b010_0_001, 0b011_0_001
"""Mode register: sequential bursts of two, CAS latency 2; and 3."""
POWER_UP_CLOCKS = PROBE_PARAMETERS["POWER_UP_PS"] // PROBE_PARAMETERS["CLOCK_PS"] + 1
WAIT = (NOTHING, 0, 0, POWER_UP_CLOCKS)
REFRESHES = [(REFRESH, 0, 0, 10), (REFRESH, 0, 0, 10)]
READY = [WAIT, (PRECHARGE, ALL_BANKS, 0, 3), *REFRESHES, (MODE, SETTINGS, 0, 2)]
OPEN = [*READY, (ACTIVATE, 5, 1, 3)]
MISUSE = {
    "too early": (Violation.POWER_UP, [(PRECHARGE, ALL_BANKS, 0, 1)]),
    "no precharge": (Violation.POWER_UP, [WAIT, *REFRESHES]),
    "one refresh": (Violation.POWER_UP, [*READY[:3], (MODE, SETTINGS, 0, 1)]),
    "no mode": (Violation.POWER_UP, [*READY[:-1], (ACTIVATE, 0, 0, 1)]),
    "latency 3": (Violation.MODE, [*READY[:-1], (MODE, LATENCY_3, 0, 1)]),
    "tMRD": (Violation.MRD, [*READY[:-1], (MODE, SETTINGS, 0, 1), (ACTIVATE, 0, 0, 1)]),
    "closed bank": (Violation.STATE, [*READY, (READ, 0, 1, 1)]),
    "open bank": (Violation.STATE, [*OPEN, (NOTHING, 0, 0, 9), (ACTIVATE, 6, 1, 1)]),
    "burst stop": (Violation.STATE, [*READY, (STOP, 0, 0, 1)]),
    "refresh of an open row": (Violation.STATE, [*OPEN, (NOTHING, 0, 0, 9), (REFRESH, 0, 0, 1)]),
    "row that closes by itself": (Violation.STATE, [*OPEN, (READ, AUTO, 1, 9), (READ, 0, 1, 1)]),
    "tRCD": (Violation.RCD, [*READY, (ACTIVATE, 5, 1, 2), (READ, 0, 1, 1)]),
    "tRP": (Violation.RP, [*OPEN, (NOTHING, 0, 0, 9), (PRECHARGE, 0, 1, 2), (ACTIVATE, 0, 1, 1)]),
    "tRAS": (Violation.RAS, [*READY, (ACTIVATE, 5, 1, 5), (PRECHARGE, 0, 1, 1)]),
    "tRC": (Violation.RC, [*READY, (ACTIVATE, 5, 1, 6), (PRECHARGE, 0, 1, 3), (ACTIVATE, 0, 1, 1)]),
    "tRFC": (Violation.RFC, [*READY, (REFRESH, 0, 0, 9), (ACTIVATE, 0, 0, 1)]),
    "tRRD": (Violation.RRD, [*READY, (ACTIVATE, 0, 0, 1), (ACTIVATE, 0, 1, 1)]),
    "tWR": (Violation.WR, [*OPEN, (NOTHING, 0, 0, 9), (WRITE, 0, 1, 3), (PRECHARGE, 0, 1, 1)]),
    "contention": (Violation.CONTENTION, [*OPEN, (READ, 0, 1, 2), (WRITE, 0, 1, 1)]),
    "no refresh": (Violation.REFRESH, [*READY, (NOTHING, 0, 0, 3200)]),
    "all is well": (
        Violation.NONE,
        [*OPEN, (READ, 0, 1, 4), (WRITE, 0, 1, 4), (PRECHARGE, 0, 1, 3), (REFRESH, 0, 0, 10), (ACTIVATE, 0, 1, 1)],
    ),
}
"""What is refused, and commands: address, bank, clocks to the next one; the last one is wrong."""


@cocotb.test(timeout_time=TEST_MS, timeout_unit="ms")
async def misuse_is_refused(dut):
    """A second memory without a controller: each rule, broken by a clock."""
    pins = {name: getattr(dut, PROBE + name) for name in PROBE_PORTS}
    dut.rst.value = 1

    async def cycle(command=NOTHING, address=0, bank=0):
        pins["csn"].value = 0
        pins["rasn"].value, pins["casn"].value, pins["wen"].value = command >> 2 & 1, command >> 1 & 1, command & 1
        pins["a"].value, pins["ba"].value, pins["cke"].value, pins["dqm"].value = address, bank, 1, 0
        pins["clk"].value = 0
        await Timer(QUARTER_NS, "ns")
        pins["clk"].value = 1
        await Timer(QUARTER_NS, "ns")

    for name, (violation, commands) in MISUSE.items():
        pins["clear"].value = 1
        await cycle()
        pins["clear"].value = 0
        for command, address, bank, clocks in commands:
            await cycle(command, address, bank)
            for _ in range(max(clocks - 1, 0)):
                await cycle()
        await ReadOnly()
        assert Violation(int(dut.probe_violation.value)) is violation, name
        await Timer(1, "ns")
