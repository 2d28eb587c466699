"""Cocotb side of the whole accelerator: host on AXI4-Lite, memory on every port, both from cocotbext-axi.

What to do comes from a file (`rtlm.host.verification.accelerator_bench` writes it): image, registers of each step,
and the logits that must come of it. Nothing here knows how the accelerator works.
"""

import itertools
import json
import os
import pathlib
import random

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge, with_timeout
from cocotbext.axi import (
    AxiBus,
    AxiLiteBus,
    AxiLiteMaster,
    AxiReadBus,
    AxiResp,
    AxiSlave,
    AxiWriteBus,
)
from rtlm.sim.unit_benches.points import Points
from rtlm.sim.unit_benches.streams import UNIT_MARGIN, budget, start_clock
from rtlm.sim.verilator.cocotb_runner import CLOCK_PERIOD_NS

SEED = int(os.environ["BENCH_SEED"])
FOLDER = pathlib.Path(os.environ["BENCH_FOLDER"])
CASE = json.loads((FOLDER / "case.json").read_text())
IMAGE = (FOLDER / "image.bin").read_bytes()
LOGITS = np.frombuffer((FOLDER / "logits.bin").read_bytes(), "<u4").reshape(len(CASE["steps"]), -1)
BEATS = len(IMAGE) // (CASE["ports"] * CASE["result_pieces"][0][1])
"""Of the memory image: what a step reads at most."""
BUS_FAULTS = 12
ENDS = {0: "not reached", **{error: name for name, error in CASE["bus_errors"].items()}}

POINTS = Points(FOLDER)
POINTS.cross("answer x how the step ends", (AxiResp.SLVERR.name, AxiResp.DECERR.name), ENDS.values())


class Memory:
    """What lies behind all ports; an access that touches `poison` fails."""

    def __init__(self):
        self.bytes = bytearray(IMAGE) + bytes(CASE["memory_bytes"] - len(IMAGE))
        self.poison = range(0)

    async def read(self, address, length):
        self._check(address, length)
        return bytes(self.bytes[address : address + length])

    async def write(self, address, data):
        self._check(address, len(data))
        self.bytes[address : address + len(data)] = data

    def _check(self, address, length):
        if address + length > len(self.bytes) or range(
            max(address, self.poison.start), min(address + length, self.poison.stop)
        ):
            raise ValueError("no such memory")

    def logits(self):
        """Float32 bits of the result buffer, gathered from the ports' parts of its beats."""
        raw = b"".join(bytes(self.bytes[start : start + size]) for start, size in CASE["result_pieces"])
        return np.frombuffer(raw, "<u4")[: LOGITS.shape[1]]


def pauses(rng, most):
    """Pause at random, in runs, with a probability that changes from time to time."""
    while True:
        level = rng.choice([0, 0, 0.5, 1]) * most
        for _ in range(rng.randrange(1, 60)):
            yield rng.random() < level


class System:
    """Accelerator, memory and host."""

    def __init__(self, dut, name):
        self.dut, self.rng, self.memory = dut, random.Random(f"{SEED} {name}"), Memory()
        self.patience = 0.0
        print(f"seed {SEED}")

    async def start(self, *, patience=0.0):
        """Connect and reset; memory and host pause with up to the given probability."""
        dut, self.patience = self.dut, patience
        start_clock(dut)
        dut.rst.value = 1
        self.channels = []
        for port in range(CASE["ports"]):
            prefix = f"m{port}_axi"
            bus = AxiBus(AxiWriteBus.from_prefix(dut, prefix), AxiReadBus.from_prefix(dut, prefix))
            slave = AxiSlave(bus, dut.clk, dut.rst, target=self.memory)
            for side in (slave.read_if, slave.write_if):
                side.log.setLevel("CRITICAL")
            slave.read_if.ar_channel.queue_occupancy_limit = 64
            slave.write_if.aw_channel.queue_occupancy_limit = 64
            self.channels += [slave.read_if.ar_channel, slave.read_if.r_channel]
            self.channels += [slave.write_if.aw_channel, slave.write_if.w_channel, slave.write_if.b_channel]
            self.answer_with(slave.read_if.r_channel, "rresp")
            self.answer_with(slave.write_if.b_channel, "bresp")
        self.master = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axi"), dut.clk, dut.rst)
        for side in (self.master.write_if, self.master.read_if):
            side.log.setLevel("ERROR")
        for channel in self.channels:
            if patience:
                channel.set_pause_generator(pauses(random.Random(self.rng.random()), patience))
        for _ in range(20):
            await RisingEdge(dut.clk)
        dut.rst.value = 0
        await RisingEdge(dut.clk)
        for address, value in CASE["setup"]:
            await self.write(address, value)
        self.response = AxiResp.SLVERR

    def answer_with(self, channel, field):
        """Let failing accesses be answered with `response`: the slave itself knows SLVERR only."""
        send = channel.send

        async def changed(beat):
            if getattr(beat, field) == AxiResp.SLVERR:
                setattr(beat, field, self.response)
            await send(beat)

        channel.send = changed

    @property
    def step_cycles(self):
        """Cycles in which a step must end: each beat may meet the longest pauses for address, data and answer."""
        return UNIT_MARGIN * 3 * budget(BEATS, 1 - self.patience)

    async def within_a_step(self, trigger):
        """Wait for something that takes no longer than a step may."""
        return await with_timeout(trigger, self.step_cycles * CLOCK_PERIOD_NS, "ns")

    async def write(self, address, value):
        answer = await self.within_a_step(self.master.write(address, value.to_bytes(4, "little")))
        assert answer.resp == AxiResp.OKAY, f"writing {address:#x} was answered with {answer.resp!r}"

    async def read(self, address):
        answer = await self.within_a_step(self.master.read(address, 4))
        assert answer.resp == AxiResp.OKAY, f"reading {address:#x} was answered with {answer.resp!r}"
        return int.from_bytes(answer.data, "little")

    async def step(self, number):
        """Run a step to its interrupt; give the error register."""
        for address, value in CASE["steps"][number]:
            await self.write(address, value)
        for _ in range(4):  # the interrupt of the last step falls with the start, just behind the answer
            await RisingEdge(self.dut.clk)
        if not int(self.dut.irq.value):
            await self.within_a_step(RisingEdge(self.dut.irq))
        return await self.read(CASE["error_address"])

    async def check_step(self, number):
        """Run a step that must give the golden model's logits."""
        error = await self.step(number)
        assert error == 0, f"step {number} ended with error {error}"
        got = self.memory.logits()
        wrong = np.flatnonzero(got != LOGITS[number])
        assert not wrong.size, f"step {number}: {wrong.size} logits differ, the first at {wrong[0]}"

    async def reset(self):
        """Reset by register; wait until outstanding transfers are over."""
        await self.write(CASE["control_address"], CASE["control_reset"])
        for _ in range(self.step_cycles):
            if not await self.read(CASE["status_address"]) & CASE["status_resetting"]:
                return
        raise AssertionError("the reset does not end")


@cocotb.test()
async def flat_out(dut):
    """Without pauses: the golden model's logits; the counters are written down."""
    system = System(dut, "flat out")
    await system.start()
    counters = []
    for number in range(len(LOGITS)):
        await system.check_step(number)
        counters.append({name: await system.read(address) for name, address in CASE["counters"].items()})
    (FOLDER / "counters.json").write_text(json.dumps(counters))


@cocotb.test()
async def random_ready(dut):
    """With random pauses on every channel of every port: the same bits."""
    system = System(dut, "random")
    await system.start(patience=0.8)
    for number in range(len(LOGITS)):
        await system.check_step(number)


@cocotb.test()
async def bus_faults(dut):
    """SLVERR and DECERR at random addresses: the documented error, or the right bits; a reset brings it back."""
    system = System(dut, "faults")
    await system.start(patience=0.4)
    await system.check_step(0)
    seen: set[str] = set()
    for number in itertools.count():
        if number >= BUS_FAULTS and len(seen) == 2:
            break
        assert number < 10 * BUS_FAULTS, f"only the errors {seen} ever came"
        start, size = system.rng.choice(CASE["accessed"])
        address = start + system.rng.randrange(size)
        system.memory.poison = range(address, address + 1)
        system.response = system.rng.choice([AxiResp.SLVERR, AxiResp.DECERR])
        error = await system.step(1)
        system.memory.poison = range(0)
        if error == 0:
            assert np.array_equal(system.memory.logits(), LOGITS[1]), "wrong logits and no error"
        else:
            assert error in ENDS, f"a bus fault at {address:#x} ended with error {error}"
            seen.add(error)
        POINTS.hit("answer x how the step ends", system.response.name, ENDS[error])
        await system.reset()
        await system.check_step(0)
        await system.check_step(1)
