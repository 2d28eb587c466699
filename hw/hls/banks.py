"""Memories that kernels read: two banks, one being filled by its stream while the other is read."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Signal, Value, unsigned
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out
from rtlm.hw.hls.types import Type

BANKS = 2


class LoadedMemory(wiring.Component):
    """Memory of a kernel, with a copy for each place that reads it.

    Protocol: a load is the words of stream ``i`` up to one with ``last``, or as many as a bank holds. It waits until a
    bank is free. ``available`` says that a bank is full which no beat with ``release`` has claimed (``claim``); a beat
    may read only then. A copy reads the older full bank until its own ``release``; when all copies have released it,
    the bank is free.

    Latency: a word comes a cycle behind its address. A load can be read two cycles after its last word.

    Throughput: a beat of ``words`` words a cycle, in and out.

    Parameters
    ----------
    fields
        Names and types of what makes up a word.
    depth
        Words.
    words
        Words a beat; a read gives as many.
    copies
        Places that read, in the order in which a beat passes them.
    style
        Value of the attribute ``ram_style``; empty leaves it to synthesis.
    blocks
        For each copy the block that it reads, where a copy holds no more than a block: the words are cut into as many
        as there are, powers of two. None where it holds all.
    complete
        Whether the words are registers, which all copies share.

    Attributes
    ----------
    i : In(stream.Signature(StructLayout))
        Words to load: each field an array of ``words``, and ``last``.
    available : Out(1)
        A beat may be taken.
    claim : In(1)
        A beat that releases is taken in this cycle.
    enable, address, data, release : In(1), In(unsigned), Out(unsigned), In(1)
        Of each copy: the cycle moves, the address in this cycle and its word in the next, the beat at this place
        releases the bank.
    """

    def __init__(
        self,
        fields: list[tuple[str, Type]],
        depth: int,
        words: int,
        copies: int,
        style: str = "",
        *,
        blocks: list[int] | None = None,
        complete: bool = False,
    ):
        self.blocks, self.complete = blocks, complete
        self.depth = depth // words
        self.word = words * sum(type_.width for _, type_ in fields)
        payload = {name: data.ArrayLayout(unsigned(type_.width), words) for name, type_ in fields}
        self.address_bits = max(1, (self.depth - 1).bit_length())
        self.fields, self.words, self.copies, self.style = fields, words, copies, style
        super().__init__(
            {
                "i": In(stream.Signature(data.StructLayout({**payload, "last": unsigned(1)}))),
                "available": Out(1),
                "claim": In(1),
                "enable": In(1),
                "address": In(unsigned(self.address_bits)).array(copies),
                "data": Out(unsigned(self.word)).array(copies),
                "release": In(1).array(copies),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Count full banks, and read and write them."""
        m = Module()
        full, claimable = Signal(range(BANKS + 1)), Signal(range(BANKS + 1))
        bank, place = Signal(), Signal(self.address_bits)
        write, done = Signal(), Signal()
        freed = self.release[self.copies - 1]
        m.d.comb += [
            self.i.ready.eq(full != BANKS),
            write.eq(self.i.valid & self.i.ready),
            done.eq(write & (self.i.payload.last | (place == self.depth - 1))),
            self.available.eq(claimable != 0),
        ]
        m.d.sync += [full.eq(full + done - freed), claimable.eq(claimable + done - self.claim)]
        with m.If(done):
            m.d.sync += [bank.eq(~bank), place.eq(0)]
        with m.Elif(write):
            m.d.sync += place.eq(place + 1)
        # A word holds its items in turn, each with all of its fields.
        columns = [self.i.payload[name] for name, _ in self.fields]
        word = Cat(*(column[lane] for lane in range(self.words) for column in columns))
        if self.complete:
            self._read = [Signal(self.word, name=f"read{n}", reset_less=True) for n in range(self.copies)]
            self._registers(m, Cat(place, bank), write, word)
        for copy in range(self.copies):
            reading = Signal(name=f"reading{copy}")
            if self.complete:
                self._read_registers(m, copy, reading)
            else:
                self._copy(m, copy, reading, Cat(place, bank), write, word)
            with m.If(self.release[copy]):
                m.d.sync += reading.eq(~reading)
        return m

    def _copy(self, m: Module, copy: int, reading: Signal, place: Value, write: Signal, word: Value) -> None:
        """Build a memory with a write port and a read port."""
        attrs = {"ram_style": self.style} if self.style else {}
        bits = self.address_bits
        if self.blocks is not None:
            bits -= (len(set(self.blocks)) - 1).bit_length()
            write = write & (place[bits : self.address_bits] == self.blocks[copy])
        words = memory.Memory(shape=unsigned(self.word), depth=BANKS << bits, init=[], attrs=attrs)
        m.submodules[f"copy{copy}"] = words
        into, out = words.write_port(), words.read_port()
        m.d.comb += [
            into.addr.eq(Cat(place[:bits], place[self.address_bits])),
            into.data.eq(word),
            into.en.eq(write),
            out.addr.eq(Cat(self.address[copy][:bits], reading)),
            out.en.eq(self.enable),
            self.data[copy].eq(out.data),
        ]

    def _registers(self, m: Module, place: Value, write: Signal, word: Value) -> None:
        """Build a register for each word of both banks."""
        self._words = [Signal(self.word, name=f"word{n}", reset_less=True) for n in range(BANKS << self.address_bits)]
        with m.If(write), m.Switch(place):
            for n, register in enumerate(self._words):
                with m.Case(n):
                    m.d.sync += register.eq(word)

    def _read_registers(self, m: Module, copy: int, reading: Signal) -> None:
        """Choose one of them, a cycle behind its address."""
        with m.If(self.enable), m.Switch(Cat(self.address[copy], reading)):
            for n, register in enumerate(self._words):
                with m.Case(n):
                    m.d.sync += self._read[copy].eq(register)
        m.d.comb += self.data[copy].eq(self._read[copy])
