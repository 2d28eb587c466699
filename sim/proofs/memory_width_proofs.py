"""Proofs of the memory's width converters: beats of the ports become words, and words become beats."""

from dataclasses import dataclass

from amaranth.hdl import Assert, Assume, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import stream
from amaranth.lib.wiring import In, PureInterface
from rtlm.hw.memory import ReaderParams, StreamReader, Striping, WordWriter, WriterParams
from rtlm.sim.proofs.harness import Harness

WORD_NUMBERS = 3
"""Bits of the numbers of words that segments may begin at."""


class ShortBursts(Striping):
    """Bursts of at most four beats: those of AXI would need buffers that are too long for a solver."""

    @property
    def burst_beats(self) -> int:
        """Beats of the longest burst."""
        return 4


@dataclass(frozen=True, kw_only=True)
class ShortBurstReader(ReaderParams):
    """A reader whose bursts are short."""

    @property
    def striping(self) -> Striping:
        """Map from beats to ports and byte addresses."""
        return ShortBursts(ports=self.ports, port_bytes=self.port_bits // 8)


def small_reader(ports: int, beats_per_word: int) -> ShortBurstReader:
    """Return the smallest reader with so many ports and beats in a word."""
    return ShortBurstReader(
        ports=ports,
        port_bits=8,
        address_bits=12,
        word_bytes=ports * beats_per_word,
        prefetch_words=2 * ShortBursts(ports=ports, port_bytes=1).burst_beats // beats_per_word,
        outstanding=2,
    )


class Bursts:
    """The bursts that a slave has been asked for on a port, the oldest first, and how far that one has got.

    Parameters
    ----------
    m
        Module to which the gates are added.
    name
        Of its signals.
    address, more, asked
        A burst's byte address, its beats after the first, and whether it is asked for in this cycle.
    moved
        A beat of the oldest burst moves in this cycle.
    places
        Most bursts that can be waiting; more are an error of the port.
    """

    def __init__(
        self, m: Module, name: str, *, address: Value, more: Value, asked: Value, moved: Value, places: int
    ) -> None:
        width = len(address) + len(more)
        queue = [Signal(width, name=f"{name}_burst{n}") for n in range(places)]
        count, done = Signal(range(places + 1), name=f"{name}_bursts"), Signal.like(more, name=f"{name}_done")
        self.any = count != 0
        self.address = queue[0][: len(address)] + done
        """Number of the byte at which the next beat begins, if a beat is a byte."""
        self.offset = done
        self.first = queue[0][: len(address)]
        self.last = done == queue[0][len(address) :]
        finished = Signal(name=f"{name}_finished")
        m.d.comb += [finished.eq(moved & self.last), Assert(~asked | (count != places) | finished)]
        with m.If(moved):
            m.d.sync += done.eq(Mux(self.last, 0, done + 1))
        left = Signal(range(places + 1), name=f"{name}_left")
        m.d.comb += left.eq(count - finished)
        m.d.sync += count.eq(left + asked)
        for n, burst in enumerate(queue):
            following = queue[n + 1] if n + 1 < places else burst
            new = Cat(address, more)
            m.d.sync += burst.eq(Mux(asked & (left == n), new, Mux(finished, following, burst)))


class ReaderProof(Harness):
    """Each word is the one that was asked for, from all ports, in its turn and on the right stream.

    Memory holds at each byte the number of that byte, so a piece that is lost, repeated, from another port or at
    another place of its word is another number. The word at any position in the order of all words is compared, and
    no word is given that was not asked for.
    """

    def __init__(self, ports: int, beats_per_word: int) -> None:
        self._params = params = small_reader(ports, beats_per_word)
        super().__init__(
            {
                "i": In(stream.Signature(params.segment)),
                "arready": In(ports),
                "rvalid": In(ports),
                "ready": In(2),
                "position": In(3),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build it."""
        m = self.base()
        params = self._params
        m.submodules.reader = reader = StreamReader(params)
        self.constant(m, self.position)
        shift = params.beats_per_word.bit_length() - 1
        segment, number = self.i.payload, Signal(len(self.i.payload.address))
        m.d.comb += [
            reader.i_segments.valid.eq(self.i.valid),
            reader.i_segments.payload.eq(segment),
            reader.limit.eq(1 << params.beat_bits),
            Cat(reader.o_words.ready, reader.o_program.ready).eq(self.ready),
            number.eq(segment.address >> shift),
            Assume(~segment.address[:shift].any() & (number < 1 << WORD_NUMBERS)),
            Assume((segment.words != 0) & (segment.words < 4)),
        ]
        self.held(m, self.i.valid, reader.i_segments.ready, Value.cast(segment), Assume)
        for port in range(params.ports):
            self._slave(m, port, getattr(reader, f"m{port}_axi"))
        asked, wanted, program = Signal(6), Signal(params.beat_bits), Signal()
        with m.If(self.i.valid & reader.i_segments.ready):
            m.d.sync += asked.eq(asked + segment.words[:2])
            with m.If((asked <= self.position) & (self.position < asked + segment.words[:2])):
                m.d.sync += [
                    wanted.eq(segment.address + ((self.position - asked)[:3] << shift)),
                    program.eq(segment.kind),
                ]
        given, valid = Signal(6), Signal()
        outputs = (reader.o_words, reader.o_program)
        for output in outputs:
            self.held(m, output.valid, output.ready, output.payload, Assert)
        m.d.comb += [
            valid.eq(Cat(output.valid for output in outputs).any()),
            Assert(~(outputs[0].valid & outputs[1].valid)),
            Assert(~valid | (given < asked)),
        ]
        m.d.sync += given.eq(given + Cat(output.valid & output.ready for output in outputs).any())
        bytes_ = [
            params.striping.byte_address_value((wanted + beat)[: params.beat_bits], port)[:8]
            for beat in range(params.beats_per_word)
            for port in range(params.ports)
        ]
        with m.If(valid & (given == self.position)):
            m.d.comb += [Assert(outputs[1].valid == program), Assert(outputs[0].payload == Cat(*bytes_))]
        # Nothing is left behind: a reader that is idle and gives nothing has given everything.
        quiet, was_quiet = Signal(), Signal()
        m.d.comb += quiet.eq(reader.idle & ~valid)
        m.d.sync += was_quiet.eq(quiet)
        with m.If(quiet & was_quiet):
            m.d.comb += Assert(given == asked)
        return m

    def _slave(self, m: Module, port: int, axi: PureInterface) -> None:
        """Answer in order, after any time, with the numbers of the bytes."""
        bursts = Bursts(
            m,
            f"port{port}",
            address=axi.araddr,
            more=axi.arlen,
            asked=axi.arvalid & axi.arready,
            moved=axi.rvalid,
            places=self._params.outstanding,
        )
        m.d.comb += [
            axi.arready.eq(self.arready[port]),
            axi.rvalid.eq(self.rvalid[port]),
            Assume(~axi.rvalid | bursts.any),
            axi.rdata.eq(bursts.address),
            axi.rlast.eq(bursts.last),
        ]


def small_writer(ports: int, beats_per_word: int) -> WriterParams:
    """Return a small writer: beats of two bytes, bursts of at most two beats."""
    return WriterParams(
        ports=ports,
        port_bits=16,
        address_bits=12,
        word_bytes=2 * ports * beats_per_word,
        burst_beats=2,
        outstanding=2,
    )


class WriterProof(Harness):
    """Each port writes exactly its parts of the words that carry strobes, in order, where they belong.

    The part at any position in the order of a port's parts is compared: address, data and strobes. `wlast` stands at
    the end of each burst and nowhere else, bursts keep to their bounds, and offers stand until they are taken.
    """

    def __init__(self, ports: int, beats_per_word: int) -> None:
        self._params = params = small_writer(ports, beats_per_word)
        super().__init__(
            {
                "i": In(stream.Signature(params.payload)),
                "awready": In(ports),
                "wready": In(ports),
                "bvalid": In(ports),
                "position": In(3),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build it."""
        m = self.base()
        params = self._params
        m.submodules.writer = writer = WordWriter(params)
        self.constant(m, self.position)
        shift = params.beats_per_word.bit_length() - 1
        word = self.i.payload
        m.d.comb += [
            writer.i.valid.eq(self.i.valid),
            writer.i.payload.eq(word),
            writer.limit.eq(1 << params.beat_bits),
            Assume(~word.address[:shift].any() & (word.address < 32)),
        ]
        self.held(m, self.i.valid, writer.i.ready, Value.cast(word), Assume)
        for port in range(params.ports):
            self._port(m, port, getattr(writer, f"m{port}_axi"), writer)
        return m

    def _port(self, m: Module, port: int, axi: PureInterface, writer: WordWriter) -> None:
        """Play a port's slave, and compare what it is given."""
        params, word = self._params, self.i.payload
        taken, sent = Signal(6, name=f"taken{port}"), Signal(6, name=f"sent{port}")
        address = Signal(params.beat_bits, name=f"address{port}")
        data, strobe = Signal(16, name=f"data{port}"), Signal(2, name=f"strobe{port}")
        before: Value = taken
        with m.If(self.i.valid & writer.i.ready):
            for beat in range(params.beats_per_word):
                part = beat * params.ports + port
                strobes = word.strobe.word_select(part, 2)
                with m.If(strobes.any() & (before == self.position)):
                    m.d.sync += [
                        address.eq(word.address + beat),
                        data.eq(word.data.word_select(part, 16)),
                        strobe.eq(strobes),
                    ]
                before = (before + strobes.any())[:6]
            m.d.sync += taken.eq(before)
        asked, moved = axi.awvalid & axi.awready, axi.wvalid & axi.wready
        bursts = Bursts(m, f"port{port}", address=axi.awaddr, more=axi.awlen, asked=asked, moved=moved, places=2)
        unanswered = Signal(2, name=f"unanswered{port}")
        m.d.sync += [sent.eq(sent + moved), unanswered.eq(unanswered + (moved & bursts.last) - axi.bvalid)]
        # Beats lie beside each other in a port's chunk of a stripe: the address counts them in its low bits.
        within = axi.awaddr[1:][: params.burst_beats.bit_length() - 1]
        self.held(m, axi.awvalid, axi.awready, Cat(axi.awaddr, axi.awlen), Assert)
        self.held(m, axi.wvalid, axi.wready, Cat(axi.wdata, axi.wstrb, axi.wlast), Assert)
        m.d.comb += [
            axi.awready.eq(self.awready[port]),
            axi.wready.eq(self.wready[port]),
            axi.bvalid.eq(self.bvalid[port]),
            Assume(~axi.bvalid | (unanswered != 0)),
            Assert(~axi.awvalid | (within + axi.awlen < params.burst_beats)),
            Assert(~axi.wvalid | (bursts.any & (axi.wlast == bursts.last) & axi.wstrb.any() & (sent < taken))),
            # Nothing is left behind.
            Assert(~writer.idle | (sent == taken)),
        ]
        with m.If(axi.wvalid & (sent == self.position)):
            place = Value.cast(params.striping.byte_address_value(address, port))
            m.d.comb += [
                Assert(bursts.first + Cat(Const(0, 1), bursts.offset) == place),
                Assert(axi.wstrb == strobe),
                Assert(axi.wdata == data),
            ]
