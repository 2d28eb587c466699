"""Lines of text with numbers in them, for a serial line."""

import re
from collections.abc import Mapping, Sequence

from amaranth.hdl import Array, Module, Mux, Signal
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

FIELD_BITS = 32
DIGITS = FIELD_BITS // 4
FIELD_MARK = 0x80
"""A byte of the stored text from here on stands for the field with its lower bits as number; text is ASCII."""


def encode(text: str, fields: Sequence[str]) -> bytes:
    """Return a text as it is stored: ASCII, and a mark for each ``{field}``.

    Raises
    ------
    ValueError
        If the text is not ASCII or names a field that there is not.
    """
    parts = re.split(r"\{(\w+)\}", text)
    unknown = [name for name in parts[1::2] if name not in fields]
    if unknown or not text.isascii():
        raise ValueError(f"a text must be ASCII with no other fields than {', '.join(fields)}, got {text!r}")
    marks = [bytes([FIELD_MARK | fields.index(part)]) if i % 2 else part.encode() for i, part in enumerate(parts)]
    return b"".join(marks)


class TextReporter(wiring.Component):
    """Writes one of several texts, in which fields stand for numbers, as eight hexadecimal digits.

    Protocol: `start` with the number of a text while not `busy`; the fields have to keep their values until the end.

    Latency: two cycles to the first character.

    Throughput: a character every three cycles, a digit every cycle.

    Parameters
    ----------
    texts : sequence of str
        Texts with ``{field}`` in them.
    fields : sequence of str
        Names of the fields.

    Attributes
    ----------
    start : In(1)
        Begin.
    text : In
        Which text.
    fields : In(32), one for each field
        What is written, by name with ``field_`` in front.
    o : Out(stream of 8 bits)
        Characters.
    busy : Out(1)
        A text is being written.
    """

    def __init__(self, texts: Sequence[str], fields: Sequence[str]):
        stored = [encode(text, fields) + b"\0" for text in texts]
        self._starts = [sum(len(each) for each in stored[:n]) for n in range(len(stored))]
        self._content = b"".join(stored)
        self._names = [f"field_{name}" for name in fields]
        members: Mapping[str, wiring.Member] = {
            "start": In(1),
            "text": In(range(len(texts))),
            **{name: In(FIELD_BITS) for name in self._names},
            "o": Out(stream.Signature(8)),
            "busy": Out(1),
        }
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        """Describe the reporter."""
        m = Module()
        m.submodules.texts = texts = memory.Memory(shape=8, depth=len(self._content), init=self._content)
        read = texts.read_port()
        place = Signal(range(len(self._content) + 1))
        number, digit = Signal(FIELD_BITS), Signal(range(DIGITS))
        nibble = number[-4:]
        character = Mux(nibble < 10, ord("0") + nibble, ord("a") - 10 + nibble)
        m.d.comb += read.addr.eq(place)
        with m.FSM() as states:
            m.d.comb += self.busy.eq(~states.ongoing("rest"))
            with m.State("rest"):
                m.d.sync += place.eq(Array(self._starts)[self.text])
                with m.If(self.start):
                    m.next = "fetch"
            with m.State("fetch"):
                m.d.sync += digit.eq(DIGITS - 1)
                m.next = "character"
            with m.State("character"):
                with m.If(read.data == 0):
                    m.next = "rest"
                with m.Elif(read.data[-1]):
                    with m.Switch(read.data[:-1]):
                        for index, name in enumerate(self._names):
                            with m.Case(index):
                                m.d.sync += number.eq(getattr(self, name))
                    m.next = "number"
                with m.Else():
                    m.d.comb += [self.o.valid.eq(1), self.o.payload.eq(read.data)]
                    with m.If(self.o.ready):
                        m.d.sync += place.eq(place + 1)
                        m.next = "fetch"
            with m.State("number"):
                m.d.comb += [self.o.valid.eq(1), self.o.payload.eq(character)]
                with m.If(self.o.ready):
                    m.d.sync += [number.eq(number << 4), digit.eq(digit - 1)]
                    with m.If(digit == 0):
                        m.d.sync += place.eq(place + 1)
                        m.next = "fetch"
        return m
