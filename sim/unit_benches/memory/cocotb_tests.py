"""Cocotb side of the memory benches: reader, writer and registers between random streams and cocotbext-axi slaves.

It runs inside the simulator; memory.py makes the harness.
"""

import itertools
import os
import pathlib
import random

import cocotb
from cocotb.triggers import RisingEdge
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiResp
from rtlm.hw.memory import BusFault
from rtlm.hw.registers import Access
from rtlm.sim.unit_benches.memory.bench import REGISTERS
from rtlm.sim.unit_benches.memory.peers import (
    ADDRESS,
    BEATS,
    DATA,
    READER,
    STRIPE_WORDS,
    STRIPING,
    WORD,
    WORDS,
    WRITER,
    Bench,
    pauses,
    segment_payload,
)
from rtlm.sim.unit_benches.points import Points
from rtlm.sim.unit_benches.streams import UNIT_MARGIN, budget
from rtlm.sim.verilator.cocotb_runner import CLOCK_PERIOD_NS

STALLS = (0.0, 0.5, 0.9)
SHAPES = ("no word", "one word", "within a stripe", "over a stripe's end")
STROBES = {0: "no byte", (1 << WORD) - 1: "all bytes"}
FAULTS = [fault.name for fault in BusFault if fault is not BusFault.NONE and (BEATS > 1 or fault.name != "ALIGNMENT")]
ACCESSES, ROUNDS, PAUSE = 300, 20, 0.6
"""Random accesses to registers, then rounds in which the array is written and read at once; pauses of each channel."""
# Beside these, each register is read and written once or twice. Address, data and answer of each access may wait.
_ALL = ACCESSES + 2 * (ROUNDS + 1) * REGISTERS.size // 4
REGISTERS_NS = CLOCK_PERIOD_NS * UNIT_MARGIN * 3 * budget(_ALL, 1 - PAUSE)
POINTS = Points(pathlib.Path(os.environ["BENCH_FOLDER"]))
POINTS.cross("segment x stream x chance that it is not taken", SHAPES, ("data", "program"), STALLS)
POINTS.cross("write's strobes x last of a run", (*STROBES.values(), "some bytes"), ("last", "not last"))
POINTS.cross("fault", ("reader", "writer"), FAULTS)
POINTS.cross("register access", [access.name for access in Access], ("read", "write"))


def shape(first, words):
    """Name a segment by its length and where it ends."""
    if words < 2:
        return SHAPES[words]
    return SHAPES[2 + (first // STRIPE_WORDS != (first + words - 1) // STRIPE_WORDS)]


@cocotb.test
async def random_reads_and_writes(dut):
    """Reader and writer at once, everything random: words in order, memory as expected."""
    bench = Bench(dut, "random")
    await bench.start(patience=0.9)
    half, shapes = WORDS // 2, []
    image = bytearray(b"".join(bench.memory.word(number) for number in range(half, WORDS)))

    async def writes():
        rng = bench.rng
        for _ in range(60):
            length = rng.choice([1, 1, 2, rng.randrange(1, 40), STRIPE_WORDS])
            first = rng.randrange(half - length)
            close = rng.random() < 0.8
            gap = rng.choice([0, 0, 0.5, 0.9])
            for number in range(first, first + length):
                strobe = (1 << WORD) - 1
                if rng.random() < (0.7 if length == 1 else 0.1):
                    strobe = rng.choice([0xF << 4 * rng.randrange(WORD // 4), rng.getrandbits(WORD), 0])
                word = rng.randbytes(WORD)
                for at in range(WORD):
                    if strobe >> at & 1:
                        image[number * WORD + at] = word[at]
                last = int(close and number == first + length - 1)
                await bench.write(half + number, word, strobe, last, gap)
                shapes.append((STROBES.get(strobe, "some bytes"), "last" if last else "not last"))
        await bench.write(half, image[:WORD], (1 << WORD) - 1, 1)

    writer = cocotb.start_soon(writes())
    for stall in (0.0, 0.5, 0.0, 0.9):
        bench.stall = stall
        segments = [bench.random_segment(half) for _ in range(25)]
        await bench.read_back(segments, gap=bench.rng.choice([0, 0.6]))
        for first, words, kind in segments:
            stream = "data" if kind == DATA else "program"
            POINTS.hit("segment x stream x chance that it is not taken", shape(first, words), stream, stall)
    await writer
    await bench.until(lambda: int(dut.writer_idle.value) and int(dut.reader_idle.value))
    assert not any(checker.unanswered or checker.lengths or checker.reads for checker in bench.checkers)
    assert b"".join(bench.memory.word(number) for number in range(half, WORDS)) == image
    assert int(dut.reader_error.value) == int(dut.writer_error.value) == BusFault.NONE.value
    for strobes, last in shapes:
        POINTS.hit("write's strobes x last of a run", strobes, last)


@cocotb.test
async def full_rate(dut):
    """A beat a cycle with long and with single-word segments, as many bursts as allowed, bursts as long as possible."""
    bench = Bench(dut, "rate")
    await bench.start()
    for segments, utilisation in (
        ([(0, 4 * STRIPE_WORDS, DATA), (3, 4 * STRIPE_WORDS, DATA)], 0.97),
        ([(bench.rng.randrange(WORDS), 1, DATA) for _ in range(300)], 0.95),
    ):
        checker = bench.checkers[-1]
        before, start = checker.beats, None
        task = cocotb.start_soon(bench.read_back(segments))  # ends where it takes too long
        beats = sum(words for _, words, _ in segments) * BEATS
        cycles = 0
        while checker.beats - before < beats and not task.done():
            await RisingEdge(dut.clk)
            start = checker.beats if start is None and checker.beats > before else start
            cycles += start is not None
        await task
        print(f"{beats} beats in {cycles} cycles")
        assert beats >= utilisation * cycles
    for slave in bench.slaves:
        slave.read_if.r_channel.pause = True
    bench.data.clear()
    await bench.send("i_segments", *(segment_payload(number, 1) for number in range(READER.outstanding)))
    for _ in range(40):
        await RisingEdge(dut.clk)
    assert all(checker.most_outstanding == READER.outstanding for checker in bench.checkers)
    for slave in bench.slaves:
        slave.read_if.r_channel.pause = False
    await bench.until(lambda: len(bench.data) == READER.outstanding)
    writes = [checker.writes for checker in bench.checkers]
    run = 4 * WRITER.burst_beats // BEATS
    for number in range(run):
        await bench.write(number, bytes(WORD), (1 << WORD) - 1, int(number == run - 1))
    await bench.until(lambda: int(dut.writer_idle.value))
    assert [checker.writes - n for checker, n in zip(bench.checkers, writes, strict=True)] == [4] * READER.ports


@cocotb.test
async def buffer_holds_what_it_says(dut):
    """With its outputs stalled the reader fetches exactly as many words as it can keep, and says why it stops."""
    bench = Bench(dut, "buffer")
    await bench.start()
    bench.stall = 1.0
    reads = cocotb.start_soon(bench.read_back([(0, 2 * READER.prefetch_words, DATA)]))
    for _ in range(READER.prefetch_words * BEATS + 200):
        await RisingEdge(dut.clk)
    # One word more than the buffer waits in its output register; bursts are not cut to fill the last room.
    held = bench.checkers[0].beats // BEATS
    assert READER.prefetch_words - READER.burst_words < held <= READER.prefetch_words + 1
    assert int(dut.starved_credit.value) and not int(dut.beat_stalled.value)
    bench.stall = 0.0
    await reads
    await bench.until(lambda: int(dut.no_segment.value) and int(dut.reader_idle.value))


@cocotb.test
async def faults_stop_and_drain_recovers(dut):
    """Error responses, limits and odd addresses: a code, no hang, no forbidden request, and as new after a drain."""
    bench = Bench(dut, "faults")
    await bench.start(patience=0.7)

    def reader_error():
        return int(dut.reader_error.value)

    def writer_error():
        return int(dut.writer_error.value)

    def noted(side, fault):
        POINTS.hit("fault", side, fault.name)
        return fault.value

    def idle():
        return int(dut.reader_idle.value) and int(dut.writer_idle.value)

    healthy = [bench.random_segment(STRIPE_WORDS, 1) for _ in range(10)]

    # A read that fails; the segments behind it stay where they are.
    bad = 2 * STRIPE_WORDS + bench.rng.randrange(STRIPE_WORDS)
    address = STRIPING.byte_address(bad * BEATS, STRIPING.ports - 1)
    bench.memory.poison = range(address, address + STRIPING.port_bytes)
    await bench.segment(0, 5)
    await bench.segment(2 * STRIPE_WORDS, STRIPE_WORDS)
    await bench.until(reader_error)
    assert reader_error() == noted("reader", BusFault.RESPONSE)
    await bench.until(lambda: int(dut.reader_idle.value))
    assert not any(checker.reads for checker in bench.checkers)
    # A write that fails.
    await bench.write(bad, bytes(WORD), (1 << WORD) - 1, 1)
    await bench.until(lambda: writer_error() and idle())
    assert writer_error() == noted("writer", BusFault.RESPONSE)
    writes = [checker.writes for checker in bench.checkers]
    for number in range(20):
        await bench.write(number, bytes(WORD), (1 << WORD) - 1, 1)
    assert [checker.writes for checker in bench.checkers] == writes, "words after a fault are dropped"
    bench.memory.poison = range(0)
    await bench.drain()
    await bench.read_back(healthy)
    assert not reader_error() and not writer_error()

    # The last word below the limit, then the first beyond it; a long segment that ends beyond is not begun.
    limit = 3 * STRIPE_WORDS + 5
    dut.limit.value = limit * BEATS
    for checker in bench.checkers:
        checker.limit = limit * BEATS
    for first, words in ((limit, 1), (limit - 1, 2), (0, limit + 1), (WORDS - 1, 1 << 31), (0, (1 << 32) - 1)):
        await bench.read_back([(limit - 1, 1, DATA), (0, limit, DATA)])
        beats = bench.checkers[0].beats
        await bench.segment(first, words)
        await bench.until(reader_error)
        assert reader_error() == noted("reader", BusFault.LIMIT)
        await bench.until(idle)
        assert bench.checkers[0].beats == beats
        await bench.drain()
    await bench.write(limit - 1, bytes(WORD), 1, 1)
    await bench.until(idle)
    assert not writer_error()
    writes = [checker.writes for checker in bench.checkers]
    await bench.write(limit, bytes(WORD), 1, 1)
    await bench.until(lambda: writer_error() and idle())
    assert writer_error() == noted("writer", BusFault.LIMIT)
    assert [checker.writes for checker in bench.checkers] == writes
    await bench.drain()

    if BEATS > 1:
        await bench.send("i_segments", 1 | 1 << ADDRESS)
        await bench.send("i", 1 | (1 << WORD) - 1 << ADDRESS + 8 * WORD)
        await bench.until(lambda: reader_error() and writer_error())
        assert reader_error() == noted("reader", BusFault.ALIGNMENT)
        assert writer_error() == noted("writer", BusFault.ALIGNMENT)
        await bench.drain()
    await bench.read_back(healthy)
    assert not reader_error() and not writer_error()


@cocotb.test
async def drain_at_any_time(dut):
    """A drain in the middle of everything; what is read afterwards is right, and what was written is complete."""
    bench = Bench(dut, "drain")
    await bench.start(patience=0.9)
    for _ in range(25):
        bench.stall = bench.rng.choice([0.0, 0.5, 1.0])

        async def requests():
            while True:
                await bench.segment(*bench.random_segment())

        async def writes():
            for number in itertools.count():
                await bench.write(number % WORDS, bytes(WORD), (1 << WORD) - 1, int(bench.rng.random() < 0.2))

        tasks = [cocotb.start_soon(requests()), cocotb.start_soon(writes())]
        for _ in range(bench.rng.randrange(1, 300)):
            await RisingEdge(dut.clk)
        for task in tasks:
            task.cancel()
        for name in ("i_segments", "i"):
            bench.sources[name].withdraw()
        await bench.drain()
        bench.stall = 0.0
        await bench.until(lambda: int(dut.writer_idle.value))
        await bench.read_back([bench.random_segment(longest=1) for _ in range(4)])
    assert not any(checker.unanswered or checker.lengths or checker.reads for checker in bench.checkers)


@cocotb.test(timeout_time=REGISTERS_NS, timeout_unit="ns")
async def registers(dut):
    """Every register by its definition: values, resets, strobes, pulses, errors, random gaps on all channels."""
    bench = Bench(dut, "registers")
    await bench.start()
    rng = bench.rng
    master = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axi"), dut.clk, dut.rst)
    for interface in (master.write_if, master.read_if):
        interface.log.setLevel("ERROR")

    def go_random():
        for side in (master.write_if.aw_channel, master.write_if.w_channel, master.write_if.b_channel):
            side.set_pause_generator(pauses(random.Random(rng.random()), lambda: PAUSE))
        for side in (master.read_if.ar_channel, master.read_if.r_channel):
            side.set_pause_generator(pauses(random.Random(rng.random()), lambda: PAUSE))

    async def read(offset):
        answer = await master.read(offset, 4)
        return answer.resp, int.from_bytes(answer.data, "little")

    values: dict[int, int] = {}
    for register in REGISTERS.registers:
        for offset in register.offsets:
            if register.access is Access.READ_WRITE:
                values[offset] = register.reset
    assert await read(REGISTERS.address("CONFIG")) == (AxiResp.OKAY, REGISTERS["CONFIG"].reset)
    go_random()
    pulses = {"start": 0, "stop": 0}
    for _ in range(ACCESSES):
        register = rng.choice(REGISTERS.registers)
        index = rng.randrange(register.count or 1)
        offset = REGISTERS.address(register.name, index)
        if rng.random() < 0.5:
            resp, value = await read(offset)
            assert resp == AxiResp.OKAY
            POINTS.hit("register access", register.access.name, "read")
            if register.access is Access.READ_WRITE:
                assert value == values[offset]
            elif register.access is Access.PULSE:
                assert value == 0
            else:
                assert register.decode(value) == pulses
            continue
        start = rng.randrange(4)
        data = rng.randbytes(rng.randrange(1, 5 - start))
        answer = await master.write(offset + start, data)
        POINTS.hit("register access", register.access.name, "write")
        if register.access is Access.READ:
            assert answer.resp == AxiResp.SLVERR
            continue
        assert answer.resp == AxiResp.OKAY
        if register.access is Access.PULSE:
            for name, bit in register.decode(int.from_bytes(data, "little") << 8 * start).items():
                pulses[name] = (pulses[name] + bit) & 0xFFFF
        else:
            kept = bytearray(values[offset].to_bytes(4, "little"))
            kept[start : start + len(data)] = data
            values[offset] = int.from_bytes(kept, "little") & register.used_mask
    for offset in (REGISTERS.size, 0x1C, 0xFFFC, 0x8000 + REGISTERS.address("CONFIG")):
        assert (await read(offset))[0] == AxiResp.SLVERR
        assert (await master.write(offset, bytes(4))).resp == AxiResp.SLVERR
    for index in range(REGISTERS["ARRAY"].count or 0):
        offset = REGISTERS.address("ARRAY", index)
        assert (await read(offset))[1] == int(getattr(dut, f"array__{index}").value) == values[offset]

    # Several at once: the next address may come while the answer to the last one is not taken.
    array = [REGISTERS.address("ARRAY", index) for index in range(REGISTERS["ARRAY"].count or 0)]
    for _ in range(ROUNDS):
        written = [rng.randbytes(4) for _ in array]
        tasks = [cocotb.start_soon(master.write(*pair)) for pair in zip(array, written, strict=True)]
        assert [(await task).resp for task in tasks] == [AxiResp.OKAY] * len(array)
        tasks = [cocotb.start_soon(master.read(offset, 4)) for offset in array]
        assert [(await task).data for task in tasks] == written
