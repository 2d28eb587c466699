"""Hands the words that come from memory, in order, to the units they were read for."""

from amaranth.hdl import Cat, Module, Signal, unsigned
from amaranth.lib import data, enum, fifo, stream, wiring
from amaranth.lib.wiring import In, Out
from rtlm.hw.common.register_slice import RegisterSlice
from rtlm.hw.control.isa import Operator


class Destination(enum.Enum, shape=unsigned(2)):
    """Which unit takes a run of words."""

    MATMUL = 0
    ATTENTION = 1
    VECTOR = 2


ROUTE = data.StructLayout({"destination": Destination, "operator": Operator, "words": 32})
"""A run of words for one unit."""


class WordRouter(wiring.Component):
    """Send runs of words to their destinations.

    Protocol: `i_route` lists the runs in the order of the words; words wait until their run is known.
    Words and all handshakes come from registers.
    Latency: a cycle from `i_words` to an output. Throughput: one word a cycle, also across runs; with one entry one in
    two cycles, and a destination that holds a word while it takes it in parts waits a cycle for the next one.
    `active` says that a run is known and not at its end, `operator` to which operator it (or the last one) belongs.

    Parameters
    ----------
    word_bits
        Width of a word.
    depth
        Runs that can wait.
    entries
        Entries of the register of words.
    """

    def __init__(self, *, word_bits: int, depth: int, entries: int = 2):
        self.depth, self._entries = depth, entries
        word = stream.Signature(unsigned(word_bits))
        super().__init__(
            {
                "i_route": In(stream.Signature(ROUTE)),
                "i_words": In(word),
                "o_matmul": Out(word),
                "o_attention": Out(word),
                "o_vector": Out(word),
                "active": Out(1),
                "operator": Out(Operator),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the gates."""
        m = Module()
        m.submodules.routes = routes = fifo.SyncFIFOBuffered(width=ROUTE.size, depth=self.depth)
        m.d.comb += [
            routes.w_data.eq(self.i_route.payload),
            routes.w_en.eq(self.i_route.valid),
            self.i_route.ready.eq(routes.w_rdy),
        ]
        following = Signal(ROUTE)
        m.d.comb += following.as_value().eq(routes.r_data)
        outputs = {
            Destination.MATMUL: self.o_matmul,
            Destination.ATTENTION: self.o_attention,
            Destination.VECTOR: self.o_vector,
        }
        word = data.StructLayout({"to": len(outputs), "word": len(self.i_words.payload)})
        m.submodules.words = words = RegisterSlice(word, entries=self._entries)
        destination = Signal(len(outputs))
        remaining = Signal(32, reset_less=True)
        moved = Signal()
        m.d.comb += [
            words.i.valid.eq(self.i_words.valid & self.active),
            words.i.p.to.eq(destination),
            words.i.p.word.eq(self.i_words.payload),
            self.i_words.ready.eq(words.i.ready & self.active),
            moved.eq(self.i_words.valid & self.i_words.ready),
            words.o.ready.eq(Cat(words.o.p.to[code.value] & output.ready for code, output in outputs.items()).any()),
        ]
        for code, output in outputs.items():
            m.d.comb += [output.payload.eq(words.o.p.word), output.valid.eq(words.o.valid & words.o.p.to[code.value])]
        with m.If(~self.active | (moved & (remaining == 1))):
            m.d.comb += routes.r_en.eq(1)
            m.d.sync += self.active.eq(routes.r_rdy & (following.words != 0))
            with m.If(routes.r_rdy):
                m.d.sync += [
                    destination.eq(1 << following.destination.as_value()),
                    self.operator.eq(following.operator),
                    remaining.eq(following.words),
                ]
        with m.Elif(moved):
            m.d.sync += remaining.eq(remaining - 1)
        return m
