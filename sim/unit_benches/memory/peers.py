"""What the memory benches share in cocotb: the memory behind the ports, an AXI rule checker, random streams."""

import itertools
import os
import random
from collections import deque

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge
from cocotbext.axi import AxiBus, AxiReadBus, AxiSlave, AxiWriteBus
from rtlm.sim.unit_benches.memory.bench import MemoryParams

PERIOD_NS = 10
SEED = int(os.environ["BENCH_SEED"])
PARAMS = MemoryParams.from_json(os.environ["BENCH_PARAMS"])
READER, WRITER = PARAMS.reader, PARAMS.writer
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
        self.reads: deque = deque()
        self.beats, self.most_outstanding, self.writes = 0, 0, 0
        self.unanswered = 0
        self.lengths: deque = deque()
        self.sent = 0
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
        self.rng = random.Random(f"{SEED} {name}")
        print(f"seed {SEED}")
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
            slave.write_if.aw_channel.queue_occupancy_limit = 64
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
        expected: dict[int, list[int]] = {DATA: [], PROGRAM: []}
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
            word, words, kind = segment
            await self.segment(word, words, kind, gap)
