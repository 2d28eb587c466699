"""From answers to bytes."""

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from rtlm.hw.board.link.protocol import ANSWER, ANSWER_MARK, CRC_BYTES, MAX_WORDS, WORD_BYTES
from rtlm.hw.board.link.receiver import CRC


class PacketSender(wiring.Component):
    """Puts an answer together.

    Protocol: a header is taken while nothing is being sent; the words that it counts are read from a buffer, which has
    to keep them until `i.ready`.

    Latency: two cycles to the first byte.

    Throughput: a word in five cycles.

    Attributes
    ----------
    i : In(stream of ANSWER)
        Headers.
    index : Out
        Which word of the buffer is wanted.
    word : In(32)
        That word, a cycle later.
    o : Out(stream of 8 bits)
        Bytes.
    """

    i: In(stream.Signature(ANSWER))
    index: Out(range(MAX_WORDS + 1))
    word: In(32)
    o: Out(stream.Signature(8))

    def elaborate(self, platform: object) -> Module:
        """Describe the sender."""
        m = Module()
        m.submodules.crc = check = CRC().create()
        held, left = Signal(32), Signal(range(WORD_BYTES))
        count, ends = Signal.like(self.i.payload.count), Signal()
        sent = Signal()
        m.d.comb += [
            sent.eq(self.o.valid & self.o.ready),
            self.o.payload.eq(held[:8]),
            check.data.eq(self.o.payload),
            check.valid.eq(sent),
        ]
        with m.FSM(name="sender"):
            with m.State("rest"):
                m.d.comb += [self.i.ready.eq(1), check.start.eq(1)]
                header = self.i.payload
                m.d.sync += [
                    held.eq(Cat(Const(ANSWER_MARK, 8), header.as_value())),
                    left.eq(WORD_BYTES - 1),
                    count.eq(header.count),
                    self.index.eq(0),
                    ends.eq(0),
                ]
                with m.If(self.i.valid):
                    m.next = "send"
            with m.State("send"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(sent):
                    m.d.sync += [held.eq(held >> 8), left.eq(left - 1)]
                    with m.If(left == 0):
                        m.next = "next"
            with m.State("next"):
                m.d.sync += left.eq(WORD_BYTES - 1)
                m.next = "send"
                with m.If(self.index != count):
                    m.d.sync += [held.eq(self.word), self.index.eq(self.index + 1)]
                with m.Elif(~ends):
                    m.d.sync += [held.eq(check.crc), left.eq(CRC_BYTES - 1), ends.eq(1)]
                with m.Else():
                    m.next = "rest"
        return m
