"""Hands the words that come from memory, in order, to the units they were read for."""

from amaranth.hdl import Module, Signal, unsigned
from amaranth.lib import data, enum, fifo, stream, wiring
from amaranth.lib.wiring import In, Out
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
    Latency: none between `i_words` and an output. Throughput: one word a cycle, also across runs.
    `active` says that a run is known and not at its end, `operator` to which operator it (or the last one) belongs.

    Parameters
    ----------
    word_bits
        Width of a word.
    depth
        Runs that can wait.
    """

    def __init__(self, *, word_bits: int, depth: int):
        self.depth = depth
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
        destination = Signal(Destination)
        remaining = Signal(32)
        outputs = {
            Destination.MATMUL: self.o_matmul,
            Destination.ATTENTION: self.o_attention,
            Destination.VECTOR: self.o_vector,
        }
        for code, output in outputs.items():
            chosen = (destination == code) & (remaining != 0)
            m.d.comb += [
                output.payload.eq(self.i_words.payload),
                output.valid.eq(self.i_words.valid & chosen),
            ]
            with m.If(chosen):
                m.d.comb += self.i_words.ready.eq(output.ready)
        moved = Signal()
        m.d.comb += [moved.eq(self.i_words.valid & self.i_words.ready), self.active.eq(remaining != 0)]
        with m.If((remaining == 0) | (moved & (remaining == 1))):
            m.d.comb += routes.r_en.eq(1)
            m.d.sync += remaining.eq(0)
            with m.If(routes.r_rdy):
                m.d.sync += [
                    destination.eq(following.destination),
                    self.operator.eq(following.operator),
                    remaining.eq(following.words),
                ]
        with m.Elif(moved):
            m.d.sync += remaining.eq(remaining - 1)
        return m
