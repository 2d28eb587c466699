"""Parts of a board's self-test: serial line, text, block memory behind AXI4, and the player of register accesses."""

import random

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.sim import Simulator
from rtlm.hw.board import Check, Kind, RegisterPlayer, TextReporter, UartTransmitter
from rtlm.hw.board.player import BUS_REFUSED, NO_INTERRUPT
from rtlm.hw.board.reporter import encode
from rtlm.hw.memory.axi import RESPONSE_OKAY, RESPONSE_SLVERR, Burst
from rtlm.hw.memory.block_memory import BlockMemory
from rtlm.hw.registers import Access, Register, RegisterFile, RegisterMap

DEPTH, BEAT_BYTES = 300, 4


def simulate(design, *benches):
    simulator = Simulator(design)
    simulator.add_clock(1e-6)
    for bench in benches:
        simulator.add_testbench(bench)
    simulator.run()


async def send(context, stream, payload):
    context.set(stream.valid, 1)
    context.set(stream.payload, payload)
    await context.tick().until(stream.ready)
    context.set(stream.valid, 0)


async def serial_byte(context, line, divisor):
    """Receive a byte, each bit in its middle."""
    await context.negedge(line)
    value = 0
    await context.tick().repeat(divisor // 2)
    assert context.get(line) == 0
    for bit in range(8):
        await context.tick().repeat(divisor)
        value |= context.get(line) << bit
    await context.tick().repeat(divisor)
    assert context.get(line) == 1
    return value


@pytest.mark.parametrize("divisor", [2, 3, 8])
def test_bytes_arrive_on_the_serial_line(divisor):
    unit, sent, got = UartTransmitter(divisor=divisor), [0x00, 0xFF, 0x55, 0x80, 0x01, 0x41], []

    async def sender(context):
        for number, byte in enumerate(sent):
            if number == 3:
                await context.tick().repeat(30 * divisor)
            await send(context, unit.i, byte)

    async def receiver(context):
        assert context.get(unit.o) == 1
        for _ in sent:
            got.append(await serial_byte(context, unit.o, divisor))

    simulate(unit, sender, receiver)
    assert got == sent


def test_a_bit_lasts_at_least_a_cycle():
    with pytest.raises(ValueError, match="divisor must be at least 1, got 0"):
        UartTransmitter(divisor=0)


def test_texts_have_their_numbers():
    texts, fields = ("token {a} of {b}\r\n", "{b}!\n"), ("a", "b")
    unit, got, rng = TextReporter(texts, fields), [], random.Random(1)

    async def bench(context):
        context.set(unit.field_a, 0x0012ABCD)
        context.set(unit.field_b, 0xFFFFFFFF)
        for text in (0, 1, 0):
            context.set(unit.text, text)
            context.set(unit.start, 1)
            await context.tick()
            context.set(unit.start, 0)
            while context.get(unit.busy):
                ready = rng.random() < 0.5
                context.set(unit.o.ready, ready)
                if ready and context.get(unit.o.valid):
                    got.append(context.get(unit.o.payload))
                await context.tick()

    simulate(unit, bench)
    line = "token 0012abcd of ffffffff\r\n"
    assert bytes(got).decode() == line + "ffffffff!\n" + line


def test_a_text_names_only_fields_that_there_are():
    with pytest.raises(ValueError, match="no other fields than a, b, got"):
        encode("{c}", ("a", "b"))


class Master:
    """Drives a block memory and remembers what must be in it."""

    def __init__(self, memory, init, seed):
        self.bus, self.memory, self.rng = memory.axi, memory, random.Random(seed)
        self.expected = list(init) + [0] * (DEPTH - len(init))

    async def pause(self, context):
        while self.rng.random() < 0.4:
            await context.tick()

    def address_channel(self, context, prefix, beat, beats, burst, size):
        values = {"addr": beat * BEAT_BYTES, "len": beats - 1, "size": size, "burst": burst, "id": 1, "valid": 1}
        for name, value in values.items():
            context.set(getattr(self.bus, prefix + name), value)

    async def write(self, context, beat, values, strobes, *, burst=Burst.INCR, size=2):
        bus = self.bus
        self.address_channel(context, "aw", beat, len(values), burst, size)
        await context.tick().until(bus.awready)
        context.set(bus.awvalid, 0)
        for number, (value, strobe) in enumerate(zip(values, strobes, strict=True)):
            await self.pause(context)
            context.set(bus.wdata, value)
            context.set(bus.wstrb, strobe)
            context.set(bus.wlast, number == len(values) - 1)
            context.set(bus.wvalid, 1)
            await context.tick().until(bus.wready)
            context.set(bus.wvalid, 0)
        await self.pause(context)
        context.set(bus.bready, 1)
        response, identifier = await context.tick().sample(bus.bresp, bus.bid).until(bus.bvalid)
        context.set(bus.bready, 0)
        assert identifier == 1
        return response

    def keep(self, beat, values, strobes):
        for number, (value, strobe) in enumerate(zip(values, strobes, strict=True)):
            if beat + number < DEPTH:
                mask = sum(0xFF << 8 * byte for byte in range(4) if strobe >> byte & 1)
                old = self.expected[beat + number]
                self.expected[beat + number] = old & ~mask | value & mask

    async def read(self, context, beat, beats, *, burst=Burst.INCR, size=2):
        bus, got = self.bus, []
        self.address_channel(context, "ar", beat, beats, burst, size)
        await context.tick().until(bus.arready)
        context.set(bus.arvalid, 0)
        for number in range(beats):
            await self.pause(context)
            context.set(bus.rready, 1)
            sampled = context.tick().sample(bus.rdata, bus.rresp, bus.rlast, bus.rid)
            value, response, last, identifier = await sampled.until(bus.rvalid)
            context.set(bus.rready, 0)
            assert (last, identifier) == (number == beats - 1, 1)
            got.append((value, response))
        return got


def test_block_memory_keeps_what_is_written_and_refuses_the_rest():
    rng = random.Random(5)
    init = [rng.getrandbits(32) for _ in range(250)]
    memory = BlockMemory(address_bits=12, data_bits=32, depth=DEPTH, init=init)
    master = Master(memory, init, 6)

    async def bench(context):
        for _ in range(60):
            beats, beat = rng.randrange(1, 40), rng.randrange(DEPTH + 4)
            if rng.random() < 0.5:
                values = [rng.getrandbits(32) for _ in range(beats)]
                strobes = [rng.choice([15, 15, 0, rng.getrandbits(4)]) for _ in range(beats)]
                response = await master.write(context, beat, values, strobes)
                master.keep(beat, values, strobes)
                assert response == (RESPONSE_SLVERR if beat + beats > DEPTH else RESPONSE_OKAY)
            for number, (value, response) in enumerate(await master.read(context, beat, beats)):
                assert response == (RESPONSE_OKAY if beat + number < DEPTH else RESPONSE_SLVERR)
                assert response == RESPONSE_SLVERR or value == master.expected[beat + number]
        for strange in ({"burst": Burst.FIXED}, {"size": 1}):
            assert await master.write(context, 7, [1], [15], **strange) == RESPONSE_SLVERR
            assert [response for _, response in await master.read(context, 7, 2, **strange)] == [RESPONSE_SLVERR] * 2
        assert await master.read(context, 7, 1) == [(master.expected[7], RESPONSE_OKAY)]

    simulate(memory, bench)


def test_a_patch_waits_for_a_burst():
    memory = BlockMemory(address_bits=12, data_bits=32, depth=DEPTH)
    master = Master(memory, [], 1)

    async def patch(context):
        await context.tick().repeat(5)
        await send(context, memory.i_patch, {"address": 3, "data": 0x1234})

    async def bench(context):
        values = list(range(100, 120))
        assert await master.write(context, 0, values, [15] * 20) == RESPONSE_OKAY
        await context.tick().repeat(3)
        values[3] = 0x1234
        assert [value for value, _ in await master.read(context, 0, 20)] == values

    simulate(memory, bench, patch)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"depth": 1}, "depth with 12 address bits must be from 2 to 1024, got 1"),
        ({"depth": 1025}, "must be from 2 to 1024, got 1025"),
        ({"depth": 2, "init": [0] * 3}, "3 beats"),
    ],
)
def test_impossible_memories_are_refused(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        BlockMemory(address_bits=12, data_bits=32, **arguments)


REGISTERS = RegisterMap(
    "played",
    [
        Register(name="KEPT", doc="A value.", offset=0x00, access=Access.READ_WRITE),
        Register(name="ERROR", doc="An error.", offset=0x04, access=Access.READ_WRITE),
        Register(name="COUNT", doc="Read only.", offset=0x08),
    ],
)
WRITE_KEPT = Check(kind=Kind.WRITE, address=0x00, value=0xABCD1234)
END = Check(kind=Kind.END)


def play(*rows, digest=0, irq_after=None, corrupt=0):
    """Play rows against a register file; give the player's outputs and the patches."""
    m, patches = Module(), []
    m.submodules.player = player = RegisterPlayer(rows, register_address_bits=12)
    m.submodules.registers = registers = RegisterFile(REGISTERS, address_bits=12)
    wiring.connect(m, player.axi, registers.s_axi)
    names = ("passed", "failed", "row", "seen", "expected", "total", "error")
    result = {}

    async def bench(context):
        context.set(registers.count, 700)
        context.set(player.digest, digest)
        context.set(player.corrupt, corrupt)
        context.set(player.o_patch.ready, 1)
        for cycle in range(400):
            context.set(player.irq, irq_after is not None and cycle >= irq_after)
            if context.get(player.o_patch.valid):
                patches.append((context.get(player.o_patch.payload.address), context.get(player.o_patch.payload.value)))
            await context.tick()
        result.update({name: context.get(getattr(player, name)) for name in names})

    simulate(m, bench)
    assert result["passed"] + result["failed"] == 1, "it has not ended"
    return result, patches


def test_a_list_in_which_all_is_right_passes():
    result, _ = play(
        WRITE_KEPT,
        Check(kind=Kind.AWAIT, value=100),
        Check(kind=Kind.ERROR, address=0x04),
        Check(kind=Kind.ADD, address=0x08),
        Check(kind=Kind.ADD, address=0x08),
        Check(kind=Kind.DIGEST, value=77),
        Check(kind=Kind.EXPECT, address=0x00, value=0xABCD1234),
        END,
        digest=77,
        irq_after=40,
    )
    assert result["passed"] and result["total"] == 1400 and result["seen"] == 0xABCD1234 and result["error"] == 0


@pytest.mark.parametrize(
    ("rows", "settings", "row", "error", "seen"),
    [
        ([WRITE_KEPT, Check(kind=Kind.EXPECT, address=0x00, value=0xABCD1235), END], {}, 1, 0, 0xABCD1234),
        ([Check(kind=Kind.DIGEST, value=77), END], {"digest": 78}, 0, 0, 78),
        (
            [Check(kind=Kind.WRITE, address=0x04, value=8), Check(kind=Kind.ERROR, address=0x04), END],
            {},
            1,
            8,
            8,
        ),
        ([Check(kind=Kind.AWAIT, value=20), END], {"irq_after": 200}, 0, NO_INTERRUPT, 0),
        ([Check(kind=Kind.EXPECT, address=0x40), END], {}, 0, BUS_REFUSED, 0),
        ([WRITE_KEPT, Check(kind=Kind.WRITE, address=0x08), END], {}, 1, BUS_REFUSED, 0),
    ],
)
def test_the_first_row_that_is_wrong_ends_the_list(rows, settings, row, error, seen):
    result, _ = play(*rows, **settings)
    assert result["failed"] and (result["row"], result["error"], result["seen"]) == (row, error, seen)


@pytest.mark.parametrize("corrupt", [0b00, 0b01, 0b10])
def test_a_patch_is_wrong_while_its_button_is_held(corrupt):
    rows = [Check(kind=Kind.PATCH, address=9 + n, value=0x50, corruption=n) for n in range(2)]
    result, patches = play(*rows, END, corrupt=corrupt)
    assert result["passed"]
    assert patches == [(9 + n, 0x50 ^ (corrupt >> n & 1)) for n in range(2)]


def test_impossible_lists_are_refused():
    with pytest.raises(ValueError, match="ends with a row of the kind END"):
        RegisterPlayer([WRITE_KEPT], register_address_bits=12)
    with pytest.raises(ValueError, match="address must be from 0 to 1048575, got 1048576"):
        Check(kind=Kind.WRITE, address=1 << 20)
    with pytest.raises(ValueError, match="corruption must be from 0 to 1, got 2"):
        Check(kind=Kind.PATCH, corruption=2)
