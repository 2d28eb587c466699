"""The link between bytes and buses: requests are carried out, and whatever is wrong is an answer or forgotten."""

import random
import zlib

import pytest
from amaranth.hdl import Module, ResetInserter, Signal
from amaranth.lib import wiring
from amaranth.sim import Simulator
from rtlm.hw.board.link import LinkParams, UartLink
from rtlm.hw.board.link.protocol import (
    ANSWER_MARK,
    FLUSH,
    LINK_ID,
    LINK_VERSION,
    MAX_WORDS,
    REQUEST_MARK,
    Answer,
    Opcode,
    Request,
    Status,
    numbers,
)
from rtlm.hw.memory.block_memory import BlockMemory
from rtlm.hw.registers import Access, Register, RegisterFile, RegisterMap

DEPTH, PATIENCE = 1500, 200
REGISTERS = RegisterMap(
    "linked",
    [
        Register(name="KEPT", doc="A value.", offset=0x00, access=Access.READ_WRITE),
        Register(name="OTHER", doc="Another.", offset=0x04, access=Access.READ_WRITE),
        Register(name="COUNT", doc="Read only.", offset=0x08),
        Register(name="GO", doc="Counts its writes.", offset=0x0C, access=Access.READ_WRITE),
    ],
)
OPEN = Request(opcode=Opcode.OPEN)


def words(*values):
    return b"".join(value.to_bytes(4, "little") for value in values)


class LinkBench:
    """A link with registers and a block memory; a test sends bytes and looks at the answers."""

    def __init__(self, stuck=False):
        self.link = UartLink(
            LinkParams(address_bits=16, memory_bytes=4 * DEPTH, register_address_bits=12, patience_cycles=PATIENCE)
        )
        self.registers = RegisterFile(REGISTERS, address_bits=12)
        self.memory = BlockMemory(address_bits=16, data_bits=32, depth=DEPTH)
        self.reset, self.stuck = Signal(), Signal(init=stuck)
        self.design = m = Module()
        m.submodules.link = ResetInserter(self.reset)(self.link)
        m.submodules.registers, m.submodules.memory = self.registers, self.memory
        wiring.connect(m, self.link.registers, self.registers.s_axi)
        for name, member in self.link.memory.signature.members.items():
            inner, outer = getattr(self.link.memory, name), getattr(self.memory.axi, name)
            source, sink = (inner, outer) if member.flow is wiring.Out else (outer, inner)
            m.d.comb += sink.eq(source & ~self.stuck if name in ("arvalid", "arready") else source)
        self.sequence, self.received = 0, bytearray()

    def run(self, test):
        simulator = Simulator(self.design)
        simulator.add_clock(1e-6)

        async def receiver(context):
            context.set(self.link.o.ready, 1)
            async for _, _, valid, byte in context.tick().sample(self.link.o.valid, self.link.o.payload):
                if valid:
                    self.received.append(byte)

        async def bench(context):
            self.context = context
            await test(self)

        simulator.add_testbench(receiver, background=True)
        simulator.add_testbench(bench)
        simulator.run()

    async def send(self, content, gap=0):
        for byte in content:
            self.context.set(self.link.i.payload, byte)
            self.context.set(self.link.i.valid, 1)
            await self.context.tick()
            self.context.set(self.link.i.valid, 0)
            if gap:
                await self.context.tick().repeat(gap)

    async def answer(self, cycles=4000):
        for _ in range(cycles):
            answer, size = Answer.decode(self.received)
            del self.received[:size]
            if answer:
                return answer
            if not size:
                await self.context.tick()
        return None

    async def ask(self, request, sequence=None):
        self.sequence = (self.sequence + 1) % 256 if sequence is None else sequence
        await self.send(request.encode(self.sequence))
        answer = await self.answer()
        assert answer is not None and answer.sequence == self.sequence
        return Status(answer.status), numbers(answer.words)


def on_link(**settings):
    """Run an asynchronous test with a bench."""

    def decorate(test):
        def run():
            LinkBench(**settings).run(test)

        run.__name__, run.__doc__ = test.__name__, test.__doc__
        return run

    return decorate


def test_crcs_are_those_of_zlib():
    packet = Request(opcode=Opcode.READ_MEMORY, address=0x1234, count=7).encode(9)
    assert packet[:-4].hex() == "c504090734120000"
    assert int.from_bytes(packet[-4:], "little") == zlib.crc32(packet[:-4])
    assert REQUEST_MARK not in FLUSH


def test_answers_are_found_among_other_bytes():
    answer = Answer(status=0, sequence=3, words=words(1, 2))
    received, got = bytearray([ANSWER_MARK, 7, 0, 0xFF]) + answer.encode() + answer.encode()[:5], []
    for _ in range(50):
        found, size = Answer.decode(received)
        del received[:size]
        if found:
            got.append(found)
    assert got == [answer] and len(received) == 5


@on_link()
async def test_the_link_tells_what_it_is_and_has_to_be_opened(bench):
    identity = [LINK_ID, LINK_VERSION, DEPTH]
    read = Request(opcode=Opcode.READ_REGISTERS, count=1)
    assert (await bench.ask(read))[0] is Status.RESET
    assert list((await bench.ask(Request(opcode=Opcode.IDENTIFY)))[1]) == identity
    assert (await bench.ask(read))[0] is Status.RESET
    assert list((await bench.ask(OPEN))[1]) == identity
    assert (await bench.ask(read))[0] is Status.OKAY
    bench.context.set(bench.reset, 1)
    await bench.context.tick()
    bench.context.set(bench.reset, 0)
    assert (await bench.ask(read))[0] is Status.RESET


@on_link()
async def test_registers_are_written_and_read(bench):
    await bench.ask(OPEN)
    bench.context.set(bench.registers.count, 700)
    write = Request(opcode=Opcode.WRITE_REGISTERS, words=words(0x12345678, 0x9ABCDEF0))
    assert await bench.ask(write) == (Status.OKAY, ())
    assert await bench.ask(Request(opcode=Opcode.READ_REGISTERS, count=3)) == (
        Status.OKAY,
        (0x12345678, 0x9ABCDEF0, 700),
    )


@on_link()
async def test_memory_is_written_read_and_cleared(bench):
    rng = random.Random(1)
    await bench.ask(OPEN)
    content = [rng.getrandbits(32) for _ in range(2 * MAX_WORDS)]
    for start in range(0, len(content), MAX_WORDS):
        piece = words(*content[start : start + MAX_WORDS])
        assert (await bench.ask(Request(opcode=Opcode.WRITE_MEMORY, address=4 * start, words=piece)))[0] is Status.OKAY
    # From the middle of one packet's words to the middle of another's, over the end of bursts.
    assert (await bench.ask(Request(opcode=Opcode.CLEAR_MEMORY, address=4 * 50, words=words(100))))[0] is Status.OKAY
    content[50:150] = [0] * 100
    got = []
    for start in range(0, len(content), 64):
        got += (await bench.ask(Request(opcode=Opcode.READ_MEMORY, address=4 * start, count=64)))[1]
    assert got == content
    assert (await bench.ask(Request(opcode=Opcode.CLEAR_MEMORY, words=words(0))))[0] is Status.OKAY


@on_link()
async def test_requests_that_come_while_others_are_answered_are_kept(bench):
    """As many reads as the queue holds, sent without a pause."""
    await bench.ask(OPEN)
    await bench.ask(Request(opcode=Opcode.WRITE_MEMORY, words=words(*range(64))))
    for number in range(20):
        await bench.send(Request(opcode=Opcode.READ_MEMORY, address=4 * number, count=32).encode(number))
    for number in range(20):
        answer = await bench.answer()
        assert answer.sequence == number and numbers(answer.words) == tuple(range(number, number + 32))


WRONG = {
    "count 0": (Request(opcode=Opcode.READ_MEMORY), Status.COUNT),
    "too many words": (Request(opcode=Opcode.READ_MEMORY, count=129), Status.COUNT),
    "too many words sent": (Request(opcode=Opcode.WRITE_MEMORY, words=words(*[7] * 200)), Status.COUNT),
    "two words to clear": (Request(opcode=Opcode.CLEAR_MEMORY, words=words(1, 1)), Status.COUNT),
    "OPEN with a count": (Request(opcode=Opcode.OPEN, count=1), Status.COUNT),
    "address": (Request(opcode=Opcode.READ_MEMORY, address=2, count=1), Status.ADDRESS),
    "behind the memory": (Request(opcode=Opcode.READ_MEMORY, address=4 * DEPTH - 4, count=2), Status.ADDRESS),
    "far behind": (Request(opcode=Opcode.WRITE_MEMORY, address=0xFFFFFFFC, words=words(1)), Status.ADDRESS),
    "too much to clear": (Request(opcode=Opcode.CLEAR_MEMORY, address=4, words=words(DEPTH)), Status.ADDRESS),
    "all to clear": (Request(opcode=Opcode.CLEAR_MEMORY, address=4, words=words(0xFFFFFFFF)), Status.ADDRESS),
    "over 4 KiB": (Request(opcode=Opcode.READ_MEMORY, address=4092, count=2), Status.ADDRESS),
    "behind the registers": (Request(opcode=Opcode.READ_REGISTERS, address=4096, count=1), Status.ADDRESS),
    "no register": (Request(opcode=Opcode.READ_REGISTERS, address=0x08, count=3), Status.BUS),
    "read-only register": (Request(opcode=Opcode.WRITE_REGISTERS, address=0x08, words=words(1)), Status.BUS),
}


@on_link()
async def test_wrong_requests_are_answered_and_not_carried_out(bench):
    await bench.ask(OPEN)
    await bench.ask(Request(opcode=Opcode.WRITE_MEMORY, words=words(42)))
    for name, (request, status) in WRONG.items():
        assert await bench.ask(request) == (status, ()), name
    packet = bytearray(Request(opcode=Opcode.READ_MEMORY, count=1).encode(77))
    packet[1] = 0x66
    packet[-4:] = zlib.crc32(packet[:-4]).to_bytes(4, "little")
    await bench.send(packet)
    assert (await bench.answer()) == Answer(status=Status.OPCODE.value, sequence=77)
    assert await bench.ask(Request(opcode=Opcode.READ_MEMORY, count=1)) == (Status.OKAY, (42,))


@on_link()
async def test_every_byte_of_a_packet_is_checked_by_its_crc(bench):
    await bench.ask(OPEN)
    rng = random.Random(3)
    await bench.ask(Request(opcode=Opcode.WRITE_MEMORY, words=words(1)))
    packet = Request(opcode=Opcode.WRITE_MEMORY, words=words(0xFFFFFFFF)).encode(5)
    for place in range(len(packet)):
        wrong = bytearray(packet)
        # A count that becomes larger leaves nothing to answer until more bytes come.
        wrong[place] ^= 2 if place == 3 else 1 << rng.randrange(8)
        await bench.send(wrong + bytes(8))
        answer = await bench.answer(cycles=80)
        assert (answer is None) == (place == 0), place
        assert answer is None or answer.status == Status.CHECKSUM.value
        bench.received.clear()
    assert (await bench.ask(Request(opcode=Opcode.READ_MEMORY, count=1)))[1] == (1,)


@on_link()
async def test_a_packet_that_is_not_ended_is_forgotten(bench):
    await bench.ask(OPEN)
    request = Request(opcode=Opcode.WRITE_MEMORY, words=words(5, 6))
    for end in (1, 5, 9, 15, 18):
        await bench.send(request.encode(1)[:end])
        await bench.context.tick().repeat(PATIENCE + 5)
        assert (await bench.ask(request))[0] is Status.OKAY
    # Slow, but not too slow.
    await bench.send(request.encode(9), gap=PATIENCE - 5)
    assert (await bench.answer()).sequence == 9


@on_link()
async def test_noise_between_packets_is_skipped_and_a_flush_ends_a_packet(bench):
    await bench.ask(OPEN)
    rng = random.Random(2)
    for _ in range(2):
        await bench.send(rng.randbytes(40) + bytes([REQUEST_MARK]) + FLUSH)
        while await bench.answer(cycles=100):
            pass
        bench.received.clear()
        assert (await bench.ask(Request(opcode=Opcode.IDENTIFY)))[0] is Status.OKAY


@on_link()
async def test_a_write_of_registers_that_is_repeated_is_carried_out_once(bench):
    """What comes after another register was written would be undone by the repetition."""
    await bench.ask(OPEN)
    first = Request(opcode=Opcode.WRITE_REGISTERS, words=words(1))
    read = Request(opcode=Opcode.READ_REGISTERS, count=1)
    assert (await bench.ask(first, sequence=9))[0] is Status.OKAY
    other = Request(opcode=Opcode.WRITE_REGISTERS, words=words(2))
    # The same number again, with IDENTIFY between: the link takes it for the first one.
    await bench.ask(Request(opcode=Opcode.IDENTIFY), sequence=10)
    assert (await bench.ask(other, sequence=9))[0] is Status.OKAY
    assert (await bench.ask(read, sequence=11))[1] == (1,)
    # Behind another request it is a new one.
    assert (await bench.ask(other, sequence=9))[0] is Status.OKAY
    assert (await bench.ask(read, sequence=12))[1] == (2,)
    refused = Request(opcode=Opcode.WRITE_REGISTERS, address=0x08, words=words(2))
    assert [(await bench.ask(refused, sequence=13))[0] for _ in range(2)] == [Status.BUS] * 2


@on_link(stuck=True)
async def test_a_bus_that_does_not_answer_is_an_answer(bench):
    await bench.ask(OPEN)
    read = Request(opcode=Opcode.READ_MEMORY, count=2)
    register = Request(opcode=Opcode.READ_REGISTERS, count=1)
    assert (await bench.ask(read))[0] is Status.NO_ANSWER
    assert (await bench.ask(register))[0] is Status.NO_ANSWER
    bench.context.set(bench.stuck, 0)
    await bench.context.tick().repeat(20)
    assert (await bench.ask(register))[0] is Status.OKAY
    assert await bench.ask(read) == (Status.OKAY, (0, 0))


def test_impossible_sizes_are_refused():
    good = {"address_bits": 16, "memory_bytes": 64, "register_address_bits": 12}
    with pytest.raises(ValueError, match="memory_bytes must be from 4 to 65536, got 65540"):
        LinkParams(**good | {"memory_bytes": 65540})
    with pytest.raises(ValueError, match="address_bits must be from 12 to 32, got 33"):
        LinkParams(**good | {"address_bits": 33})
    with pytest.raises(ValueError, match="memory_bytes must be a positive multiple of 4, got 66"):
        UartLink(LinkParams(**good | {"memory_bytes": 66})).elaborate(None)
