"""What is proved: queues, converters, pipeline stages, bursts, and how far the sequencer and the ports run ahead.

Inputs that the claims need nothing of are free; sources keep the rule of streams (an offer stands until it is taken).
"""

from dataclasses import replace

from amaranth.hdl import Assert, Assume, Cat, Module, Mux, ResetSignal, Signal, Value
from amaranth.lib import fifo, stream, wiring
from amaranth.lib.wiring import In
from rtlm.hw import hls
from rtlm.hw.control.router import WordRouter
from rtlm.hw.control.sequencer import Sequencer, SequencerParams
from rtlm.hw.hls import UInt
from rtlm.hw.memory import BusFault, ReaderParams
from rtlm.hw.memory.bursts import BurstSplitter, ReadPort
from rtlm.sim.formal.prover import Property

SMALL_READER = ReaderParams(ports=1, port_bits=1024, word_bytes=1024, address_bits=16, prefetch_words=16, outstanding=2)
"""Bursts of four words, and six bits of word address."""

SMALL_SEQUENCER = SequencerParams(
    columns=1,
    word_bytes=64,
    beats_per_word=1,
    head_dim=16,
    scale_words=1,
    row_words=1,
    vector_lanes=2,
    max_k_blocks=4,
    max_packet_rows=64,
    kv_heads=1,
    group=1,
)


class Harness(wiring.Component):
    """A unit whose inputs are free, and never in reset."""

    def base(self) -> Module:
        """Start a module."""
        m = Module()
        self.past = Signal()
        m.d.sync += self.past.eq(1)
        m.d.comb += Assume(~ResetSignal("sync"))
        return m

    def held(self, m: Module, valid: Value, ready: Value, payload: Value, check: type) -> None:
        """Assume or assert that an offer stands, unchanged, until it is taken."""
        waited, before = Signal(name="waited"), Signal.like(payload, name="before")
        m.d.sync += [waited.eq(valid & ~ready), before.eq(payload)]
        with m.If(self.past & waited):
            m.d.comb += check(valid & (payload == before))

    def constant(self, m: Module, value: Value) -> None:
        """Assume that an input never changes."""
        before = Signal.like(value, name="constant_before")
        m.d.sync += before.eq(value)
        with m.If(self.past):
            m.d.comb += Assume(value == before)


class QueueProof(Harness):
    """A value that is written at any position comes out at that position, and the level is never exceeded."""

    def __init__(self, make: type, depth: int):
        self._make, self._depth = make, depth
        super().__init__({"data": In(4), "write": In(1), "read": In(1), "position": In(4)})

    def elaborate(self, platform: object) -> Module:
        """Build it."""
        m = self.base()
        m.submodules.queue = queue = self._make(width=4, depth=self._depth)
        self.constant(m, self.position)
        m.d.comb += [queue.w_data.eq(self.data), queue.w_en.eq(self.write), queue.r_en.eq(self.read)]
        written, read, kept, known = Signal(4), Signal(4), Signal(4), Signal()
        with m.If(queue.w_en & queue.w_rdy):
            m.d.sync += written.eq(written + 1)
            with m.If((written == self.position) & ~known):
                m.d.sync += [kept.eq(self.data), known.eq(1)]
        with m.If(queue.r_en & queue.r_rdy):
            m.d.sync += read.eq(read + 1)
        inside = Signal(4)
        m.d.comb += [inside.eq(written - read), Assert(inside <= self._depth), Assert(queue.level == inside)]
        first = Signal(init=1)
        with m.If(written == 15):
            m.d.sync += first.eq(0)  # positions count modulo 16; only the first round is compared
        with m.If(first & queue.r_rdy & (read == self.position)):
            m.d.comb += [Assert(known), Assert(queue.r_data == kept)]
        return m


class RouterProof(Harness):
    """Each run of words goes to its destination, whole and in order, and nothing goes elsewhere."""

    def __init__(self) -> None:
        super().__init__({"route": In(5), "route_valid": In(1), "word_valid": In(1), "ready": In(3)})

    def elaborate(self, platform: object) -> Module:
        """Build it."""
        m = self.base()
        m.submodules.router = router = WordRouter(word_bits=4, depth=2)
        destination, words = self.route[:2], self.route[2:]
        count = Signal(4)
        m.d.comb += [
            Assume(destination != 3),
            Assume(words != 0),
            router.i_route.valid.eq(self.route_valid),
            router.i_route.payload.destination.eq(destination),
            router.i_route.payload.words.eq(words),
            router.i_words.valid.eq(self.word_valid),
            router.i_words.payload.eq(count),
        ]
        self.held(m, self.route_valid, router.i_route.ready, self.route, Assume)
        outputs = (router.o_matmul, router.o_attention, router.o_vector)
        m.d.comb += [output.ready.eq(bit) for output, bit in zip(outputs, self.ready, strict=True)]
        # A model of the runs that are waiting, the oldest first: three can be inside (one active, two queued).
        runs = [Signal(5, name=f"run{n}") for n in range(4)]
        waiting, moved = Signal(3), Signal()
        accepted = router.i_route.valid & router.i_route.ready
        m.d.comb += moved.eq(router.i_words.valid & router.i_words.ready)
        finished = moved & (runs[0][2:] == 1)
        left = Signal(3)
        m.d.comb += left.eq(waiting - finished)
        for n, run in enumerate(runs):
            following = runs[n + 1] if n + 1 < len(runs) else run
            kept = Mux(finished, following, Cat(run[:2], run[2:] - 1) if n == 0 else run)
            m.d.sync += run.eq(Mux(accepted & (left == n), self.route, Mux((n != 0) | moved, kept, run)))
        m.d.sync += waiting.eq(left + accepted)
        m.d.comb += Assert(waiting <= len(runs))
        with m.If(moved):
            m.d.sync += count.eq(count + 1)
            m.d.comb += Assert(waiting != 0)
        for code, output in enumerate(outputs):
            taken = output.valid & output.ready
            with m.If(output.valid):
                m.d.comb += [Assert(runs[0][:2] == code), Assert(output.payload == count)]
            with m.If(taken):
                m.d.comb += Assert(moved)
        m.d.comb += Assert(moved == Cat(output.valid & output.ready for output in outputs).any())
        return m


@hls.kernel
def increment(x: UInt(3)) -> UInt(3):
    """A pipeline whose values can be counted."""
    return hls.wrap(x + 1, UInt(3))


class PipelineProof(Harness):
    """A kernel's pipeline loses, repeats and reorders nothing, and holds its output while it is not taken."""

    def __init__(self, clock_mhz: float) -> None:
        self._clock_mhz = clock_mhz
        super().__init__({"valid": In(1), "ready": In(1)})

    def elaborate(self, platform: object) -> Module:
        """Build it."""
        m = self.base()
        m.submodules.pipeline = pipeline = increment.component(lanes=1, clock_mhz=self._clock_mhz, technology="generic")
        sent, received = Signal(3), Signal(3)
        m.d.comb += [
            pipeline.i.valid.eq(self.valid),
            Value.cast(pipeline.i.payload).eq(sent),
            pipeline.o.ready.eq(self.ready),
        ]
        self.held(m, self.valid, pipeline.i.ready, sent, Assume)
        self.held(m, pipeline.o.valid, pipeline.o.ready, Value.cast(pipeline.o.payload), Assert)
        with m.If(pipeline.i.valid & pipeline.i.ready):
            m.d.sync += sent.eq(sent + 1)
        with m.If(pipeline.o.valid & pipeline.o.ready):
            m.d.sync += received.eq(received + 1)
        with m.If(pipeline.o.valid):
            m.d.comb += Assert(Value.cast(pipeline.o.payload)[:3] == (received + 1)[:3])
            m.d.comb += Assert(sent != received)
        if pipeline.latency == 1:
            # A single stage holds what its output shows, and nothing else: with this the induction closes.
            m.d.comb += Assert((sent - received)[:3] == pipeline.o.valid)
        return m


class SplitterProof(Harness):
    """The bursts of a segment are exactly its words, in order, none across a stripe's end or beyond the limit."""

    def __init__(self) -> None:
        self._params = SMALL_READER
        segment = stream.Signature(self._params.segment)
        super().__init__({"i": In(segment), "limit": In(self._params.beat_bits + 1), "ready": In(1)})

    def elaborate(self, platform: object) -> Module:
        """Build it."""
        m = self.base()
        params = self._params
        m.submodules.splitter = splitter = BurstSplitter(params)
        m.d.comb += [
            splitter.i.valid.eq(self.i.valid),
            splitter.i.payload.eq(self.i.payload),
            splitter.limit.eq(self.limit),
            splitter.o.ready.eq(self.ready),
            # A segment of up to fifteen words; what is beyond the limit is the subject of its own assertion.
            Assume(self.i.payload.words < 16),
        ]
        self.constant(m, self.limit)
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


class LimitProof(Harness):
    """Whatever is asked for, no burst goes beyond the limit or begins within a word; a fault says so."""

    def __init__(self, faults: bool) -> None:
        self._faults = faults
        self._params = SMALL_READER
        segment = stream.Signature(self._params.segment)
        super().__init__({"i": In(segment), "limit": In(self._params.beat_bits + 1), "ready": In(1)})

    def elaborate(self, platform: object) -> Module:
        """Build it."""
        m = self.base()
        params = self._params
        m.submodules.splitter = splitter = BurstSplitter(params)
        stopped = Signal()
        m.d.comb += [
            splitter.i.valid.eq(self.i.valid),
            splitter.i.payload.eq(self.i.payload),
            splitter.limit.eq(self.limit),
            splitter.o.ready.eq(self.ready),
            splitter.stop.eq(stopped),
        ]
        with m.If(splitter.fault != BusFault.NONE):
            m.d.sync += stopped.eq(1)  # as the reader does
        self.constant(m, self.limit)
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


class PrefetchProof(Harness):
    """The sequencer never asks for a program word that it has no room for: what arrives is taken within bounds."""

    def __init__(self) -> None:
        params = self._params = SMALL_SEQUENCER
        super().__init__(
            {
                "start": In(1),
                "words": In(16),
                "segment_ready": In(1),
                "arrives": In(1),
                "word": In(8 * params.word_bytes),
                "units": In(8),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build it."""
        m = self.base()
        params = self._params
        m.submodules.sequencer = sequencer = Sequencer(params)
        started, on_the_way = Signal(), Signal(8)
        asked = sequencer.o_segments.valid & sequencer.o_segments.ready & sequencer.o_segments.payload.kind
        arrived = sequencer.i_program.valid & sequencer.i_program.ready
        m.d.comb += [
            Assume(~(self.start & started)),
            sequencer.start.eq(self.start),
            sequencer.columns_active.eq(1),
            sequencer.program_words.eq(self.words),
            sequencer.o_segments.ready.eq(self.segment_ready),
            sequencer.i_program.valid.eq(self.arrives),
            sequencer.i_program.payload.eq(self.word),
            # A word comes only after it was asked for.
            Assume(~self.arrives | (on_the_way != 0)),
        ]
        inputs = (
            sequencer.o_matmul.ready,
            sequencer.o_vector.ready,
            sequencer.o_attention.ready,
            sequencer.matmul_idle,
            sequencer.vector_idle,
            sequencer.attention_idle,
            sequencer.writer_idle,
        )
        m.d.comb += [target.eq(bit) for target, bit in zip(inputs, self.units, strict=False)]
        with m.If(self.start):
            m.d.sync += started.eq(1)
        m.d.sync += on_the_way.eq(on_the_way + asked - arrived)
        per_word, depth = params.instructions_per_word, params.queue_depth
        m.d.comb += Assert(on_the_way * per_word <= depth)
        blocked = Signal(range(per_word + 2))
        m.d.sync += blocked.eq(Mux(self.arrives & ~sequencer.i_program.ready, blocked + 1, 0))
        # Never because the queue is full: only while a word before it is taken apart.
        m.d.comb += Assert(blocked <= per_word)
        return m


PROPERTIES = (
    Property(
        name="fifo",
        claim="amaranth's SyncFIFO at depth 4 (reader, writer): first in, first out, nothing lost, level right.",
        make=lambda: QueueProof(fifo.SyncFIFO, 4),
        depth=13,
    ),
    Property(
        name="fifo-buffered",
        claim="amaranth's SyncFIFOBuffered at depth 4 (sequencer, router): the same.",
        make=lambda: QueueProof(fifo.SyncFIFOBuffered, 4),
        depth=13,
    ),
    Property(
        name="router",
        claim="The word router gives each run of words to its unit, whole and in order.",
        make=RouterProof,
        depth=12,
    ),
    Property(
        name="pipeline",
        claim="A kernel's pipeline holds its output while it waits; nothing is lost, repeated or reordered.",
        make=lambda: PipelineProof(300),
        depth=20,
    ),
    Property(
        name="stage",
        claim="The same of a pipeline of a single stage.",
        make=lambda: PipelineProof(20),
        depth=10,
        induction=4,
    ),
    Property(
        name="splitter",
        claim="The bursts of segments are exactly their words, in order, none across a 4 KiB stripe.",
        make=SplitterProof,
        depth=9,
    ),
    Property(
        name="limit",
        claim="No burst goes beyond LIMIT or across 4 KiB, whatever segment is asked for.",
        make=lambda: LimitProof(False),
        depth=12,
        induction=6,
    ),
    Property(
        name="fault",
        claim="A segment that leaves the memory or the address space is a fault when it is first cut.",
        make=lambda: LimitProof(True),
        depth=12,
    ),
    Property(
        name="port",
        claim="A read port has at most `outstanding` bursts on the bus, each within 4 KiB and stable until taken.",
        make=lambda: PortProof(2),
        depth=16,
    ),
    Property(
        name="port-single",
        claim="The same of a port with one burst outstanding.",
        make=lambda: PortProof(1),
        depth=10,
        induction=4,
    ),
    Property(
        name="prefetch",
        claim="The sequencer asks for program words only as far as its queue has room, so that they never block data.",
        make=PrefetchProof,
        depth=14,
        arrays=True,
    ),
)
"""All properties."""
