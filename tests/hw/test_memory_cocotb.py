"""cocotb side of the memory benches: reader, writer and registers between random streams and cocotbext-axi slaves.

It defines no pytest tests; tests/hw/test_memory_hardware.py builds the harness and runs this in Verilator.
"""

import itertools
import os
import random
from collections import deque

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge
from cocotbext.axi import AxiBus, AxiLiteBus, AxiLiteMaster, AxiReadBus, AxiResp, AxiSlave, AxiWriteBus
from rtlm.hw.memory import Access, BusFault
from test_memory_hardware import CASES, REGISTERS, case_params

PERIOD_NS = 10
CASE = os.environ.get("MEMORY_CASE", next(iter(CASES)))
SEED = int(os.environ.get("MEMORY_SEED", "1"))
READER, WRITER = case_params(CASE)
STRIPING = READER.striping
WORD = READER.word_bytes
BEATS = READER.beats_per_word
MEMORY_BYTES = 1 << READER.address_bits
WORDS = MEMORY_BYTES // WORD
STRIPE_WORDS = READER.burst_words
FULL = MEMORY_BYTES // STRIPING.beat_bytes
DATA, PROGRAM = 0, 1


class SharedMemory:
    """What lies behind all ports; accesses to `poison` fail."""

    def __init__(self, rng):
        self.bytes = bytearray(rng.randbytes(MEMORY_BYTES))
        self.poison = range(0)

    async def read(self, address, length):
        if address in self.poison:
            raise ValueError("poisoned")
        return bytes(self.bytes[address : address + length])

    async def write(self, address, data):
        if address in self.poison:
            raise ValueError("poisoned")
        self.bytes[address : address + len(data)] = data

    def word(self, number):
        """Gather a word as the linear image has it."""
        places = itertools.product(range(number * BEATS, (number + 1) * BEATS), range(STRIPING.ports))
        parts = (STRIPING.byte_address(beat, port) for beat, port in places)
        return b"".join(bytes(self.bytes[at : at + STRIPING.port_bytes]) for at in parts)


class Checker:
    """The AXI rules that a master can break, checked on one port in every cycle."""

    def __init__(self, dut, port):
        self.dut, self.port = dut, port
        self.limit = FULL
        self.reads, self.beats, self.most_outstanding, self.writes = deque(), 0, 0, 0
        self.unanswered = 0
        self.lengths, self.sent = deque(), 0
        self.held = {}
        cocotb.start_soon(self.run())

    def get(self, name):
        return int(getattr(self.dut, f"m{self.port}_axi__{name}").value)

    def handshake(self, channel, payload):
        """Tell whether the channel transfers now; a master that has set valid must not change its mind."""
        valid, ready = self.get(f"{channel}valid"), self.get(f"{channel}ready")
        now = tuple(self.get(name) for name in payload) if valid else None
        if channel in self.held:
            assert now == self.held[channel], f"{channel}: valid or payload changed while stalled"
        self.held.pop(channel, None)
        if valid and not ready:
            self.held[channel] = now
        return now if valid and ready else None

    def check_address(self, address, length, size, burst, identifier):
        width = STRIPING.port_bytes
        assert (1 << size, burst, identifier) == (width, 1, 0)
        assert address % width == 0
        assert address % 4096 + (length + 1) * width <= 4096, f"burst of {length + 1} at {address:#x} crosses 4 KiB"
        stripe, inside = divmod(address, STRIPING.stripe_bytes)
        assert inside // STRIPING.chunk_bytes == self.port, f"{address:#x} is not in a chunk of port {self.port}"
        beat = stripe * STRIPING.burst_beats + inside % STRIPING.chunk_bytes // width
        assert beat + length < self.limit, f"burst of {length + 1} at beat {beat} is beyond {self.limit}"

    async def run(self):
        while True:
            await RisingEdge(self.dut.clk)
            if int(self.dut.rst.value):
                continue
            if request := self.handshake("ar", ["araddr", "arlen", "arsize", "arburst", "arid"]):
                self.check_address(*request)
                self.reads.append(request[1])
                self.most_outstanding = max(self.most_outstanding, len(self.reads))
                assert len(self.reads) <= READER.outstanding
            assert self.get("rready") == 1
            if self.get("rvalid"):
                self.beats += 1
                assert bool(self.get("rlast")) == (self.reads[0] == 0)
                self.reads[0] -= 1
                if self.reads[0] < 0:
                    self.reads.popleft()
            # Before the address: data of a burst may not come in the cycle of its address.
            if beat := self.handshake("w", ["wdata", "wstrb", "wlast"]):
                assert self.lengths, "write data before its address"
                assert beat[1], "a beat without strobes"
                last = self.sent == self.lengths[0]
                assert bool(beat[2]) == last
                self.sent = 0 if last else self.sent + 1
                if last:
                    self.lengths.popleft()
            if request := self.handshake("aw", ["awaddr", "awlen", "awsize", "awburst", "awid"]):
                self.check_address(*request)
                assert request[1] < WRITER.burst_beats
                self.lengths.append(request[1])
                self.unanswered += 1
                self.writes += 1
                assert self.unanswered <= WRITER.outstanding
            assert self.get("bready") == 1
            if self.get("bvalid"):
                self.unanswered -= 1


def pauses(rng, probability):
    """Pause at random, in runs, with a probability that changes from time to time."""
    while True:
        level = probability()
        for _ in range(rng.randrange(1, 60)):
            yield rng.random() < level


class Bench:
    """Harness, memory, checkers and streams."""

    def __init__(self, dut, name):
        self.dut = dut
        self.rng = random.Random(f"{SEED} {CASE} {name}")
        print(f"seed {SEED}, case {CASE}")
        self.memory = SharedMemory(self.rng)
        self.data, self.program = [], []
        self.stall = 0.0
        self.cycles = 0
        cocotb.start_soon(Clock(dut.clk, PERIOD_NS, unit="ns").start())

    async def start(self, *, patience=0.0):
        """Reset and connect; memory pauses with up to the given probability."""
        dut = self.dut
        for name in ("i_segments__valid", "o_words__ready", "o_program__ready", "i__valid", "drain"):
            getattr(dut, name).value = 0
        dut.limit.value = FULL
        dut.rst.value = 1
        self.slaves, self.checkers = [], []
        for port in range(READER.ports):
            prefix = f"m{port}_axi_"
            bus = AxiBus(AxiWriteBus.from_prefix(dut, prefix), AxiReadBus.from_prefix(dut, prefix))
            slave = AxiSlave(bus, dut.clk, dut.rst, target=self.memory)
            for side in (slave.read_if, slave.write_if):
                side.log.setLevel("ERROR")
            slave.read_if.ar_channel.queue_occupancy_limit = 64
            for channel in (
                slave.read_if.ar_channel,
                slave.read_if.r_channel,
                slave.write_if.aw_channel,
                slave.write_if.w_channel,
                slave.write_if.b_channel,
            ):
                rng = random.Random(self.rng.random())
                if patience:
                    channel.set_pause_generator(pauses(rng, lambda rng=rng: rng.choice([0, 0, 0.5, 1]) * patience))
            self.slaves.append(slave)
            self.checkers.append(Checker(dut, port))
        for _ in range(4):
            await RisingEdge(dut.clk)
        dut.rst.value = 0
        for stream, into in (("o_words", self.data), ("o_program", self.program)):
            cocotb.start_soon(self.receive(stream, into))
        await RisingEdge(dut.clk)

    async def receive(self, stream, into):
        """Take words with random back-pressure; payloads must hold while stalled."""
        valid, ready, payload = (getattr(self.dut, f"{stream}__{name}") for name in ("valid", "ready", "payload"))
        held = None
        accept = 0
        while True:
            await RisingEdge(self.dut.clk)
            seen = int(payload.value) if int(valid.value) else None
            if held is not None and not int(self.dut.drain.value):
                assert seen == held, f"{stream}: payload changed or valid fell while stalled"
            held = seen if not accept else None
            if int(self.dut.drain.value):
                held = None
            elif seen is not None and accept:
                into.append(seen.to_bytes(WORD, "little"))
            accept = int(self.rng.random() >= self.stall)
            ready.value = accept

    async def send(self, stream, payload, gap=0.0):
        """Send one payload after a random gap."""
        valid, ready = getattr(self.dut, f"{stream}__valid"), getattr(self.dut, f"{stream}__ready")
        while self.rng.random() < gap:
            await RisingEdge(self.dut.clk)
        getattr(self.dut, f"{stream}__payload").value = payload
        valid.value = 1
        while True:
            await RisingEdge(self.dut.clk)
            if int(ready.value):
                break
        valid.value = 0

    async def segment(self, word, words, kind=DATA, gap=0.0):
        """Ask for words of memory."""
        payload = word * BEATS | words << READER.beat_bits | kind << (READER.beat_bits + 32)
        await self.send("i_segments", payload, gap)

    async def write(self, word, data, strobe, last, gap=0.0):
        """Write a word."""
        bits = READER.beat_bits
        payload = word * BEATS | int.from_bytes(data, "little") << bits
        payload |= (strobe | last << WORD) << (bits + 8 * WORD)
        await self.send("i", payload, gap)

    async def until(self, condition, cycles=40000):
        """Wait for a condition; a bus that hangs ends the test."""
        for _ in range(cycles):
            await RisingEdge(self.dut.clk)
            if condition():
                return
        raise AssertionError("this should have happened long ago")

    async def drain(self):
        """Reset reader and writer softly; `drain` may be one cycle only."""
        self.dut.drain.value = 1
        for _ in range(self.rng.choice([1, 1, 5])):
            await RisingEdge(self.dut.clk)
        if self.rng.random() < 0.5:
            await self.until(lambda: int(self.dut.reader_idle.value) and int(self.dut.writer_idle.value))
        self.dut.drain.value = 0
        await RisingEdge(self.dut.clk)
        self.data.clear()
        self.program.clear()

    def random_segment(self, words=WORDS, longest=3):
        """Choose first word, number of words and kind."""
        rng = self.rng
        length = rng.choice([1, 1, 1, 2, rng.randrange(0, 9), rng.randrange(1, longest * STRIPE_WORDS)])
        first = rng.randrange(words - length)
        if rng.random() < 0.4:  # near a stripe's end
            first = max(0, min(words - length, first // STRIPE_WORDS * STRIPE_WORDS - rng.randrange(3)))
        return first, length, int(rng.random() < 0.25)

    async def read_back(self, segments, gap=0.0):
        """Read segments and compare every word."""
        sender = cocotb.start_soon(self.send_all(segments, gap))
        expected = {DATA: [], PROGRAM: []}
        for first, length, kind in segments:
            expected[kind] += [self.memory.word(first + n) for n in range(length)]
        want_data, want_program = len(expected[DATA]), len(expected[PROGRAM])
        await self.until(lambda: len(self.data) >= want_data and len(self.program) >= want_program)
        await sender
        assert self.data == expected[DATA]
        assert self.program == expected[PROGRAM]
        self.data.clear()
        self.program.clear()

    async def send_all(self, segments, gap):
        for segment in segments:
            await self.segment(*segment, gap=gap)


@cocotb.test
async def random_reads_and_writes(dut):
    """Reader and writer at once, everything random: words in order, memory as expected."""
    bench = Bench(dut, "random")
    await bench.start(patience=0.9)
    half = WORDS // 2
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
                await bench.write(half + number, word, strobe, int(close and number == first + length - 1), gap)
        await bench.write(half, image[:WORD], (1 << WORD) - 1, 1)

    writer = cocotb.start_soon(writes())
    for stall in (0.0, 0.5, 0.0, 0.9):
        bench.stall = stall
        await bench.read_back([bench.random_segment(half) for _ in range(25)], gap=bench.rng.choice([0, 0.6]))
    await writer
    await bench.until(lambda: int(dut.writer_idle.value) and int(dut.reader_idle.value))
    assert not any(checker.unanswered or checker.lengths or checker.reads for checker in bench.checkers)
    assert b"".join(bench.memory.word(number) for number in range(half, WORDS)) == image
    assert int(dut.reader_error.value) == int(dut.writer_error.value) == BusFault.NONE.value


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
        task = cocotb.start_soon(bench.read_back(segments))
        beats = sum(words for _, words, _ in segments) * BEATS
        cycles = 0
        while checker.beats - before < beats:
            await RisingEdge(dut.clk)
            start = checker.beats if start is None and checker.beats > before else start
            cycles += start is not None
        await task
        print(f"{beats} beats in {cycles} cycles")
        assert beats >= utilisation * cycles
    for slave in bench.slaves:
        slave.read_if.r_channel.pause = True
    bench.data.clear()
    await bench.send_all([(number, 1, DATA) for number in range(READER.outstanding)], 0)
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
    reader_error = lambda: int(dut.reader_error.value)  # noqa: E731
    writer_error = lambda: int(dut.writer_error.value)  # noqa: E731
    idle = lambda: int(dut.reader_idle.value) and int(dut.writer_idle.value)  # noqa: E731
    healthy = [bench.random_segment(STRIPE_WORDS, 1) for _ in range(10)]

    # A read that fails; the segments behind it stay where they are.
    bad = 2 * STRIPE_WORDS + bench.rng.randrange(STRIPE_WORDS)
    address = STRIPING.byte_address(bad * BEATS, STRIPING.ports - 1)
    bench.memory.poison = range(address, address + STRIPING.port_bytes)
    await bench.segment(0, 5)
    await bench.segment(2 * STRIPE_WORDS, STRIPE_WORDS)
    await bench.until(reader_error)
    assert reader_error() == BusFault.RESPONSE.value
    await bench.until(lambda: int(dut.reader_idle.value))
    assert not any(checker.reads for checker in bench.checkers)
    # A write that fails.
    await bench.write(bad, bytes(WORD), (1 << WORD) - 1, 1)
    await bench.until(lambda: writer_error() and idle())
    assert writer_error() == BusFault.RESPONSE.value
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
        assert reader_error() == BusFault.LIMIT.value
        await bench.until(idle)
        assert bench.checkers[0].beats == beats
        await bench.drain()
    await bench.write(limit - 1, bytes(WORD), 1, 1)
    await bench.until(idle)
    assert not writer_error()
    writes = [checker.writes for checker in bench.checkers]
    await bench.write(limit, bytes(WORD), 1, 1)
    await bench.until(lambda: writer_error() and idle())
    assert writer_error() == BusFault.LIMIT.value
    assert [checker.writes for checker in bench.checkers] == writes
    await bench.drain()

    if BEATS > 1:
        await bench.send("i_segments", 1 | 1 << READER.beat_bits)
        await bench.send("i", 1 | (1 << WORD) - 1 << READER.beat_bits + 8 * WORD)
        await bench.until(lambda: reader_error() and writer_error())
        assert reader_error() == writer_error() == BusFault.ALIGNMENT.value
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
        dut.i_segments__valid.value = dut.i__valid.value = 0
        await bench.drain()
        bench.stall = 0.0
        await bench.until(lambda: int(dut.writer_idle.value))
        await bench.read_back([bench.random_segment(longest=1) for _ in range(4)])
    assert not any(checker.unanswered or checker.lengths or checker.reads for checker in bench.checkers)


@cocotb.test
async def registers(dut):
    """Every register by its definition: values, resets, strobes, pulses, errors, random gaps on all channels."""
    bench = Bench(dut, "registers")
    await bench.start()
    rng = bench.rng
    master = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axi_"), dut.clk, dut.rst)
    for interface in (master.write_if, master.read_if):
        interface.log.setLevel("ERROR")

    def go_random():
        for side in (master.write_if.aw_channel, master.write_if.w_channel, master.write_if.b_channel):
            side.set_pause_generator(pauses(random.Random(rng.random()), lambda: 0.6))
        for side in (master.read_if.ar_channel, master.read_if.r_channel):
            side.set_pause_generator(pauses(random.Random(rng.random()), lambda: 0.6))

    async def read(offset):
        answer = await master.read(offset, 4)
        return answer.resp, int.from_bytes(answer.data, "little")

    values = {}
    for register in REGISTERS.registers:
        for offset in register.offsets:
            values[offset] = register.reset if register.access is Access.READ_WRITE else None
    assert await read(REGISTERS.address("CONFIG")) == (AxiResp.OKAY, REGISTERS["CONFIG"].reset)
    go_random()
    pulses = {"start": 0, "stop": 0}
    for _ in range(300):
        register = rng.choice(REGISTERS.registers)
        index = rng.randrange(register.count or 1)
        offset = REGISTERS.address(register.name, index)
        if rng.random() < 0.5:
            resp, value = await read(offset)
            assert resp == AxiResp.OKAY
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
    for index in range(REGISTERS["ARRAY"].count):
        offset = REGISTERS.address("ARRAY", index)
        assert (await read(offset))[1] == int(getattr(dut, f"array__{index}").value) == values[offset]
