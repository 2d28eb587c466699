"""Reads segments of memory ahead of their use and delivers them as one ordered stream of words."""

from functools import reduce
from operator import and_

from amaranth.hdl import Cat, Module, Mux, ResetInserter, Shape, Signal, Value
from amaranth.lib import data, fifo, memory, stream, wiring
from amaranth.lib.wiring import In, Out
from rtlm.hw.common.layouts import SegmentKind
from rtlm.hw.memory.axi import BusFault, forward
from rtlm.hw.memory.bursts import BurstSplitter, ReaderParams, ReadPort

BURST_QUEUE = 4
"""Bursts that the fastest port may be ahead of the slowest before its addresses wait."""

PROGRAM_QUEUE = 4
"""Program bursts that may be under way at once."""


class StreamReader(wiring.Component):
    """Reads segments of memory over all ports and delivers their words in order.

    Segments are cut into bursts, which every port requests at its own pace, up to `outstanding` ahead of the data, as
    long as the prefetch buffer has room for all their words; that buffer is the ports' receive buffer, so `rready` is
    always 1. Nothing but room, the end of the segments or a fault holds requests up. An output that is stalled holds
    up the other one: there is one order. A segment of no words is ignored.

    A segment beyond `limit`, or whose address is not a multiple of a word, is not requested and sets `error`; so does a
    response other than OKAY. Then no more requests are made, outstanding beats are accepted, and segments wait until
    `drain`. `drain` (a cycle or longer) forgets all segments, drops all words and the error, accepts outstanding beats
    and leaves the reader as after reset; new segments are taken once all that is done and `drain` is low. The peers
    of the streams must be reset meanwhile, as `valid` falls.

    Latency: four cycles from a segment to its address on the ports; two from the last beat of a word to `valid`.

    Throughput: a beat a cycle on every port with segments of any length, given enough `outstanding` for the memory's
    latency; a word a cycle from the buffer.

    Parameters
    ----------
    params : ReaderParams
        Shape of the reader.

    Attributes
    ----------
    i_segments : In(stream of ReaderParams.segment)
        Beat address (a multiple of a word), number of words, kind.
    o_words, o_program : Out(stream of a word)
        Words of data and of program segments; the beat's port 0 has the lowest bits, and a word's first beat.
    m0_axi, m1_axi ... : Out(AXI4Read)
        The ports.
    limit : In
        First beat that may not be read; multiples of a word.
    drain : In(1)
        Stop and forget, see above.
    idle : Out(1)
        Nothing is requested or about to be (words may still lie in the buffer).
    error : Out(BusFault)
        The first fault since reset or drain.
    beat : Out(1)
        Event: a beat arrived on port 0.
    beat_stalled : Out(1)
        Event: port 0 waits for a beat that it has requested.
    starved_credit : Out(1)
        Event: a burst waits for room in the prefetch buffer.
    no_segment : Out(1)
        Event: there is nothing to request.
    """

    def __init__(self, params: ReaderParams):
        self.params = params
        word = stream.Signature(8 * params.word_bytes)
        super().__init__(
            {
                "i_segments": In(stream.Signature(params.segment)),
                "o_words": Out(word),
                "o_program": Out(word),
                **{f"m{port}_axi": Out(params.axi) for port in range(params.ports)},
                "limit": In(params.beat_bits + 1),
                "drain": In(1),
                "idle": Out(1),
                "error": Out(BusFault),
                "beat": Out(1),
                "beat_stalled": Out(1),
                "starved_credit": Out(1),
                "no_segment": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Describe the reader."""
        m = Module()
        params = self.params
        draining = Signal()
        flush = Signal()
        stop = Signal()
        m.d.comb += [flush.eq(self.drain | draining), stop.eq(flush | (self.error != BusFault.NONE))]

        m.submodules.splitter = splitter = ResetInserter(flush)(BurstSplitter(params))
        m.d.comb += [splitter.limit.eq(self.limit), splitter.stop.eq(stop)]
        wiring.connect(m, wiring.flipped(self.i_segments), splitter.i)

        # Bursts that have room, for each port to take in its turn.
        m.submodules.bursts = bursts = memory.Memory(shape=params.burst, depth=BURST_QUEUE, init=[])
        bursts_write = bursts.write_port()
        queued = Signal(range(2 * BURST_QUEUE))
        room = Signal(range(params.prefetch_words + 1), init=params.prefetch_words)
        room_short = Signal()
        admit = Signal()
        read = Signal()

        ports = []
        queue_free, all_arrived, all_taken = [], [], []
        next_word = Signal(range(2 * params.prefetch_words))
        for index in range(params.ports):
            m.submodules[f"port{index}"] = port = ReadPort(params, index)
            ports.append(port)
            taken = Signal(range(2 * BURST_QUEUE), name=f"taken{index}")
            bursts_read = bursts.read_port(domain="comb")
            m.d.comb += [
                port.waiting.eq(taken != queued),
                bursts_read.addr.eq(taken[:-1]),
                port.burst.eq(bursts_read.data),
                port.read.eq(read),
                port.read_address.eq(next_word[:-1]),
                port.stop.eq(stop),
                port.flush.eq(flush),
            ]
            forward(m, port.axi, getattr(self, f"m{index}_axi"))
            with m.If(port.take):
                m.d.sync += taken.eq(taken + 1)
            with m.If(flush):
                m.d.sync += taken.eq(0)
            queue_free.append((queued ^ taken) != BURST_QUEUE)
            all_taken.append(queued == taken)
            all_arrived.append(port.arrived != next_word)

        # Program bursts are found again by the place of their words in the buffer.
        m.submodules.programs = programs = ResetInserter(flush)(
            fifo.SyncFIFO(width=Shape.cast(params.program_mark).width, depth=PROGRAM_QUEUE)
        )
        mark, found = Signal(params.program_mark), data.View(params.program_mark, programs.r_data)
        reserved = Signal(range(params.prefetch_words))
        burst = splitter.o.payload
        is_program = burst.kind == SegmentKind.PROGRAM
        m.d.comb += [
            room_short.eq(burst.more >= room),
            admit.eq(splitter.o.valid & ~stop & ~room_short & all_of(queue_free) & (~is_program | programs.w_rdy)),
            splitter.o.ready.eq(admit),
            bursts_write.addr.eq(queued[:-1]),
            bursts_write.data.eq(burst),
            bursts_write.en.eq(admit),
            mark.first.eq(reserved),
            mark.more.eq(burst.more),
            programs.w_data.eq(mark),
            programs.w_en.eq(admit & is_program),
        ]
        with m.If(admit):
            m.d.sync += [queued.eq(queued + 1), reserved.eq(reserved + burst.more + 1)]
        with m.If(admit | read):
            m.d.sync += room.eq(room + read - Mux(admit, burst.more + 1, 0))

        # The memories' output registers are the output register of the whole buffer.
        outputs = (self.o_words, self.o_program)
        passed = Signal(range(max(params.burst_words, 2)))
        matches = Signal()
        advance = Signal()
        m.d.comb += [
            advance.eq(all_of([~output.valid | output.ready for output in outputs])),
            read.eq(advance & all_of(all_arrived)),
        ]
        word = Cat(port.beats[beat] for beat in range(params.beats_per_word) for port in ports)
        m.d.comb += [output.payload.eq(word) for output in outputs]
        with m.If(read):
            m.d.comb += matches.eq(programs.r_rdy & ((found.first + passed)[: len(reserved)] == next_word[:-1]))
            m.d.sync += [self.o_words.valid.eq(~matches), self.o_program.valid.eq(matches), next_word.eq(next_word + 1)]
            with m.If(matches):
                m.d.sync += passed.eq(passed + 1)
                with m.If(passed == found.more):
                    m.d.comb += programs.r_en.eq(1)
                    m.d.sync += passed.eq(0)
        with m.Elif(advance):
            m.d.sync += [output.valid.eq(0) for output in outputs]

        busy, nothing = Signal(), Signal()
        m.d.comb += [
            busy.eq(Cat(port.busy for port in ports).any()),
            nothing.eq(~splitter.active & ~splitter.o.valid),
            self.idle.eq(~busy & (stop | (nothing & all_of(all_taken)))),
            self.beat.eq(ports[0].axi.rvalid),
            self.beat_stalled.eq(ports[0].busy & ~ports[0].axi.rvalid),
            self.starved_credit.eq(splitter.o.valid & room_short),
            self.no_segment.eq(nothing),
        ]
        with m.If(self.error == BusFault.NONE):
            with m.If(Cat(port.failed for port in ports).any()):
                m.d.sync += self.error.eq(BusFault.RESPONSE)
            with m.Elif(splitter.fault != BusFault.NONE):
                m.d.sync += self.error.eq(splitter.fault)
        with m.If(flush):
            state = (queued, room, reserved, next_word, passed, *(output.valid for output in outputs))
            m.d.sync += [register.eq(register.init) for register in state]
            m.d.sync += [self.error.eq(BusFault.NONE), draining.eq(self.drain | busy)]
        return m


def all_of(values: list[Value]) -> Value:
    """Return the conjunction of one-bit values."""
    return reduce(and_, values)
