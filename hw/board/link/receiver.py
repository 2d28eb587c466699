"""From bytes to requests."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import crc, data, stream, wiring
from amaranth.lib.wiring import In, Out
from rtlm.hw.board.link.protocol import CRC_BYTES, MAX_WORDS, PAYLOAD, REQUEST, REQUEST_MARK, WORD_BYTES
from rtlm.hw.common.checks import check_range

CRC = crc.catalog.CRC32_ISO_HDLC
"""Of packets: zlib's crc32."""

BUFFER_WRITE = data.StructLayout({"index": range(MAX_WORDS), "word": 32})


class PacketReceiver(wiring.Component):
    """Takes a request apart.

    Protocol: bytes are taken until a request is whole; it stays on `o`, with `good`, until it is taken. A request in
    which no byte comes for too long is forgotten.

    Latency: two cycles from the last byte to `o.valid`.

    Throughput: a byte a cycle.

    Parameters
    ----------
    patience : int
        Cycles between two bytes of a request at most.

    Attributes
    ----------
    i : In(stream of 8 bits)
        Bytes.
    o : Out(stream of REQUEST)
        Headers.
    good : Out(1)
        The CRC is right.
    word : Out(32)
        The last word of the request.
    write, write_en : Out
        Words, as they come; those beyond `MAX_WORDS` are left out.
    """

    def __init__(self, *, patience: int):
        check_range("patience", patience, 1)
        self._patience = patience
        super().__init__(
            {
                "i": In(stream.Signature(8)),
                "o": Out(stream.Signature(REQUEST)),
                "good": Out(1),
                "word": Out(32),
                "write": Out(BUFFER_WRITE),
                "write_en": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Describe the receiver."""
        m = Module()
        m.submodules.crc = check = CRC().create()
        header, byte = self.o.payload, self.i.payload
        waited = Signal(range(self._patience + 1))
        index, words = Signal(range(REQUEST.size // 8 + 1)), Signal(9)
        taken, late = Signal(), Signal()
        m.d.comb += [
            taken.eq(self.i.valid & self.i.ready),
            check.data.eq(byte),
            self.good.eq(check.match_detected),
            self.write.word.eq(self.word),
            late.eq(~taken & (waited == self._patience)),
        ]
        m.d.sync += self.write_en.eq(0)
        with m.FSM(name="receiver") as states:
            within = states.ongoing("header") | states.ongoing("words") | states.ongoing("crc")
            m.d.comb += [self.i.ready.eq(states.ongoing("mark") | within), check.valid.eq(taken)]
            m.d.sync += [waited.eq(Mux(taken, 0, waited + 1)), index.eq(index + taken)]
            with m.State("mark"):
                m.d.comb += check.start.eq(1)
                m.d.sync += [index.eq(0), words.eq(0), waited.eq(0)]
                with m.If(taken & (byte == REQUEST_MARK)):
                    m.next = "header"
            with m.State("header"):
                with m.If(late):
                    m.next = "mark"
                with m.If(taken):
                    m.d.sync += header.eq(Cat(header.as_value()[8:], byte))
                    with m.If(index == REQUEST.size // 8 - 1):
                        m.d.sync += index.eq(0)
                        # The header has still to move by the byte that comes now.
                        moved = data.View(REQUEST, Cat(header.as_value()[8:], byte))
                        with m.If((moved.opcode & PAYLOAD).any() & (moved.count != 0)):
                            m.next = "words"
                        with m.Else():
                            m.next = "crc"
            with m.State("words"):
                with m.If(late):
                    m.next = "mark"
                with m.If(taken):
                    m.d.sync += self.word.eq(Cat(self.word[8:], byte))
                    with m.If(index == WORD_BYTES - 1):
                        m.d.sync += [index.eq(0), words.eq(words + 1)]
                        m.d.sync += [self.write.index.eq(words), self.write_en.eq(words < MAX_WORDS)]
                        with m.If(words == header.count - 1):
                            m.next = "crc"
            with m.State("crc"):
                with m.If(late):
                    m.next = "mark"
                with m.If(taken & (index == CRC_BYTES - 1)):
                    m.next = "whole"
            with m.State("whole"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.next = "mark"
        return m
