"""Proofs of how segments become bursts, and of the ports that fetch them."""

from dataclasses import replace

from amaranth.hdl import Assert, Assume, Cat, Module, Mux, Signal, Value
from amaranth.lib import stream
from amaranth.lib.wiring import In
from rtlm.hw.memory import BusFault, ReaderParams
from rtlm.hw.memory.bursts import BurstSplitter, ReadPort
from rtlm.sim.proofs.harness import Harness

SMALL_READER = ReaderParams(ports=1, port_bits=1024, word_bytes=1024, address_bits=16, prefetch_words=16, outstanding=2)
"""Bursts of four words, and six bits of word address."""


class SplitterHarness(Harness):
    """A splitter whose segments are free, under a limit that stands."""

    def __init__(self) -> None:
        self._params = SMALL_READER
        segment = stream.Signature(self._params.segment)
        super().__init__({"i": In(segment), "limit": In(self._params.beat_bits + 1), "ready": In(1)})

    def splitter(self, m: Module) -> BurstSplitter:
        """Make the splitter and connect the inputs."""
        m.submodules.splitter = splitter = BurstSplitter(self._params)
        m.d.comb += [
            splitter.i.valid.eq(self.i.valid),
            splitter.i.payload.eq(self.i.payload),
            splitter.limit.eq(self.limit),
            splitter.o.ready.eq(self.ready),
        ]
        self.constant(m, self.limit)
        return splitter


class SplitterProof(SplitterHarness):
    """The bursts of a segment are exactly its words, in order, none across a stripe's end or beyond the limit."""

    def elaborate(self, platform: object) -> Module:
        """Build it."""
        m = self.base()
        params = self._params
        splitter = self.splitter(m)
        # A segment of up to fifteen words; what is beyond the limit is the subject of its own assertion.
        m.d.comb += Assume(self.i.payload.words < 16)
        self.held(m, self.i.valid, splitter.i.ready, Value.cast(self.i.payload), Assume)
        self.held(m, splitter.o.valid, splitter.o.ready, Value.cast(splitter.o.payload), Assert)
        beats = params.beats_per_word
        shift = beats.bit_length() - 1
        burst = splitter.o.payload
        end = Signal(params.word_address_bits + 4)
        stripe = params.burst_words
        m.d.comb += end.eq(burst.address + burst.more)
        with m.If(splitter.o.valid):
            m.d.comb += [
                Assert(burst.address[: stripe.bit_length() - 1] + burst.more < stripe),
                Assert(end < (self.limit >> shift)),
            ]
        # Two segments can be inside: the one whose last burst is offered, and the one that is being cut.
        next_word, words_left = Signal(params.word_address_bits), Signal(5)
        later_word, later_left, later = Signal(params.word_address_bits), Signal(5), Signal()
        segment = self.i.payload
        harmless = Signal()
        accepted = Signal()
        m.d.comb += [
            harmless.eq(
                ~segment.address[:shift].any()
                & ((segment.address >> shift) + segment.words <= (self.limit >> shift))
                & ((segment.address >> shift) + segment.words <= 1 << params.word_address_bits)
                & (segment.words != 0)
            ),
            Assume(~self.i.valid | harmless),
            accepted.eq(self.i.valid & splitter.i.ready),
            Assert(splitter.fault == BusFault.NONE),
        ]
        taken = splitter.o.valid & splitter.o.ready
        remaining = Signal(5)
        m.d.comb += remaining.eq(words_left - Mux(taken, burst.more + 1, 0))
        with m.If(splitter.o.valid):
            m.d.comb += [Assert(burst.address == next_word), Assert(burst.more < words_left)]
        m.d.sync += [words_left.eq(remaining), next_word.eq(next_word + Mux(taken, burst.more + 1, 0))]
        first = Signal(params.word_address_bits)
        m.d.comb += first.eq(segment.address >> shift)
        empty = remaining == 0
        with m.If(empty & later):
            m.d.sync += [next_word.eq(later_word), words_left.eq(later_left), later.eq(0)]
        with m.If(accepted):
            with m.If(empty & ~later):
                m.d.sync += [next_word.eq(first), words_left.eq(segment.words)]
            with m.Else():
                m.d.comb += Assert(~later | empty)
                m.d.sync += [later_word.eq(first), later_left.eq(segment.words), later.eq(1)]
        # Nothing is left behind: an idle splitter has delivered everything.
        with m.If(~splitter.active & ~splitter.o.valid):
            m.d.comb += Assert((words_left == 0) & ~later)
        return m


class LimitProof(SplitterHarness):
    """Whatever is asked for, no burst goes beyond the limit or begins within a word; a fault says so."""

    def __init__(self, faults: bool) -> None:
        self._faults = faults
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        """Build it."""
        m = self.base()
        params = self._params
        splitter = self.splitter(m)
        stopped = Signal()
        m.d.comb += splitter.stop.eq(stopped)
        with m.If(splitter.fault != BusFault.NONE):
            m.d.sync += stopped.eq(1)  # as the reader does
        shift = params.beats_per_word.bit_length() - 1
        if self._faults:
            self._must_fail(m, splitter, stopped, shift)
        burst = splitter.o.payload
        with m.If(splitter.o.valid & ~stopped):
            m.d.comb += [
                Assert(burst.address + burst.more < (self.limit >> shift)),
                Assert(burst.address[: params.burst_words.bit_length() - 1] + burst.more < params.burst_words),
            ]
        return m

    def _must_fail(self, m: Module, splitter: BurstSplitter, stopped: Signal, shift: int) -> None:
        """Assert that a segment that leaves the memory or the address space is a fault when it is first cut."""
        beyond, end = Signal(), Signal(40)
        m.d.comb += end.eq((self.i.payload.address >> shift) + self.i.payload.words)
        with m.If(self.i.valid & splitter.i.ready):
            outside = (end > (self.limit >> shift)) | (end > 1 << self._params.word_address_bits)
            m.d.sync += beyond.eq(outside & (self.i.payload.words != 0))
        with m.If(splitter.active & beyond & ~stopped & (~splitter.o.valid | self.ready)):
            m.d.comb += Assert(splitter.fault != BusFault.NONE)


class PortProof(Harness):
    """A port never has more bursts outstanding than it may; each stays within 4 KiB and stands until it is taken."""

    def __init__(self, outstanding: int) -> None:
        params = self._params = replace(SMALL_READER, outstanding=outstanding)
        super().__init__(
            {
                "waiting": In(1),
                "burst": In(params.burst),
                "arready": In(1),
                "rvalid": In(1),
                "rlast": In(1),
                "stop": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build it."""
        m = self.base()
        params = self._params
        m.submodules.port = port = ReadPort(params, 0)
        axi = port.axi
        inside = params.burst_words.bit_length() - 1
        m.d.comb += [
            port.waiting.eq(self.waiting),
            port.burst.eq(self.burst),
            port.stop.eq(self.stop),
            axi.arready.eq(self.arready),
            axi.rvalid.eq(self.rvalid),
            axi.rlast.eq(self.rlast),
            # What the splitter is proved to guarantee.
            Assume(self.burst.address[:inside] + self.burst.more < params.burst_words),
        ]
        self.held(m, axi.arvalid, axi.arready, Cat(axi.araddr, axi.arlen), Assert)
        requested = Signal(4)  # on the bus and not yet answered
        issued = axi.arvalid & axi.arready
        answered = axi.rvalid & axi.rlast
        m.d.comb += [Assume(~axi.rvalid | (requested != 0)), Assert(axi.rready)]
        m.d.sync += requested.eq(requested + issued - answered)
        bytes_ = Signal(16)
        m.d.comb += [
            Assert(requested + axi.arvalid <= params.outstanding),
            # For one outstanding burst this is all that the port itself counts, and the induction closes.
            Assert(port.busy == ((requested != 0) | axi.arvalid)),
            bytes_.eq((axi.arlen + 1) * (params.port_bits // 8)),
        ]
        with m.If(axi.arvalid):
            m.d.comb += [
                Assert(axi.araddr[:12] + bytes_ <= 4096),
                Assert(axi.araddr[: (params.port_bits // 8).bit_length() - 1] == 0),
            ]
        return m
