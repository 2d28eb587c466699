"""Operators of rates in gates: plain bits and `last` from stream to stream."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out


def beat(width: int) -> stream.Signature:
    """Signature of a stream of so many bits and `last`."""
    return stream.Signature(data.StructLayout({"data": unsigned(width), "last": unsigned(1)}))


class OneToOne(wiring.Component):
    """A component with a stream ``i`` and a stream ``o``; outputs come from registers.

    Parameters
    ----------
    width_in, width_out
        Bits of a beat.
    """

    def __init__(self, width_in: int, width_out: int):
        super().__init__({"i": In(beat(width_in)), "o": Out(beat(width_out))})


class StreamRegister(OneToOne):
    """A register between two streams.

    Latency: a cycle.

    Throughput: a beat a cycle.
    """

    def __init__(self, width: int):
        super().__init__(width, width)

    def elaborate(self, platform: object) -> Module:
        """Build it."""
        m = Module()
        m.d.comb += self.i.ready.eq(~self.o.valid | self.o.ready)
        with m.If(self.i.ready):
            m.d.sync += self.o.valid.eq(self.i.valid)
            with m.If(self.i.valid):
                m.d.sync += self.o.payload.eq(self.i.payload)
        return m


class Widener(OneToOne):
    """Puts `count` beats side by side; the `last` of the last one counts.

    Latency: a cycle, from the last of these beats.

    Throughput: a beat a cycle, in.

    Parameters
    ----------
    width
        Bits of a beat that comes in.
    count
        Beats that become one.
    """

    def __init__(self, width: int, count: int):
        self.width, self.count = width, count
        super().__init__(width, width * count)

    def elaborate(self, platform: object) -> Module:
        """Shift beats in, and put out with the last of them."""
        m = Module()
        held = Signal(self.width * (self.count - 1))
        place = Signal(range(self.count))
        full = Signal()
        m.d.comb += [full.eq(place == self.count - 1), self.i.ready.eq(~full | ~self.o.valid | self.o.ready)]
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [
                place.eq(Mux(full, 0, place + 1)),
                held.eq(Cat(held, self.i.payload.data)[self.width :]),
            ]
            with m.If(full):
                m.d.sync += [
                    self.o.valid.eq(1),
                    self.o.payload.data.eq(Cat(held, self.i.payload.data)),
                    self.o.payload.last.eq(self.i.payload.last),
                ]
        return m


class Narrower(OneToOne):
    """Puts out a beat in `count` parts, or as it is `count` times; `last` comes with the last of them.

    Latency: a cycle, to the first of these beats.

    Throughput: a beat a cycle, out.

    Parameters
    ----------
    width
        Bits of a beat that goes out.
    count
        Beats that come of one.
    repeats
        Whether they are all the same.
    """

    def __init__(self, width: int, count: int, *, repeats: bool = False):
        self.width, self.count, self.repeats = width, count, repeats
        super().__init__(width if repeats else width * count, width)

    def elaborate(self, platform: object) -> Module:
        """Hold a beat and shift its parts out."""
        m = Module()
        held, last, valid = Signal.like(self.i.payload.data, name="held"), Signal(), Signal()
        place = Signal(range(self.count))
        final = Signal()
        m.d.comb += [
            final.eq(place == self.count - 1),
            self.i.ready.eq(~valid | (self.o.ready & final)),
            self.o.valid.eq(valid),
            self.o.payload.data.eq(held[: self.width]),
            self.o.payload.last.eq(last & final),
        ]
        with m.If(valid & self.o.ready):
            m.d.sync += place.eq(Mux(final, 0, place + 1))
            if not self.repeats:
                m.d.sync += held.eq(held[self.width :])
            with m.If(final):
                m.d.sync += valid.eq(0)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [held.eq(self.i.payload.data), last.eq(self.i.payload.last), valid.eq(1)]
        return m


class PacketRepeater(OneToOne):
    """Puts out each packet `count` times, from a memory of two packets: one is stored while another is repeated.

    Latency: two cycles from a packet's last beat in to its first beat out.

    Throughput: a beat a cycle, out.

    Parameters
    ----------
    width
        Bits of a beat.
    count
        Times that a packet comes.
    depth
        Beats of the longest packet.
    """

    def __init__(self, width: int, count: int, depth: int):
        self.width, self.count, self.depth = width, count, depth
        super().__init__(width, width)

    def elaborate(self, platform: object) -> Module:
        """Fill one bank, read the other."""
        m = Module()
        bits = max(1, (self.depth - 1).bit_length())
        words = memory.Memory(shape=unsigned(self.width), depth=2 << bits, init=[])
        m.submodules.words = words
        into, out = words.write_port(), words.read_port()
        full = Signal(range(3))
        filling, reading, place, address = Signal(), Signal(), Signal(bits), Signal(bits)
        ends = [Signal(bits, name=f"end{bank}") for bank in range(2)]
        passes = Signal(range(self.count))
        write, move, done, freed = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            self.i.ready.eq(full != 2),
            write.eq(self.i.valid & self.i.ready),
            done.eq(write & self.i.payload.last),
            into.addr.eq(Cat(place, filling)),
            into.data.eq(self.i.payload.data),
            into.en.eq(write),
            out.addr.eq(Cat(address, reading)),
            move.eq(~self.o.valid | self.o.ready),
            out.en.eq(move),
            self.o.payload.data.eq(out.data),
        ]
        m.d.sync += full.eq(full + done - freed)
        with m.If(done):
            m.d.sync += [filling.eq(~filling), place.eq(0)]
            for bank, end in enumerate(ends):
                with m.If(filling == bank):
                    m.d.sync += end.eq(place)
        with m.Elif(write):
            m.d.sync += place.eq(place + 1)
        last = Signal()
        m.d.comb += last.eq(address == Mux(reading, ends[1], ends[0]))
        with m.If(move):
            m.d.sync += self.o.valid.eq(full != 0)
            with m.If(full != 0):
                m.d.sync += [self.o.payload.last.eq(last), address.eq(Mux(last, 0, address + 1))]
                with m.If(last):
                    m.d.sync += passes.eq(passes + 1)
                    with m.If(passes == self.count - 1):
                        m.d.sync += [passes.eq(0), reading.eq(~reading)]
                        m.d.comb += freed.eq(1)
        return m


class Keeper(wiring.Component):
    """Puts out the beat of one stream with each beat of a packet of another, whose `last` it takes.

    Latency: a cycle.

    Throughput: a beat a cycle.

    Parameters
    ----------
    width
        Bits of a beat.

    Attributes
    ----------
    i : In(stream.Signature(StructLayout)).array(2)
        What comes once a packet, and the packets, of which only `last` is there.
    o : Out(stream.Signature(StructLayout))
        As many beats as packets have.
    """

    def __init__(self, width: int):
        self.width = width
        super().__init__({"i": In(beat(width)).array(2), "o": Out(beat(width))})

    def elaborate(self, platform: object) -> Module:
        """Take from both, from the first with the last beat of a packet."""
        m = Module()
        value, over = self.i
        move, both = Signal(), Signal()
        m.d.comb += [
            move.eq(~self.o.valid | self.o.ready),
            both.eq(value.valid & over.valid),
            over.ready.eq(move & value.valid),
            value.ready.eq(move & over.valid & over.payload.last),
        ]
        with m.If(move):
            m.d.sync += self.o.valid.eq(both)
            with m.If(both):
                m.d.sync += [
                    self.o.payload.data.eq(value.payload.data),
                    self.o.payload.last.eq(over.payload.last),
                ]
        return m


class Distributor(wiring.Component):
    """Gives packets to so many streams in turn.

    Latency: a cycle.

    Throughput: a beat a cycle.

    Parameters
    ----------
    width
        Bits of a beat.
    count
        Streams.

    Attributes
    ----------
    i : In(stream.Signature(StructLayout))
        Packets.
    o : Out(stream.Signature(StructLayout)).array(count)
        Branches.
    """

    def __init__(self, width: int, count: int):
        self.width, self.count = width, count
        super().__init__({"i": In(beat(width)), "o": Out(beat(width)).array(count)})

    def elaborate(self, platform: object) -> Module:
        """Hold a beat for the stream whose turn it is."""
        m = Module()
        held, turn = Signal.like(self.i.payload, name="held"), Signal(range(self.count))
        valid, taken = Signal(), Signal()
        for k in range(self.count):
            m.d.comb += [self.o[k].payload.eq(held), self.o[k].valid.eq(valid & (turn == k))]
            with m.If(turn == k):
                m.d.comb += taken.eq(valid & self.o[k].ready)
        m.d.comb += self.i.ready.eq(~valid | taken)
        with m.If(taken):
            m.d.sync += valid.eq(0)
            with m.If(held.last):
                m.d.sync += turn.eq(Mux(turn == self.count - 1, 0, turn + 1))
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [held.eq(self.i.payload), valid.eq(1)]
        return m


class Collector(wiring.Component):
    """Takes packets from so many streams in turn.

    Latency: a cycle.

    Throughput: a beat a cycle.

    Parameters
    ----------
    width
        Bits of a beat.
    count
        Streams.

    Attributes
    ----------
    i : In(stream.Signature(StructLayout)).array(count)
        Branches.
    o : Out(stream.Signature(StructLayout))
        Packets.
    """

    def __init__(self, width: int, count: int):
        self.width, self.count = width, count
        super().__init__({"i": In(beat(width)).array(count), "o": Out(beat(width))})

    def elaborate(self, platform: object) -> Module:
        """Take from the stream whose turn it is."""
        m = Module()
        turn, move = Signal(range(self.count)), Signal()
        m.d.comb += move.eq(~self.o.valid | self.o.ready)
        for k in range(self.count):
            with m.If(turn == k):
                m.d.comb += self.i[k].ready.eq(move)
                with m.If(move):
                    m.d.sync += self.o.valid.eq(self.i[k].valid)
                    with m.If(self.i[k].valid):
                        m.d.sync += self.o.payload.eq(self.i[k].payload)
                        with m.If(self.i[k].payload.last):
                            m.d.sync += turn.eq(0 if k == self.count - 1 else k + 1)
        return m
