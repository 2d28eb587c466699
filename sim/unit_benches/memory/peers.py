"""What the memory benches share in cocotb: the memory behind the ports, an AXI rule checker, random streams."""

import itertools
import os
import random
from collections import deque

import cocotb
from cocotb.triggers import RisingEdge
from cocotbext.axi import AxiBus, AxiReadBus, AxiSlave, AxiWriteBus
from rtlm.sim.unit_benches.memory.bench import MemoryParams
from rtlm.sim.unit_benches.streams import UNIT_MARGIN, Hold, Sink, Source, budget, reset, start_clock, until

SEED = int(os.environ["BENCH_SEED"])
PARAMS = MemoryParams.from_json(os.environ["BENCH_PARAMS"])
READER, WRITER = PARAMS.reader, PARAMS.writer
STRIPING = READER.striping
WORD = READER.word_bytes
BEATS = READER.beats_per_word
ADDRESS = READER.segment["words"].offset
"""Bits of the address of a request."""
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
        self.holds = {channel: Hold(f"m{port}_axi {channel}") for channel in ("ar", "aw", "w")}
        cocotb.start_soon(self.run())

    def get(self, name):
        return int(getattr(self.dut, f"m{self.port}_axi_{name}").value)

    def handshake(self, channel, payload):
        """Return what the channel transfers now; a master that has set valid must not change its mind."""
        valid, ready = self.get(f"{channel}valid"), self.get(f"{channel}ready")
        offered = tuple(self.get(name) for name in payload) if valid else None
        return self.holds[channel].see(offered, bool(ready))

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


def segment_payload(word, words, kind=DATA):
    """Return what asks for words of memory."""
    return word * BEATS | words << ADDRESS | kind << (ADDRESS + 32)


class Bench:
    """Harness, memory, checkers and streams."""

    def __init__(self, dut, name):
        self.dut = dut
        self.rng = random.Random(f"{SEED} {name}")
        print(f"seed {SEED}")
        self.memory = SharedMemory(self.rng)
        self.patience = 0.0
        self.data, self.program = [], []
        self.sources = {each: Source(dut, each, random.Random(f"{SEED} {name} {each}")) for each in ("i_segments", "i")}
        self.sinks = {
            each: Sink(dut, each, random.Random(f"{SEED} {name} {each}")) for each in ("o_words", "o_program")
        }
        self.stall = 0.0
        start_clock(dut)

    @property
    def stall(self):
        """Chance that a word is not taken, in a cycle."""
        return 1 - self.sinks["o_words"].chance

    @stall.setter
    def stall(self, chance):
        for name in ("o_words", "o_program"):
            self.sinks[name].chance = 1 - chance

    async def start(self, *, patience=0.0):
        """Reset and connect; memory pauses with up to the given probability."""
        dut, self.patience = self.dut, patience
        dut.rst.value = 1
        self.slaves, self.checkers = [], []
        for port in range(READER.ports):
            prefix = f"m{port}_axi"
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
        await reset(dut, drain=0, limit=FULL)
        cocotb.start_soon(self.run())
        await RisingEdge(dut.clk)

    async def run(self):
        """Move all streams; a drain may take back what an output offers."""
        into = {"o_words": self.data, "o_program": self.program}
        while True:
            await RisingEdge(self.dut.clk)
            drained = int(self.dut.drain.value)
            for source in self.sources.values():
                source.edge()
            for name, stream in self.sinks.items():
                if drained:
                    stream.hold.forget()
                word = stream.edge()
                if drained:
                    stream.hold.forget()
                elif word is not None:
                    into[name].append(word.to_bytes(WORD, "little"))

    async def send(self, stream, *payloads, gap=0.0):
        """Send payloads, each after a random gap; all that the reader keeps may have to go through before."""
        source = self.sources[stream]
        source.chance = 1 - gap
        cycles = self.budget(READER.prefetch_words + STRIPE_WORDS * len(payloads), transfers=len(payloads), gap=gap)
        await source.send(*payloads, cycles=cycles)

    async def segment(self, word, words, kind=DATA, gap=0.0):
        """Ask for words of memory."""
        await self.send("i_segments", segment_payload(word, words, kind), gap=gap)

    async def write(self, word, data, strobe, last, gap=0.0):
        """Write a word."""
        payload = word * BEATS | strobe << ADDRESS
        payload |= (int.from_bytes(data, "little") | last << 8 * WORD) << (ADDRESS + WORD)
        await self.send("i", payload, gap=gap)

    def budget(self, words, *, transfers=0, gap=0.0):
        """Return the cycles in which so many words go through, requested by so many transfers with this gap.

        Each beat may meet the memory's longest pauses three times: for its address, itself, and the answer. Each word
        may wait until it is taken; where none is, for now, nobody waits for one.
        """
        beats = budget((words + transfers) * BEATS, 1 - self.patience)
        return UNIT_MARGIN * 3 * beats + budget(words, 1 - self.stall or 1) + budget(transfers, 1 - gap)

    async def until(self, condition, words=READER.prefetch_words + STRIPE_WORDS):
        """Wait for a condition that must come once so many words are through."""
        await until(self.dut, condition, self.budget(words))

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
        payloads = [segment_payload(*segment) for segment in segments]
        source = self.sources["i_segments"]
        source.chance = 1 - gap
        source.push(payloads)
        expected: dict[int, list[int]] = {DATA: [], PROGRAM: []}
        for first, length, kind in segments:
            expected[kind] += [self.memory.word(first + n) for n in range(length)]
        want_data, want_program = len(expected[DATA]), len(expected[PROGRAM])

        def complete():
            return len(self.data) >= want_data and len(self.program) >= want_program and not source.queue

        most = self.budget(want_data + want_program + READER.prefetch_words, transfers=len(segments), gap=gap)
        await until(self.dut, complete, most, lambda: f"{len(self.data)} of {want_data} words came")
        assert self.data == expected[DATA]
        assert self.program == expected[PROGRAM]
        self.data.clear()
        self.program.clear()
