"""Proofs of what streams pass through: queues, the word router, pipelines, and the sequencer's program."""

from amaranth.hdl import Assert, Assume, Cat, Module, Mux, Signal, Value
from amaranth.lib.wiring import In
from rtlm.hw import hls
from rtlm.hw.common.layouts import SegmentKind
from rtlm.hw.common.register_slice import Handover, RegisterSlice
from rtlm.hw.control.program_fetch import CHECKED_BITS
from rtlm.hw.control.router import WordRouter
from rtlm.hw.control.sequencer import Sequencer
from rtlm.hw.control.sequencer_params import SequencerParams
from rtlm.hw.hls import UInt
from rtlm.sim.proofs.harness import Harness

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
        # A model of the runs that are waiting, the oldest first: three can be inside (one active, two queued), and of
        # the two words inside, the older one first.
        runs = [Signal(5, name=f"run{n}") for n in range(4)]
        inside = [Signal(2, name=f"inside{n}") for n in range(2)]
        waiting, held, moved, given = Signal(3), Signal(2), Signal(), Signal()
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
            m.d.comb += [Assert(waiting != 0), Assert(held < len(inside))]
        m.d.comb += given.eq(Cat(output.valid & output.ready for output in outputs).any())
        m.d.sync += held.eq(held + moved - given)
        with m.If(given):
            m.d.sync += inside[0].eq(inside[1])
        for n, destination in enumerate(inside):
            with m.If(moved & (held == n + given)):
                m.d.sync += destination.eq(runs[0][:2])
        m.d.comb += Assert(Cat(output.valid for output in outputs).any() == (held != 0))
        for code, output in enumerate(outputs):
            self.held(m, output.valid, output.ready, output.payload, Assert)
            with m.If(output.valid):
                m.d.comb += [Assert(inside[0] == code), Assert(output.payload == (count - held)[:4])]
        return m


@hls.kernel
def increment(x: UInt(3)) -> UInt(3):
    """A pipeline whose values can be counted."""
    return hls.wrap(x + 1, UInt(3))


class SliceProof(Harness):
    """A register slice loses, repeats and reorders nothing, holds its output, and has as many entries as it says."""

    def __init__(self, entries: int) -> None:
        self._entries = entries
        super().__init__({"valid": In(1), "ready": In(1)})

    def elaborate(self, platform: object) -> Module:
        """Build it."""
        m = self.base()
        m.submodules.slice = part = RegisterSlice(3, entries=self._entries)
        sent, received, inside = Signal(3), Signal(3), Signal(3)
        m.d.comb += [
            part.i.valid.eq(self.valid),
            part.i.payload.eq(sent),
            part.o.ready.eq(self.ready),
            inside.eq(sent - received),
            Assert(inside <= self._entries),
            Assert(part.i.ready == (inside < self._entries)),
            Assert(part.o.valid == (inside != 0)),
        ]
        self.held(m, self.valid, part.i.ready, sent, Assume)
        self.held(m, part.o.valid, part.o.ready, part.o.payload, Assert)
        with m.If(part.i.valid & part.i.ready):
            m.d.sync += sent.eq(sent + 1)
        with m.If(part.o.valid & part.o.ready):
            m.d.sync += received.eq(received + 1)
        with m.If(part.o.valid):
            m.d.comb += Assert(part.o.payload == received)
        return m


class HandoverProof(Harness):
    """What is offered goes over once, in one cycle for both sides, to a sink that is then ready."""

    def __init__(self) -> None:
        super().__init__({"valid": In(1), "payload": In(3), "ready": In(1)})

    def elaborate(self, platform: object) -> Module:
        """Build it."""
        m = self.base()
        m.submodules.handover = part = Handover(3)
        m.d.comb += [part.i.valid.eq(self.valid), part.i.payload.eq(self.payload), part.o.ready.eq(self.ready)]
        self.held(m, self.valid, part.i.ready, self.payload, Assume)
        # The sink stays ready for what it was ready for.
        waited = Signal()
        m.d.sync += waited.eq(self.valid & self.ready & ~part.o.valid)
        with m.If(self.past & waited):
            m.d.comb += Assume(self.ready)
        taken = part.o.valid & part.o.ready
        m.d.comb += [
            Assert(taken == (part.i.valid & part.i.ready)),
            Assert(~part.o.valid | part.o.ready),
            Assert(part.o.payload == self.payload),
        ]
        # An offer that the sink is ready for is gone two cycles later.
        before = Signal()
        m.d.sync += before.eq(waited & ~taken)
        m.d.comb += Assert(~before)
        return m


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
        segments = sequencer.o_segments
        asked = segments.valid & segments.ready & (segments.payload.kind == SegmentKind.PROGRAM)
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
        turns = 8 * params.word_bytes // CHECKED_BITS
        blocked = Signal(range(turns + 2))
        m.d.sync += blocked.eq(Mux(self.arrives & ~sequencer.i_program.ready, blocked + 1, 0))
        # Never because the queue is full: only while a word before it is taken apart.
        m.d.comb += Assert(blocked <= turns)
        return m
