"""An SoC that multiplies matrices: rtlm's GEMV behind Wishbone registers, with its weights in the SoC's RAM.

The bus is the one of LiteX: Wishbone with 32 bits of data and addresses of words. ``python docs/examples/soc/soc.py``
runs a driver's accesses in Amaranth's simulator and compares the results with NumPy.
"""

from enum import IntEnum

import numpy as np
from amaranth.hdl import Cat, Module, Shape, Signal, Value
from amaranth.lib import fifo, memory, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator
from rtlm.hw import Gemv, GemvParams
from rtlm.hw.formats import BlockFormat, Blocks, pack_tiles
from rtlm.hw.hls import F32, from_bits

WORD = 32
RAM_BITS = 10
"""Bits of a word's address in the RAM; the registers lie behind it."""


class Register(IntEnum):
    """Registers of the peripheral, by the address of their word."""

    ACTIVATIONS = 0  # written: the next 32 bits of the vector, ten words a block
    ADDRESS = 1  # written: the word of the RAM at which the matrix begins
    LENGTH = 2  # written: its length in words
    COMMAND = 3  # written: rows (bits 0 to 15), blocks of a row (16 to 23), format (24 to 31); starts the product
    WAITING = 4  # read: results that wait
    RESULT = 5  # read: the oldest of them, an F32


def wishbone(address_bits: int) -> wiring.Signature:
    """Return the bus as a master sees it."""
    outputs = {"adr": address_bits, "dat_w": WORD, "sel": WORD // 8, "cyc": 1, "stb": 1, "we": 1}
    return wiring.Signature({name: Out(width) for name, width in outputs.items()} | {"dat_r": In(WORD), "ack": In(1)})


class Gather(wiring.Component):
    """Makes payloads of words, the lowest first."""

    def __init__(self, shape):
        self.count = -(-Shape.cast(shape).width // WORD)
        super().__init__({"i": In(stream.Signature(WORD)), "o": Out(stream.Signature(shape))})

    def elaborate(self, platform):
        """Fill a shift register."""
        m = Module()
        bits, filled = Signal(self.count * WORD), Signal(range(self.count + 1))
        m.d.comb += [
            Value.cast(self.o.payload).eq(bits),
            self.o.valid.eq(filled == self.count),
            self.i.ready.eq(filled != self.count),
        ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [bits.eq(Cat(bits[WORD:], self.i.payload)), filled.eq(filled + 1)]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += filled.eq(0)
        return m


class Fetch(wiring.Component):
    """Reads words one after the other, as a master of the bus."""

    bus: Out(wishbone(RAM_BITS))
    o: Out(stream.Signature(WORD))
    start: In(1)
    address: In(RAM_BITS)
    length: In(RAM_BITS + 1)

    def elaborate(self, platform):
        """Read while there is room for a word."""
        m = Module()
        left, next_address = Signal.like(self.length), Signal.like(self.address)
        m.d.comb += [
            self.bus.adr.eq(next_address),
            self.bus.sel.eq(~0),
            self.bus.cyc.eq((left != 0) & ~self.o.valid),
            self.bus.stb.eq(self.bus.cyc),
        ]
        with m.If(self.start):
            m.d.sync += [left.eq(self.length), next_address.eq(self.address)]
        with m.If(self.bus.cyc & self.bus.ack):
            m.d.sync += [self.o.valid.eq(1), self.o.payload.eq(self.bus.dat_r)]
            m.d.sync += [left.eq(left - 1), next_address.eq(next_address + 1)]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        return m


class GemvPeripheral(wiring.Component):
    """The GEMV with `Register` on one bus, and as a master of another, from which it has the weights."""

    def __init__(self, params: GemvParams):
        self.gemv = Gemv(params, clock_mhz=100)
        super().__init__({"bus": In(wishbone(3)), "memory": Out(wishbone(RAM_BITS))})

    def elaborate(self, platform):
        """Connect streams and registers."""
        m = Module()
        m.submodules.gemv = gemv = self.gemv
        m.submodules.blocks = blocks = Gather(gemv.i_activations.payload.shape())
        m.submodules.words = words = Gather(gemv.i_words.payload.shape())
        m.submodules.fetch = fetch = Fetch()
        m.submodules.results = results = fifo.SyncFIFOBuffered(width=WORD * 2, depth=16)
        wiring.connect(m, blocks.o, gemv.i_activations)
        wiring.connect(m, words.o, gemv.i_words)
        wiring.connect(m, fetch.o, words.i)
        wiring.connect(m, fetch.bus, wiring.flipped(self.memory))
        m.d.comb += [results.w_en.eq(gemv.o.valid), gemv.o.ready.eq(results.w_rdy)]
        m.d.comb += results.w_data.eq(Value.cast(gemv.o.payload))

        bus, command = self.bus, gemv.i_command
        second = Signal()  # of the two results of a beat
        access = bus.cyc & bus.stb & ~bus.ack
        m.d.comb += [
            blocks.i.payload.eq(bus.dat_w),
            command.payload.rows.eq(bus.dat_w[:16]),
            command.payload.k_blocks.eq(bus.dat_w[16:24]),
            command.payload.format.eq(bus.dat_w[24:]),
            fetch.start.eq(command.valid & command.ready),
        ]
        m.d.sync += bus.ack.eq(access)
        with m.Switch(bus.adr):
            with m.Case(Register.ACTIVATIONS):
                m.d.comb += blocks.i.valid.eq(access & bus.we)
                m.d.sync += bus.ack.eq(access & blocks.i.ready)
            with m.Case(Register.ADDRESS):
                with m.If(access & bus.we):
                    m.d.sync += fetch.address.eq(bus.dat_w)
            with m.Case(Register.LENGTH):
                with m.If(access & bus.we):
                    m.d.sync += fetch.length.eq(bus.dat_w)
            with m.Case(Register.COMMAND):
                m.d.comb += command.valid.eq(access & bus.we)
                m.d.sync += bus.ack.eq(access & command.ready)
            with m.Case(Register.WAITING):
                m.d.sync += bus.dat_r.eq((results.r_level << 1) - second)
            with m.Case(Register.RESULT):
                m.d.sync += bus.dat_r.eq(results.r_data.word_select(second, WORD))
                with m.If(access & ~bus.we):
                    m.d.sync += second.eq(~second)
                    m.d.comb += results.r_en.eq(second)
        return m


class Ram(wiring.Component):
    """Memory on two buses: a processor's, which writes too, and one that only reads."""

    bus: In(wishbone(RAM_BITS))
    read_bus: In(wishbone(RAM_BITS))

    def elaborate(self, platform):
        """Give each bus a read port."""
        m = Module()
        m.submodules.memory = ram = memory.Memory(shape=WORD, depth=1 << RAM_BITS, init=[])
        write = ram.write_port(granularity=8)
        m.d.comb += [write.addr.eq(self.bus.adr), write.data.eq(self.bus.dat_w)]
        for bus in (self.bus, self.read_bus):
            read = ram.read_port()
            access = bus.cyc & bus.stb & ~bus.ack
            m.d.comb += [read.addr.eq(bus.adr), bus.dat_r.eq(read.data)]
            m.d.sync += bus.ack.eq(access)
        with m.If(self.bus.cyc & self.bus.stb & self.bus.we & ~self.bus.ack):
            m.d.comb += write.en.eq(self.bus.sel)
        return m


class Soc(wiring.Component):
    """RAM, and behind it the peripheral, on a processor's bus."""

    def __init__(self, params: GemvParams):
        self.peripheral = GemvPeripheral(params)
        super().__init__({"cpu": In(wishbone(RAM_BITS + 1))})

    def elaborate(self, platform):
        """Choose by the highest bit of the address."""
        m = Module()
        m.submodules.peripheral = peripheral = self.peripheral
        m.submodules.ram = ram = Ram()
        wiring.connect(m, peripheral.memory, ram.read_bus)
        for chosen, bus in ((~self.cpu.adr[-1], ram.bus), (self.cpu.adr[-1], peripheral.bus)):
            m.d.comb += [
                getattr(bus, name).eq(getattr(self.cpu, name)) for name in ("adr", "dat_w", "sel", "stb", "we")
            ]
            m.d.comb += bus.cyc.eq(self.cpu.cyc & chosen)
            with m.If(chosen):
                m.d.comb += [self.cpu.dat_r.eq(bus.dat_r), self.cpu.ack.eq(bus.ack)]
        return m


class Driver:
    """What a program on the processor does: loads and stores."""

    def __init__(self, ctx, bus):
        self.ctx, self.bus = ctx, bus

    async def access(self, address: int, value: int | None = None) -> int:
        """Store a word, or load one and return it."""
        ctx, bus = self.ctx, self.bus
        for name, bits in {"adr": address, "dat_w": value or 0, "we": value is not None, "sel": 0xF}.items():
            ctx.set(getattr(bus, name), int(bits))
        ctx.set(Cat(bus.cyc, bus.stb), 3)
        (loaded,) = await ctx.tick().sample(bus.dat_r).until(bus.ack)
        ctx.set(Cat(bus.cyc, bus.stb), 0)
        return loaded

    async def register(self, register: Register, value: int | None = None) -> int:
        """Write a register, or read it."""
        return await self.access((1 << RAM_BITS) + register, value)

    async def multiply(self, words: list[int], blocks: list[list[int]], command: int, rows: int) -> list[int]:
        """Put a matrix into the RAM, multiply it with a vector, and return the results' bits."""
        for address, word in enumerate(words):
            await self.access(address, word)
        await self.register(Register.ADDRESS, 0)
        await self.register(Register.LENGTH, len(words))
        await self.register(Register.COMMAND, command)
        for block in blocks:
            for word in block:
                await self.register(Register.ACTIVATIONS, word)
        results: list[int] = []
        while len(results) < rows:
            for _ in range(await self.register(Register.WAITING)):
                results.append(await self.register(Register.RESULT))
        return results


def words_of(data: bytes) -> list[int]:
    """Return what a processor stores for some bytes."""
    return np.frombuffer(data + bytes(-len(data) % 4), dtype="<u4").tolist()


def simulate(soc: Soc, weights: Blocks, activations: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """Run a product on the SoC, and return its results."""
    rows, k_blocks = weights.u.shape[:2]
    layout = soc.peripheral.gemv.i_activations.payload.shape()
    blocks = [
        words_of(layout.const({"a": a.tolist(), "s": int(s)}).as_value().value.to_bytes(40, "little"))
        for a, s in zip(activations, scales, strict=True)
    ]
    words = words_of(pack_tiles(soc.peripheral.gemv.params.matmul.tile, weights).tobytes())
    received: list[int] = []

    async def program(ctx):
        command = rows | k_blocks << 16 | int(weights.format) << 24
        received.extend(await Driver(ctx, soc.cpu).multiply(words, blocks, command, rows))

    simulator = Simulator(soc)
    simulator.add_clock(1e-8)
    simulator.add_testbench(program)
    simulator.run()
    return from_bits(np.array(received, dtype=np.int64), F32)


def main() -> None:
    """Multiply a random matrix and compare."""
    params = GemvParams(lanes=32, vector_lanes=2, max_k_blocks=4)
    rng = np.random.default_rng(1)
    rows, k_blocks = 6, 2
    weights = Blocks.from_groups(
        BlockFormat.Q4_0,
        rng.integers(0, 16, (rows, 32 * k_blocks)).astype(np.uint8),
        rng.normal(0, 0.02, (rows, k_blocks)).astype(np.float16),
    )
    activations = rng.integers(-255, 256, (k_blocks, 32)).astype(np.int16)
    scales = np.array([0x3C00, 0x3D80], dtype=np.uint16)  # BF16: 2**-7 and 2**-4
    results = simulate(Soc(params), weights, activations, scales)
    assert np.array_equal(results, Gemv.model(weights, activations, scales)), "the bits differ from the model's"
    # A code of an activation counts half a scale (docs/numerics.md).
    vector = activations / 2 * (scales.astype(np.uint32) << 16).view(np.float32)[:, None]
    assert np.allclose(results, weights.dequantise() @ vector.ravel(), rtol=1e-5), "NumPy says otherwise"
    print(f"{rows} results over the bus equal NumPy's: {results[:3]} ...")


if __name__ == "__main__":
    main()
